"""Write the README's tables and docs/results.md from the archive of finished runs, results/: `python docs/results.py`."""

import statistics
from pathlib import Path

from semipose.config.load import changes, load, overlaid, read_layers
from semipose.reporting.archive import read_archive
from semipose.reporting.results import Grid, Key, Run, grids
from semipose.reporting.tables import ABOVE, ablation_tables, main_table
from semipose.reporting.typeset import to_markdown

ROOT = Path(__file__).parent.parent
SHOWN = {"flic-methods": "PCK@0.2 torso", "demo": ""}
"""Archive of each table of the README, and the second metric that it shows."""
PAGE = """# Results

Every number on this page is read from the archive [`results/`](../results/README.md) by `python docs/results.py`.
What the numbers mean, and what was tried on the way, is in [findings.md](findings.md).
"""


def grid_runs(name: str) -> tuple[dict[Key, Run], Grid, dict[Key, Run], Grid]:
    """Archived runs of a preset's sweep and of its ablation, each with its grid."""
    p = load(ROOT / f"pipeline/presets/{name}.yaml")
    sweep, ablation = grids(p)
    main, variants = (read_archive(ROOT / "results" / name, p.data.source, grid) for grid in (sweep, ablation))
    return main, sweep, variants, ablation


def compact(name: str, second: str) -> str:
    """Markdown: a row for each method; for each budget the headline, the gain over supervised and perhaps a second metric."""
    runs, sweep, _, _ = grid_runs(name)
    table = main_table(runs, sweep)
    kept = [k for k, column in enumerate(table.columns) if column.group in sweep.labels and column.name != ABOVE]
    labelled = {run.labels: f"{run.labelled:,} labels" for run in runs.values()}
    heads = ["method"]
    for k in kept:
        column = table.columns[k]
        heads.append(column.name if column.signed else f"{column.name}, {labelled.get(column.group, column.group)}")
    if second:
        heads += [f"{second}, {labelled.get(labels, labels)}" for labels in sweep.labels]
    lines = [heads, ["---"] * len(heads)]
    for method, row in zip(sweep.methods, table.rows, strict=True):
        if not any(name == method for name, _, _ in runs):
            continue  # docs/results.md says what was not run
        lines.append([f"`{method}`", *(row[k].text for k in kept)])
        for labels in sweep.labels if second else ():
            values = [run.metrics[second].value for seed in sweep.seeds if (run := runs.get((method, labels, seed)))]
            known = [value for value in values if value is not None]
            lines[-1].append(f"{statistics.fmean(known):.1f}" if known else "not run")
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def renewed(readme: str) -> str:
    """The README with the tables of the archive."""
    for name, second in SHOWN.items():
        begin, end = f"<!-- results/{name}: python docs/results.py -->\n", f"<!-- end of results/{name} -->\n"
        before, _, rest = readme.partition(begin)
        if rest:
            readme = before + begin + compact(name, second) + end + rest.partition(end)[2]
    return readme


def page() -> str:
    """docs/results.md: the tables of every archive."""
    parts = [PAGE]
    for folder in sorted(path for path in (ROOT / "results").iterdir() if (path / "runs").is_dir()):
        runs, sweep, variants, ablation = grid_runs(folder.name)
        tree = overlaid(read_layers(ROOT / f"pipeline/presets/{folder.name}.yaml"))
        p = load(ROOT / f"pipeline/presets/{folder.name}.yaml")
        bases = {name: p.method[name].base for name in ablation.methods}
        differs = {name: changes(tree, name) for name in ablation.methods}
        parts.append(f"\n## {p.report.title}\n\nPreset `{folder.name}`, archive `results/{folder.name}/`.\n")
        tables = [main_table(runs, sweep)] if runs else []
        tables += ablation_tables(runs | variants, ablation, bases, differs, p.report.ablations) if variants else []
        parts += ["\n" + to_markdown(table).replace("# ", "### ", 1) for table in tables]
    return "".join(parts)


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(renewed(readme.read_text(encoding="utf-8")), encoding="utf-8")
    (ROOT / "docs/results.md").write_text(page(), encoding="utf-8")
