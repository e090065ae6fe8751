"""Stage `report`: from the runs of `sweep` and `ablation` to
results.csv, tables, figures and index.html.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pipeline.runtime import stage
from semipose.config.load import changes, read_yaml
from semipose.reporting.published import published_table
from semipose.reporting.results import Grid, Key, Run, grids, headline, read_columns, read_runs, write_results
from semipose.reporting.settings import settings_tables
from semipose.reporting.site.page import page
from semipose.reporting.tables import Changes, ablation_tables, main_table
from semipose.reporting.typeset import to_csv, to_latex, to_markdown
from semipose.utils.files import write_text

BASE = "akm"
COUNTING = {"masking", "response", "tau", "tau_hard", "count", "n_min", "n_max"}
"""Keys of AKM that decide how many keypoints are masked."""


def report(
    root: Path,
    title: str,
    data: str,
    sweep: Grid,
    ablation: Grid,
    bases: Mapping[str, str],
    differs: Changes,
    topics: Mapping[str, Sequence[str]],
    settings: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
) -> list[str]:
    """Write `reports/` from `reports/runs/`.

    Args:
        root: Root of the project.
        title: Heading of the page.
        data: Data set of the runs, `data.source`.
        sweep: Methods, budgets and seeds of the main table.
        ablation: Variants, budgets and seeds of the ablation tables.
        bases: Name of a variant -> its base.
        differs: Name of a variant -> what it changes.
        topics: Name of a separate ablation table -> its variants.
        settings: Columns of the table of settings.

    Returns:
        The names of the tables.

    Raises:
        InputError: A file is damaged or in the wrong place.
    """
    reports = root / "reports"
    trained, ablated = (read_runs(reports / "runs", data, grid) for grid in (sweep, ablation))
    runs = trained | ablated
    headline(runs.values())
    write_results(reports / "results.csv", runs.values())
    main_ = main_table(trained, sweep)
    ablations = ablation_tables(runs, ablation, bases, differs, topics)
    if settings:
        ablations = [*settings_tables(runs, sweep, settings), *ablations]
    beside = published_table(trained, sweep)
    tables = {table.name: table for table in (main_, *ablations, *([beside] if beside else []))}
    for name, table in tables.items():
        for ending, text in {"md": to_markdown(table), "csv": to_csv(table), "tex": to_latex(table)}.items():
            write_text(reports / "tables" / f"{name}.{ending}", text)
    for path in (reports / "tables").iterdir():
        if path.stem not in tables:
            path.unlink()  # of another sweep
    pictures = _plot(root, runs, sweep, ablation, bases, differs)
    first = [run for method in sweep.methods if (run := _first(trained, method, sweep))]
    curves = [pictures[f"curves-{labels}"] for labels in sweep.labels]
    masking = [run for name in _counting(ablation, bases, differs) if (run := _first(runs, name, ablation))]
    parts = {"beside": beside, "ablations": ablations, "pictures": pictures, "curves": curves, "masking": masking}
    write_text(reports / "index.html", page(reports, title, main_, list(runs.values()), first, **parts))
    return list(tables)


def _plot(root: Path, runs: Mapping[Key, Run], sweep: Grid, ablation: Grid, bases: Mapping[str, str], differs: Changes) -> dict[str, Any]:
    """Save everything that can be plotted and return it by name; None for an empty plot."""
    # matplotlib takes a second to import: report a damaged run before that
    from semipose.reporting import calibration, curves, figures, style

    styles = style.styles([*sweep.methods, *ablation.methods])
    metric = headline(runs.values())
    trained = {key: run for key, run in runs.items() if run.stage == sweep.stage}
    histories = _columns(root, runs, "history.csv")
    control = [name for name in ablation.methods if bases[name] == BASE and differs[name] == {"masking": "shuffled"}]
    against = replace(ablation, methods=(BASE, *control))
    # A fixed count does not follow difficulty.
    counting = [name for name in _counting(ablation, bases, differs) if differs[name].get("masking") != "fixed"]
    budgets = tuple(dict.fromkeys((*sweep.labels, *ablation.labels)))
    counts = replace(ablation, methods=(*sweep.methods, *counting), labels=budgets)
    masked = {key: run for key, run in runs.items() if key[0] in counts.methods}
    pictures = {
        "budgets": figures.budgets(trained, sweep, styles),
        "costs": figures.costs(trained, sweep, styles),
        "keypoints": figures.keypoints(trained, sweep, styles),
        **{f"curves-{labels}": curves.curves(histories, sweep, labels, metric, styles) for labels in sweep.labels},
        "shuffled": curves.shuffled({key: histories[key] for key in against.runs() if key in histories}, against, metric, styles),
        "masks": figures.masks(
            {key: people for key, people in _columns(root, masked, "masks.csv").items() if people["count"]}, counts, styles
        ),
        "calibration": calibration.calibration(_columns(root, trained, "pseudo_labels.csv"), sweep, styles),
    }
    for shown in pictures.values():
        if shown:
            style.save(shown, root / "reports" / "figures")
    return pictures


def _counting(ablation: Grid, bases: Mapping[str, str], differs: Changes) -> list[str]:
    """Variants of AKM that mask other numbers of keypoints."""
    return [name for name in ablation.methods if bases[name] == BASE and COUNTING & set(differs[name])]


def _first(runs: Mapping[Key, Run], method: str, grid: Grid) -> Run | None:
    """The run of this method with the first budget and seed of a grid."""
    return runs.get((method, grid.labels[0], grid.seeds[0]))


def _columns(root: Path, runs: Mapping[Key, Run], name: str) -> dict[Key, dict[str, list[float]]]:
    paths = {key: root / "reports" / "runs" / run.name / name for key, run in runs.items()}
    return {key: read_columns(path) for key, path in paths.items() if path.exists()}


def main() -> None:
    with stage.opened("report") as (this, tracker):
        p, tree = this.params, read_yaml(Path("params.yaml"))
        sweep, ablation = grids(p)
        bases = {name: p.method[name].base for name in ablation.methods}
        differs = {name: changes(tree, name) for name in ablation.methods}
        tables = report(Path(), p.report.title, p.data.source, sweep, ablation, bases, differs, p.report.ablations, p.report.settings)
        for pattern in ("index.html", "results.csv", "tables/*", "figures/*"):
            for path in sorted(Path("reports").glob(pattern)):
                tracker.file(str(path.relative_to("reports")), path)
        tracker.note(Path("reports/tables/main.md").read_text(encoding="utf-8").partition("\n\n")[2])
        for name in tables:
            print(Path(f"reports/tables/{name}.md").read_text(encoding="utf-8"))
    print("open reports/index.html, or run `make ui` for MLflow")


if __name__ == "__main__":
    stage.main(main, [])
