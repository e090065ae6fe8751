"""What the archive of finished runs, results/, has of each preset: its runs, and its main table in short."""

import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from semipose.config.load import load
from semipose.reporting.archive import read_archive
from semipose.reporting.results import Grid, Key, Run, grids
from semipose.reporting.tables import ABOVE, main_table

ROOT = Path(__file__).parent.parent
FLIC = "flic"
SHARED = {"flic-methods": FLIC, "flic-fair": FLIC, "flic-labels": "flic-equal-cost"}
"""Presets whose runs share an archive, because a run of one name is the same training in each; other presets have one of their own name."""
PCK = "PCK@0.2 torso"


def archive_of(preset: str) -> Path:
    """The archive with the runs of a preset."""
    return ROOT / "results" / SHARED.get(preset, preset)


def grid_runs(name: str) -> tuple[dict[Key, Run], Grid, dict[Key, Run], Grid]:
    """Archived runs of a preset's sweep and of its ablation, each with its grid."""
    p = load(ROOT / f"pipeline/presets/{name}.yaml")
    sweep, ablation = grids(p)
    main, variants = (read_archive(archive_of(name), p.data.source, grid) for grid in (sweep, ablation))
    return main, sweep, variants, ablation


def compact(name: str, second: str, beside: Sequence[str] = ()) -> str:
    """Markdown: a row for each method: seeds at each budget, the headline, the gain over supervised and perhaps a second metric.

    Args:
        name: The preset.
        second: The second metric; "" for none.
        beside: Variants of its ablation that get a row, too.
    """
    runs, sweep, variants, _ = grid_runs(name)
    runs |= {key: run for key, run in variants.items() if key[0] in beside}
    sweep = replace(sweep, methods=(*sweep.methods, *beside))
    table = main_table(runs, sweep)
    kept = [k for k, column in enumerate(table.columns) if column.group in sweep.labels and column.name != ABOVE]
    labelled = {run.labels: f"{run.labelled:,} labels" for run in runs.values()}
    heads = ["method", "seeds", "GFLOP"]
    for k in kept:
        column = table.columns[k]
        heads.append(column.name if column.signed else f"{column.name}, {labelled.get(column.group, column.group)}")
    gflop = next(k for k, column in enumerate(table.columns) if column.name == "GFLOP")
    if second:
        heads += [f"{second}, {labelled.get(labels, labels)}" for labels in sweep.labels]
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)]]
    for method, row in zip(sweep.methods, table.rows, strict=True):
        if not any(name == method for name, _, _ in runs):
            continue  # docs/results.md says what was not run
        counts = [sum(key[:2] == (method, labels) for key in runs) for labels in sweep.labels]
        lines.append([f"`{method}`", " / ".join(map(str, counts)), row[gflop].text, *(row[k].text for k in kept)])
        for labels in sweep.labels if second else ():
            values = [run.metrics[second].value for seed in sweep.seeds if (run := runs.get((method, labels, seed)))]
            known = [value for value in values if value is not None]
            lines[-1].append(f"{statistics.fmean(known):.1f}" if known else "not run")
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def archives() -> list[str]:
    """Presets with finished runs, those of real people first."""
    found = (path.stem for path in (ROOT / "pipeline/presets").glob("*.yaml") if any(archive_of(path.stem).glob("runs/*.json")))
    return sorted(found, key=lambda name: (load(ROOT / f"pipeline/presets/{name}.yaml").data.source == "demo", name))
