"""Published numbers beside ours: published.csv has every one with its table, source and what is
known of its protocol.
"""

import csv
import statistics
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

from semipose.reporting.cells import NOT_RUN, NOTHING, Cell, scored
from semipose.reporting.results import Grid, Key, Run, Score
from semipose.reporting.tables import Column, Table

FILE = Path(__file__).with_name("published.csv")
DATASETS = {"coco": "COCO val2017"}  # whose runs; on MPII: of the test server (semi-supervised), or with a flip test
METRICS = ("AP", "AP50", "AP75", "AP_M", "AP_L", "AR", "AR50", "AR75", "AR_M", "AR_L")  # published.csv has them by COCO's names too
BUDGETS = {"All": ("COCO train2017", "All (train2017)")}  # a budget of params.yaml that the papers call otherwise


def published() -> list[dict[str, str]]:
    """The rows of published.csv.

    Its columns are table, method, entry, backbone, input, dataset, labelled, unlabelled, metric,
    value, source, networks and note.
    `method` is the name in the table.
    `entry` is that of params.yaml; "" if there is none.
    `networks` is "" if the source does not say how many there are.
    """
    with FILE.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def published_table(runs: Mapping[Key, Run], sweep: Grid) -> Table | None:
    """The table of published numbers; None if nothing comparable is published.

    Rows: the methods of the sweep, each with AP and every other metric that is published with this
    data, backbone and input.
    Columns: for each budget ours (mean ± standard deviation over
    seeds, or the interval of a single one) and theirs.
    """
    if not runs:
        return None
    example = next(iter(runs.values()))
    alike = [row for row in published() if _alike(row, example)]
    columns = [Column("method", text=True), Column("metric", text=True)]
    columns += [Column(name, labels) for labels in sweep.labels for name in ("ours", "published")]
    rows, records, used = [], [], []
    for method, metric in product(sweep.methods, METRICS):
        line, of_metric, of_runs = [Cell(method), Cell(metric)], [], []
        for labels in sweep.labels:
            budgets = BUDGETS.get(labels, (labels,))
            found = [row for row in alike if row["entry"] == method and row["labelled"] in budgets and row["metric"] == metric]
            scores = [run.metrics[metric] for seed in sweep.seeds if (run := runs.get((method, labels, seed))) and metric in run.metrics]
            ours, known = scored(scores), [score for score in scores if score.value is not None]
            values = list(dict.fromkeys(row["value"] for row in found))
            said = {name: " / ".join(dict.fromkeys(row[name] for row in found)) for name in ("source", "note")}
            status = {"status": "run" if known else NOT_RUN, "ours": ours.number.value if known else "", "published": " / ".join(values)}
            line += [ours, Cell(" / ".join(values) or NOTHING, Score(statistics.fmean(map(float, values)) if values else None))]
            of_metric += found
            of_runs.append({"method": method, "metric": metric, "labels": labels, "seeds": len(known), **status, **said})
        if metric == "AP" or of_metric:
            rows.append(line)
            records += of_runs
            used += of_metric
    if not used:
        return None
    notes = [*_unequal(runs, used), *_notes(example, used)]
    return Table("published", "Published numbers beside ours", columns, rows, notes, records)


def _unequal(runs: Mapping[Key, Run], used: Sequence[Mapping[str, str]]) -> list[str]:
    """What differs but must be equal for a comparison: the
    evaluation, or the networks that are trained.
    """
    notes = []
    for name, theirs in {"boxes": "ground truth", "flip_test": False, "decode": "quarter"}.items():  # of the papers' tables on COCO val2017
        if ours := sorted({str(run.protocol[name]) for run in runs.values() if run.protocol[name] != theirs}):
            notes.append(f"unequal: {name.replace('_', ' ')}: ours {', '.join(ours)}; published: {theirs}")
    for method in dict.fromkeys(method for method, _, _ in runs):
        trained = {str(run.training["networks"]) for key, run in runs.items() if key[0] == method}
        said = {row["networks"] for row in used if row["entry"] == method and row["networks"]}
        if said and trained != said:
            notes.append(f"unequal: networks of {method}: ours {', '.join(sorted(trained))}; published: {', '.join(sorted(said))}")
    return notes


def _notes(example: Run, used: Sequence[Mapping[str, str]]) -> list[str]:
    """Where the published numbers come from, and how their protocol differs from ours."""
    sources = dict.fromkeys(f"{row['table']} ({row['source']})" for row in used)
    unlabelled = dict.fromkeys(row["unlabelled"] for row in used if row["unlabelled"] != "-")
    return [
        f"Published: with {example.protocol['backbone']} at {example.protocol['input']}, from {'; '.join(sources)}.",
        "Their protocol differs: they report the best epoch on the validation set, we the last.",
        "They do not state the steps of the supervised baseline; steps of the other methods differ by method and budget, ours are equal.",
        "Their PoseDual and MultiAugs (Dual) start from two sets of ImageNet weights, ours only if `networks` says so.",
        "Their code has the bugs of `reference_bugs`, ours only if they are switched on.",
        f"Their unlabelled people: {', '.join(unlabelled) or 'none'}; ours: {example.unlabelled:,}.",
        "Our steps and passes are under the main table.",
        "AKM's absolute numbers are not published in a source that could be read.",
        "AKM's published gains over the best semi-supervised method before it: +5.2 AP with 1K labels, +0.3 on MPII.",
    ]


def _alike(row: Mapping[str, str], run: Run) -> bool:
    backbone = run.protocol["backbone"]
    return (
        row["dataset"] == DATASETS.get(run.data)
        and run.protocol["headline"] == "AP"
        and row["input"] == run.protocol["input"]
        and row["backbone"].lower().replace("-", "") == backbone.partition(".")[0].lower().replace("_", "").replace("-", "")
    )
