"""Tables of the report: method x budget with the gain over supervised, and the ablation."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from semipose.reporting.cells import NOT_RUN, NOTHING, Cell, difference, number, scored, seed_counts
from semipose.reporting.differences import differences, mean_difference, uneven
from semipose.reporting.protocol import protocol_lines, reconstructions, unequal
from semipose.reporting.results import BASELINE, TRAINING, Grid, Key, Run, Score, headline

ABOVE = "over row above"
Changes = Mapping[str, Mapping[str, Any]]  # variant -> dotted key -> value


@dataclass(frozen=True)
class Column:
    name: str
    group: str = ""  # the budget, above several columns
    text: bool = False  # left-aligned
    signed: bool = False  # differences: zero means none


@dataclass(frozen=True)
class Table:
    """A table as text; `records` has the same numbers unrounded, one for each run."""

    name: str
    caption: str
    columns: list[Column]
    rows: list[list[Cell]]
    notes: list[str]
    records: list[dict[str, Any]]

    def groups(self) -> list[tuple[str, int]]:
        """Headings above the columns, each with the number of columns that it spans."""
        return [(group, len(list(members))) for group, members in groupby(self.columns, key=lambda column: column.group)]


def main_table(runs: Mapping[Key, Run], sweep: Grid) -> Table:
    """The main table; rows are methods.

    Columns: for each budget the headline metric, the gain over `supervised` and, with more than two
    methods, the difference to the row above; then costs.
    """
    return _build("main", "Methods by number of labelled people", "gain", runs, sweep, dict.fromkeys(sweep.methods, BASELINE), {})


def ablation_tables(
    runs: Mapping[Key, Run], ablation: Grid, bases: Mapping[str, str], changes: Changes, topics: Mapping[str, Sequence[str]]
) -> list[Table]:
    """Make a table for each topic, with the variants that it names; then one with all other
    variants.

    Args:
        runs: The finished runs.
        ablation: Variants, budgets and seeds.
        bases: Name of a variant -> its base.
        changes: What each variant changes.
        topics: Name of a topic -> its variants.
    """
    named = {name for variants in topics.values() for name in variants}
    parts = {**topics, "": [name for name in ablation.methods if name not in named]}
    grids = {topic: replace(ablation, methods=tuple(variants)) for topic, variants in parts.items() if variants}
    return [ablation_table(runs, grid, bases, changes, topic) for topic, grid in grids.items()]


def ablation_table(runs: Mapping[Key, Run], ablation: Grid, bases: Mapping[str, str], changes: Changes, topic: str = "") -> Table:
    """An ablation table.

    Rows: a base, from `train`, with the ablation's budgets and seeds; then its variants with what
    they change; then the next base.

    Args:
        runs: The finished runs, those of the bases included.
        ablation: Variants, budgets and seeds.
        bases: Name of a variant -> its base.
        changes: What each variant changes.
        topic: Name of a separate table; "": the table of all variants without one.
    """
    families = {base: [name for name in ablation.methods if bases[name] == base] for base in map(bases.__getitem__, ablation.methods)}
    reference = {name: base for base, variants in families.items() for name in (base, *variants)}
    words = {name: in_words(changes[name]) for name in ablation.methods}
    name, caption = "ablation", f"Ablation of {', '.join(families)}"
    if topic:
        name, caption = f"ablation-{topic}", f"{caption}: {topic.replace('_', ' ')}"
    grid = replace(ablation, methods=tuple(reference))
    return _build(name, caption, "difference", runs, grid, reference, dict.fromkeys(families, NOTHING) | words)


def _build(
    name: str, caption: str, delta: str, runs: Mapping[Key, Run], grid: Grid, reference: Mapping[str, str], changes: Mapping[str, str]
) -> Table:
    """Build a table.

    Args:
        name: Name of the table and of its files.
        caption: The heading.
        delta: Heading of the differences.
        runs: The finished runs.
        grid: Rows, budgets and seeds.
        reference: Name of a row -> the method it is compared with.
        changes: Name of a row -> what it changes, in words; empty: there is no such column.
    """
    wanted = {key: runs.get(key) for key in grid.runs()}
    present = [run for run in wanted.values() if run]
    metric = headline(present)
    columns = [Column("variant", text=True), Column("changes", text=True)] if changes else [Column("method", text=True)]
    stepwise = not changes and len(grid.methods) > 2
    scores = [metric, delta, *([ABOVE] if stepwise else [])]
    columns += [Column(text, labels, signed=text != metric) for labels in grid.labels for text in scores]
    columns += [Column("masks"), *(Column(text, "training") for text in ("networks", "passes", "GFLOP"))]
    columns += [Column("reported", text=True), Column("seeds")]
    rows = []
    for method, above in zip(grid.methods, (None, *grid.methods), strict=False):
        row = [Cell(text) for text in ((method, changes[method]) if changes else (method,))]
        for labels in grid.labels:
            row.append(scored([run.score for seed in grid.seeds if (run := wanted[method, labels, seed])]))
            row.append(difference(runs, method, reference[method], labels, grid.seeds))
            if stepwise:
                row.append(difference(runs, method, above, labels, grid.seeds))
        rows.append(row + _costs(wanted, method, grid))
    against = ", ".join(held := dict.fromkeys(reference.values())) + " (each row with its own)" * (len(held) > 1)
    legend = [
        f"{delta.capitalize()}: mean over seeds of the paired difference to {against}.",
        f"{delta.capitalize()}, in brackets: 95 % interval by the paired bootstrap, same resamples for both, mean over seeds.",
        "Masks: measured mean number of masked keypoints per person.",
        "Reported: the network whose number it is; mean: the mean over the networks.",
        "Passes: forward passes for one labelled and one unlabelled person.",
        "GFLOP: cost of one run's training after the warm-up.",
        "A slash separates budgets if they differ.",
    ]
    if stepwise:
        legend.append(f"{ABOVE.capitalize()}: the same difference, to the method in the row above.")
    legend += uneven(wanted, grid.methods, grid.labels, grid.seeds)
    notes = [*unequal(present, grid.labels), *_missing(wanted), *protocol_lines(present, grid.labels), *legend, *reconstructions(present)]
    return Table(name, caption, columns, rows, notes, _records(wanted, reference, delta, changes))


def _costs(wanted: Mapping[Key, Run | None], method: str, grid: Grid) -> list[Cell]:
    """Masks, networks, forward passes, training cost, seeds: one
    number, or one for each budget if they differ.
    """
    budgets = [[run for seed in grid.seeds if (run := wanted[method, labels, seed])] for labels in grid.labels]

    def together(text_of: Callable[[Sequence[Run]], str]) -> str:
        ran = dict.fromkeys(text_of(runs) for runs in budgets if runs)
        if len(ran) < 2:
            return next(iter(ran), NOT_RUN)
        return " / ".join(text_of(runs) if runs else NOT_RUN for runs in budgets)

    def cost(field: str, form: Callable[[float], str]) -> Cell:
        text = together(lambda runs: NOTHING if (number := _mean(runs, field)) is None else form(number))
        return Cell(text, Score(_mean([run for runs in budgets for run in runs], field)))

    costs = [cost("masks", "{:.2f}".format), *(cost(field, number) for field in ("networks", "forward_passes", "gflop"))]
    reported = together(lambda runs: "/".join(dict.fromkeys(run.training["reported"] for run in runs)))
    return [*costs, Cell(reported), seed_counts(budgets, len(grid.seeds))]


def _mean(runs: Sequence[Run], field: str) -> float | None:
    numbers = [run.training[field] for run in runs if run.training[field] is not None]
    return statistics.fmean(numbers) if numbers else None


def _missing(wanted: Mapping[Key, Run | None], shown: int = 6) -> list[str]:
    names = [f"{method}-{labels}-s{seed}" for (method, labels, seed), run in wanted.items() if run is None]
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return [f"not run: {', '.join(names[:shown])}{more}"] if names else []


def _records(
    wanted: Mapping[Key, Run | None], reference: Mapping[str, str], delta: str, changes: Mapping[str, str]
) -> list[dict[str, Any]]:
    records = []
    for (method, labels, seed), run in wanted.items():
        record: dict[str, Any] = {"method": method, "labels": labels, "seed": seed}
        if changes:
            record["changes"] = "" if method == reference[method] else changes[method]
        if run is None:
            records.append(record | {"status": NOT_RUN})
            continue
        found = [] if method == reference[method] else differences(wanted, method, reference[method], labels, [seed])
        gain = mean_difference(found) if found else Score(None)
        record |= {"status": "run", "metric": run.protocol["headline"], **run.score._asdict()}
        record |= {delta: gain.value, f"{delta}_low": gain.low, f"{delta}_high": gain.high}
        record |= {name: run.training[name] for name in TRAINING}
        record |= {"labelled": run.labelled, "unlabelled": run.unlabelled}
        record |= {name: run.protocol[name] for name in ("input", "backbone", "boxes", "flip_test", "decode", "epoch", "people")}
        records.append(record | {"cell": run.name, "fingerprint": run.fingerprint, "commit": run.commit})
    return records


def in_words(changed: Mapping[str, Any]) -> str:
    """What a variant changes, by dotted key; values as in params.yaml."""
    return ", ".join(f"{key}: {_plain(value)}" for key, value in changed.items())


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return " + ".join(map(_plain, value)) or "none"
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)
