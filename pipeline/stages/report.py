"""Stage `report`: the runs that `sweep` and `ablation` name -> results.csv, tables, figures, index.html."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.runtime import stage
from semipose.config.load import changes, read_yaml
from semipose.reporting.published import published_table
from semipose.reporting.results import Grid, Key, Run, headline, read_columns, read_runs, write_results
from semipose.reporting.site.gallery import gallery
from semipose.reporting.site.page import page
from semipose.reporting.site.pictures import chart
from semipose.reporting.site.runs import runs_table
from semipose.reporting.site.tables import results_table, summary
from semipose.reporting.tables import Changes, Table, ablation_tables, main_table
from semipose.reporting.typeset import to_csv, to_latex, to_markdown
from semipose.utils.files import replacing

BASE = "akm"


def report(
    root: Path,
    title: str,
    data: str,
    sweep: Grid,
    ablation: Grid,
    bases: Mapping[str, str],
    differs: Changes,
    topics: Mapping[str, Sequence[str]],
) -> list[str]:
    """Write `reports/` from `reports/runs/`; `bases` is what each variant is one of, `differs` what it changes, `topics` the variants that
    have a table of their own, by its name. Returns the names of the tables.

    Raises InputError for a file that is broken or does not belong where it lies.
    """
    reports = root / "reports"
    trained, ablated = (read_runs(reports / "runs", data, grid) for grid in (sweep, ablation))
    runs = trained | ablated
    headline(runs.values())
    write_results(reports / "results.csv", runs.values())
    main_ = main_table(trained, sweep)
    ablations = ablation_tables(runs, ablation, bases, differs, topics)
    beside = published_table(trained, sweep)
    tables = {table.name: table for table in (main_, *ablations, *([beside] if beside else []))}
    for name, table in tables.items():
        for ending, text in {"md": to_markdown(table), "csv": to_csv(table), "tex": to_latex(table)}.items():
            _write(reports / "tables" / f"{name}.{ending}", text)
    for path in (reports / "tables").iterdir():
        if path.stem not in tables:
            path.unlink()  # of another sweep
    plotted = _plot(root, runs, sweep, ablation, bases, differs)
    first = [run for method in sweep.methods if (run := trained.get((method, sweep.labels[0], sweep.seeds[0])))]
    sections = {
        "Results": [results_table(main_, runs.values()), plotted["budgets"], results_table(beside, runs.values()) if beside else ""],
        "Cost": [plotted["costs"]],
        "Ablations": [*_one_below_the_other(ablations, runs), plotted["shuffled"]],
        "Masks": [plotted["masks"]],
        "Keypoints": [plotted["keypoints"]],
        "Training": [plotted[f"curves-{labels}"] for labels in sweep.labels],
        "Gallery": gallery(reports, first),
        "Runs": [runs_table(list(runs.values()))],
    }
    _write(reports / "index.html", page(title, summary(main_, list(trained.values())), sections))
    return list(tables)


def _one_below_the_other(tables: Sequence[Table], runs: Mapping[Key, Run]) -> list[str]:
    """Tables as HTML, each with the notes that none above it has."""
    said = [{note for above in tables[:k] for note in above.notes} for k in range(len(tables))]
    return [results_table(table, runs.values(), notes) for table, notes in zip(tables, said, strict=True)]


def _plot(root: Path, runs: Mapping[Key, Run], sweep: Grid, ablation: Grid, bases: Mapping[str, str], differs: Changes) -> dict[str, str]:
    """Save what can be plotted, and return it as HTML by name; "" where there is nothing to draw."""
    from semipose.reporting import curves, figures, style  # matplotlib takes a second: a broken run is told before it

    look = style.styles([*sweep.methods, *ablation.methods])
    metric = headline(runs.values())
    trained = {key: run for key, run in runs.items() if run.stage == sweep.stage}
    histories = _columns(root, runs, "history.csv")
    control = [name for name in ablation.methods if bases[name] == BASE and differs[name] == {"masking": "shuffled"}]
    against = replace(ablation, methods=(BASE, *control))
    ruled = {name: {"masking", "response"} & set(differs[name]) for name in ablation.methods if bases[name] == BASE}
    counting = [name for name, keys in ruled.items() if keys and differs[name].get("masking") != "fixed"]  # a fixed count follows nobody
    budgets = tuple(dict.fromkeys((*sweep.labels, *ablation.labels)))
    counts = replace(ablation, methods=(*sweep.methods, *counting), labels=budgets)
    masked = {key: run for key, run in runs.items() if key[0] in counts.methods}
    pictures = {
        "budgets": figures.budgets(trained, sweep, look),
        "costs": figures.costs(trained, sweep, look),
        "keypoints": figures.keypoints(trained, sweep, look),
        **{f"curves-{labels}": curves.curves(histories, sweep, labels, metric, look) for labels in sweep.labels},
        "shuffled": curves.shuffled({key: histories[key] for key in against.cells() if key in histories}, against, metric, look),
        "masks": figures.masks(
            {key: people for key, people in _columns(root, masked, "masks.csv").items() if people["count"]}, counts, look
        ),
    }
    folder = root / "reports" / "figures"
    return {
        name: chart(shown.caption, shown.alt, style.save(shown, folder).read_bytes()) if shown else "" for name, shown in pictures.items()
    }


def _columns(root: Path, runs: Mapping[Key, Run], name: str) -> dict[Key, dict[str, list[float]]]:
    paths = {key: root / "reports" / "runs" / run.cell / name for key, run in runs.items()}
    return {key: read_columns(path) for key, path in paths.items() if path.exists()}


def _write(target: Path, text: str) -> None:
    with replacing(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def main() -> None:
    with stage.opened("report", "report", {}) as (this, tracker):
        p, tree = this.params, read_yaml(Path("params.yaml"))
        sweep = Grid("train", tuple(p.sweep.methods), tuple(p.sweep.labels), tuple(p.sweep.seeds))
        ablation = Grid("ablate", tuple(p.ablation.variants), tuple(p.ablation.labels), tuple(p.ablation.seeds))
        bases = {name: p.method[name].base for name in ablation.methods}
        differs = {name: changes(tree, name) for name in ablation.methods}
        tables = report(Path(), p.report.title, p.data.source, sweep, ablation, bases, differs, p.report.ablations)
        for pattern in ("index.html", "results.csv", "tables/*", "figures/*"):
            for path in sorted(Path("reports").glob(pattern)):
                tracker.file(str(path.relative_to("reports")), path)
        tracker.note(Path("reports/tables/main.md").read_text(encoding="utf-8").partition("\n\n")[2])
        for name in tables:
            print(Path(f"reports/tables/{name}.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    stage.main(main, [])
