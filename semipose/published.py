"""Published numbers beside ours: published.csv has every one with its table, source and what is known of its protocol."""

import csv
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from semipose.results import Grid, Key, Run, Score
from semipose.tables import NOT_RUN, NOTHING, Cell, Column, Table, scored

FILE = Path(__file__).with_name("published.csv")
DATASETS = {"coco": "COCO val2017"}  # published semi-supervised numbers on MPII are of its test server
METHODS = {  # entry of params.yaml -> what the papers' tables call it, at its own default strengthening
    "supervised": ("Supervised", "Supervised (Affine)"),
    "pseudopose": ("PseudoPose",),
    "datadistill": ("DataDistill",),
    "posecons": ("PoseCons", "PoseCons (Affine+Joint Cutout)"),
    "posecons_affine": ("PoseCons (Affine)",),
    "posedual": ("PoseDual", "PoseDual (Affine+Joint Cutout)"),
    "posedual_affine": ("PoseDual (Affine)",),
    "posedual_randaugment": ("PoseDual (Affine+RandAug)",),
    "sspcm": ("SSPCM",),
    "multiaugs": ("MultiAugs (Single)",),
    "multiaugs_dual": ("MultiAugs (Dual)",),
}
BUDGETS = {"All": ("COCO train2017", "All (train2017)")}  # a budget of params.yaml that the papers call otherwise


def published(path: Path = FILE) -> list[dict[str, str]]:
    """The rows of published.csv: table, method, backbone, input, dataset, labelled, unlabelled, metric, value, source, note."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def published_table(runs: Mapping[Key, Run], sweep: Grid) -> Table | None:
    """Rows: methods of the sweep that have published numbers with this data, trunk, input and metric. Columns: for each budget ours
    (mean ± standard deviation over seeds, or a single one's interval) and theirs. None where nothing is published of the kind."""
    if not runs:
        return None
    example = next(iter(runs.values()))
    alike = [row for row in published() if _alike(row, example)]
    columns, rows, records = [Column("method", text=True)], [], []
    sources: dict[str, str] = {}
    unlabelled: dict[str, None] = {}
    columns += [Column(name, labels) for labels in sweep.labels for name in ("ours", "published")]
    for method in sweep.methods:
        line, any_of_it = [Cell(method)], False
        for labels in sweep.labels:
            theirs = [
                row for row in alike if row["method"] in METHODS.get(method, ()) and row["labelled"] in BUDGETS.get(labels, (labels,))
            ]
            known = [run.score for seed in sweep.seeds if (run := runs.get((method, labels, seed))) and run.score.value is not None]
            ours = scored(known)
            values = list(dict.fromkeys(row["value"] for row in theirs))
            line += [ours, Cell(" / ".join(values) or NOTHING, Score(statistics.fmean(map(float, values)) if values else None))]
            any_of_it |= bool(values)
            sources |= {row["table"]: row["source"] for row in theirs}
            unlabelled |= {row["unlabelled"]: None for row in theirs if row["unlabelled"] != "-"}
            record: dict[str, Any] = {"method": method, "labels": labels, "seeds": len(known), "status": "run" if known else NOT_RUN}
            record |= {"ours": ours.number.value if known else "", "published": " / ".join(values)}
            record |= {name: " / ".join(dict.fromkeys(row[name] for row in theirs)) for name in ("source", "note")}
            records.append(record)
        if any_of_it:
            rows.append(line)
    if not rows:
        return None
    return Table("published", "Published numbers beside ours", columns, rows, _notes(example, sources, list(unlabelled)), records)


def _notes(example: Run, sources: Mapping[str, str], unlabelled: Sequence[str]) -> list[str]:
    """Where the numbers come from (table -> source), and how they came about otherwise than ours."""
    return [
        f"Published: {example.protocol['headline']} with {example.protocol['trunk']} at {example.protocol['input']}, from "
        + "; ".join(f"{table} ({source})" for table, source in sources.items())
        + ".",
        "Their protocol where it differs: the best epoch on the validation set is picked (ours: the last), supervised steps are not "
        "stated, the others' differ by method and budget (ours: equal), PoseDual and MultiAugs (Dual) start from two sets of ImageNet "
        "weights, and the errors of the released codes are in (ours: where augment.traps asks for them). Their unlabelled people: "
        f"{', '.join(unlabelled) or 'none'}; ours: {example.unlabelled:,}. Steps and passes of ours stand under the main table.",
        "AKM's absolute numbers are not published in a source that could be read: +5.2 AP with 1K labels over the best semi-supervised "
        "method before it, +0.3 on MPII.",
    ]


def _alike(row: Mapping[str, str], run: Run) -> bool:
    headline, trunk = run.protocol["headline"], run.protocol["trunk"]
    return (
        row["dataset"] == DATASETS.get(run.data)
        and row["metric"] == headline
        and row["input"] == run.protocol["input"]
        and row["backbone"].lower().replace("-", "") == trunk.lower().replace("_", "").replace("-", "")
    )
