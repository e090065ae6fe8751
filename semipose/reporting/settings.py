"""The tables of methods with several settings in columns: those of the paper, shared ones, colours."""

import statistics
from collections.abc import Mapping, Sequence
from itertools import pairwise, product
from typing import Any

from semipose.reporting.cells import NOT_RUN, NOTHING, Cell, difference, number, scored, seed_counts
from semipose.reporting.differences import differences, mean_difference, uneven
from semipose.reporting.protocol import protocol_lines, reconstructions, unequal
from semipose.reporting.results import BASELINE, TRAINING, Grid, Key, Run, Score, headline
from semipose.reporting.tables import Column, Table

COSTS = {"steps": "steps", "networks": "networks", "forward_passes": "passes", "gflop": "GFLOP"}
Settings = Mapping[str, Mapping[str, str]]  # setting -> method -> entry


def settings_tables(runs: Mapping[Key, Run], sweep: Grid, settings: Settings) -> list[Table]:
    """Make the tables of settings: one of scores for each budget, then one of costs.

    Args:
        runs: The finished runs.
        sweep: Its budgets and seeds are shown.
        settings: For each setting, the entry of `method` that each method has there.
    """
    return [*(_scores(runs, labels, sweep.seeds, settings) for labels in sweep.labels), _costs(runs, sweep, settings)]


def _scores(runs: Mapping[Key, Run], labels: str, seeds: Sequence[int], settings: Settings) -> Table:
    """Rows: methods. Columns: for each setting the headline metric and the gain over `supervised` with
    that setting, then the differences between neighbouring settings.
    """
    entries = list(dict.fromkeys(entry for rows_of in settings.values() for entry in rows_of.values()))
    present = [run for entry, seed in product(entries, seeds) if (run := runs.get((entry, labels, seed)))]
    metric, pairs = headline(present), list(pairwise(settings))
    columns = [Column("method", text=True)]
    columns += [Column(text, setting, signed=text == "gain") for setting in settings for text in (metric, "gain")]
    columns += [Column(f"{after} − {before}", signed=True) for before, after in pairs]
    rows = []
    for method in _methods(settings):
        row = [Cell(method)]
        for rows_of in settings.values():
            entry, reference = rows_of.get(method), rows_of.get(BASELINE, BASELINE)
            scores = [run.score for seed in seeds if entry and (run := runs.get((entry, labels, seed)))]
            row.append(scored(scores) if entry else Cell(NOTHING))
            row.append(difference(runs, entry, reference, labels, seeds))
        row += [difference(runs, settings[after].get(method), settings[before].get(method), labels, seeds) for before, after in pairs]
        rows.append(row)
    missing = sorted(entry for entry in entries if not any((entry, labels, seed) in runs for seed in seeds))
    notes = [note for note in unequal(present, [labels]) if not note.startswith("unequal: steps ")]  # the table of costs has them
    notes += [f"not run: {', '.join(missing)}"] if missing else []
    notes += [
        *protocol_lines(present, [labels]),
        f"Gain: over {BASELINE} with the same setting.",
        "Gain and difference between settings: mean over seeds of paired differences, in brackets its 95 % interval (paired bootstrap).",
        *uneven(runs, entries, [labels], seeds),
        *reconstructions(present),
    ]
    caption = f"Methods with their settings at {labels}: {', '.join(settings)}"
    return Table(f"settings-{labels}", caption, columns, rows, notes, _records(runs, labels, seeds, settings))


def _costs(runs: Mapping[Key, Run], sweep: Grid, settings: Settings) -> Table:
    """Rows: the entry of each method with each setting. Costs are means over its runs, or one for each budget if they differ."""
    columns = [Column(text, text=True) for text in ("method", "setting", "entry")]
    columns += [Column(text) for text in (*COSTS.values(), "seeds")]
    rows, records = [], []
    for method, setting in product(_methods(settings), settings):
        if not (entry := settings[setting].get(method)):
            continue
        budgets = [[run for seed in sweep.seeds if (run := runs.get((entry, labels, seed)))] for labels in sweep.labels]
        row = [Cell(method), Cell(setting), Cell(entry)]
        for cost in COSTS:
            means = [statistics.fmean(_cost(run, cost) for run in found) for found in budgets if found]
            texts = dict.fromkeys(number(mean) if cost == "gflop" else f"{mean:,.15g}" for mean in means)
            row.append(Cell(" / ".join(texts) or NOT_RUN, Score(statistics.fmean(means) if means else None)))
        rows.append([*row, seed_counts(budgets, len(sweep.seeds))])
        for labels, found in zip(sweep.labels, budgets, strict=True):
            costs = {name: statistics.fmean(_cost(run, cost) for run in found) if found else None for cost, name in COSTS.items()}
            records.append({"method": method, "setting": setting, "entry": entry, "labels": labels, **costs, "seeds": len(found)})
    notes = [
        "Steps: of the training after its warm-up.",
        "Passes: forward passes for one labelled and one unlabelled person.",
        "GFLOP: cost of one run's training, forward and backward passes of all its networks, their warm-up included.",
        "A slash separates budgets if they differ.",
    ]
    return Table("settings-costs", "What each setting costs", columns, rows, notes, records)


def _methods(settings: Settings) -> list[str]:
    return list(dict.fromkeys(method for rows_of in settings.values() for method in rows_of))


def _cost(run: Run, cost: str) -> float:
    return gflop(run) if cost == "gflop" else run.training[cost]


def gflop(run: Run) -> float:
    """GFLOP of a run's training, warm-up included (runs of semipose 0.1 do not have the warm-up's)."""
    return float(run.training["gflop"] + run.training.get("warmup_gflop", 0.0))


def _records(runs: Mapping[Key, Run], labels: str, seeds: Sequence[int], settings: Settings) -> list[dict[str, Any]]:
    records = []
    for (setting, rows), seed in product(settings.items(), seeds):
        for method, entry in rows.items():
            record: dict[str, Any] = {"method": method, "setting": setting, "entry": entry, "labels": labels, "seed": seed}
            run, reference = runs.get((entry, labels, seed)), rows.get(BASELINE, BASELINE)
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
