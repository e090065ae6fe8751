"""The table of one method with several settings in columns:
those of its paper, shared ones, equal cost.
"""

import statistics
from collections.abc import Mapping
from itertools import pairwise, product
from typing import Any

from semipose.reporting.cells import NOT_RUN, NOTHING, Cell, difference, number, scored, seed_counts
from semipose.reporting.differences import differences, mean_difference, uneven
from semipose.reporting.protocol import protocol_lines, reconstructions, unequal
from semipose.reporting.results import TRAINING, Grid, Key, Run, Score, headline
from semipose.reporting.tables import Column, Table

COSTS = {"steps": "steps", "networks": "networks", "forward_passes": "passes"}  # and GFLOP, warm-up included
REFERENCE = "supervised"
Settings = Mapping[str, Mapping[str, str]]  # setting -> method -> entry


def settings_table(runs: Mapping[Key, Run], sweep: Grid, settings: Settings) -> Table:
    """Make the table of settings; rows are methods.

    Columns: for each budget and setting, the headline metric and the gain over the same setting of
    `supervised`; the difference between neighbouring settings; the training cost of each, warm-up
    included, and how many seeds were run.

    Args:
        runs: The finished runs.
        sweep: Its budgets and seeds are shown.
        settings: For each setting, the entry of `method` that each method has there.
    """
    methods = list(dict.fromkeys(method for rows in settings.values() for method in rows))
    entries = list(dict.fromkeys(entry for rows in settings.values() for entry in rows.values()))
    present = [run for key in product(entries, sweep.labels, sweep.seeds) if (run := runs.get(key))]
    metric, pairs = headline(present), list(pairwise(settings))
    columns = [Column("method", text=True)]
    for labels in sweep.labels:
        columns += [Column(text, f"{labels}, {setting}", signed=text == "gain") for setting in settings for text in (metric, "gain")]
        columns += [Column(f"{after} − {before}", labels, signed=True) for before, after in pairs]
    columns += [Column(text, setting) for setting in settings for text in (*COSTS.values(), "GFLOP", "seeds")]
    rows = []
    for method in methods:
        row = [Cell(method)]
        for labels in sweep.labels:
            for rows_of in settings.values():
                entry, reference = rows_of.get(method), rows_of.get(REFERENCE, REFERENCE)
                scores = [run.score for seed in sweep.seeds if entry and (run := runs.get((entry, labels, seed)))]
                row.append(scored(scores) if entry else Cell(NOTHING))
                row.append(difference(runs, entry, reference, labels, sweep.seeds))
            row += [
                difference(runs, settings[after].get(method), settings[before].get(method), labels, sweep.seeds) for before, after in pairs
            ]
        rows.append(row + [cell for rows_of in settings.values() for cell in _costs(runs, rows_of.get(method), sweep)])
    wanted = {(rows_of[method], labels) for rows_of in settings.values() for method in rows_of for labels in sweep.labels}
    missing = sorted(f"{entry}-{labels}" for entry, labels in wanted if not any((entry, labels, seed) in runs for seed in sweep.seeds))
    legend = [
        f"Gain: over {REFERENCE} with the same setting.",
        "Gain and difference between settings: mean over seeds of paired differences, in brackets its 95 % interval (paired bootstrap).",
        "GFLOP: cost of one run's training, forward and backward passes of all its networks, their warm-up included.",
    ]
    notes = [note for note in unequal(present, sweep.labels) if not note.startswith("unequal: steps ")]  # steps have columns
    notes += [f"not run: {', '.join(missing)}"] if missing else []
    legend += uneven(runs, entries, sweep.labels, sweep.seeds)
    notes += [*protocol_lines(present, sweep.labels), *legend, *reconstructions(present)]
    return Table("settings", f"Methods with their settings: {', '.join(settings)}", columns, rows, notes, _records(runs, sweep, settings))


def gflop(run: Run) -> float:
    """GFLOP of a run's training, warm-up included (runs of semipose 0.1 do not have the warm-up's)."""
    return float(run.training["gflop"] + run.training.get("warmup_gflop", 0.0))


def _costs(runs: Mapping[Key, Run], entry: str | None, sweep: Grid) -> list[Cell]:
    """Steps, networks, passes, GFLOP, seeds: means over the runs, or one for each budget if they differ."""
    budgets = [[run for seed in sweep.seeds if entry and (run := runs.get((entry, labels, seed)))] for labels in sweep.labels]
    cells = []
    for cost in (*COSTS, "gflop"):
        means = [statistics.fmean(gflop(run) if cost == "gflop" else run.training[cost] for run in found) for found in budgets if found]
        texts = dict.fromkeys(number(mean) if cost == "gflop" else f"{mean:,.15g}" for mean in means)
        nothing = NOT_RUN if entry else NOTHING
        cells.append(Cell(" / ".join(texts) or nothing, Score(statistics.fmean(means) if means else None)))
    return [*cells, seed_counts(budgets, len(sweep.seeds)) if entry else Cell(NOTHING)]


def _records(runs: Mapping[Key, Run], sweep: Grid, settings: Settings) -> list[dict[str, Any]]:
    records = []
    for (setting, rows), labels, seed in product(settings.items(), sweep.labels, sweep.seeds):
        for method, entry in rows.items():
            record: dict[str, Any] = {"method": method, "setting": setting, "entry": entry, "labels": labels, "seed": seed}
            run, reference = runs.get((entry, labels, seed)), rows.get(REFERENCE, REFERENCE)
            if run is None:
                records.append(record | {"status": NOT_RUN})
                continue
            found = [] if entry == reference else differences(runs, entry, reference, labels, [seed])
            gain = mean_difference(found) if found else Score(None)
            record |= {"status": "run", "metric": run.protocol["headline"], **run.score._asdict()}
            record |= {"gain": gain.value, "gain_low": gain.low, "gain_high": gain.high}
            record |= {name: run.training[name] for name in TRAINING} | {"gflop_with_warmup": gflop(run)}
            records.append(record | {"cell": run.name, "fingerprint": run.fingerprint, "commit": run.commit})
    return records
