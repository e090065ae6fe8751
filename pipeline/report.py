"""Stage `report`: the runs that `sweep` and `ablation` name -> results.csv, tables, figures, index.html."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from semipose.errors import InputError
from semipose.files import replacing
from semipose.page import page
from semipose.params import changes, load, read_yaml
from semipose.results import Grid, Key, Run, headline, read_columns, read_runs, write_results
from semipose.tables import ablation_table, main_table
from semipose.typeset import to_csv, to_latex, to_markdown

BASE = "akm"
Differs = Mapping[str, Mapping[str, Any]]  # variant -> dotted key -> value


def report(root: Path, title: str, data: str, sweep: Grid, ablation: Grid, differs: Differs) -> None:
    """Write `reports/` from `reports/runs/*.json` and `runs/<cell>/*.csv`; `differs` is what each variant changes.

    Raises InputError for a file that is broken or does not belong where it lies.
    """
    reports = root / "reports"
    trained, ablated = (read_runs(reports / "runs", data, grid) for grid in (sweep, ablation))
    runs = trained | ablated
    headline(runs.values())
    write_results(reports / "results.csv", runs.values())
    tables = [main_table(trained, sweep)]
    tables += [ablation_table(runs, ablation, BASE, differs)] if ablation.methods else []
    for table in tables:
        for ending, text in {"md": to_markdown(table), "csv": to_csv(table), "tex": to_latex(table)}.items():
            _write(reports / "tables" / f"{table.name}.{ending}", text)
    figures = _draw(root, runs, sweep, ablation, differs)
    _write(reports / "index.html", page(title, tables, figures, list(runs.values())))


def _draw(root: Path, runs: Mapping[Key, Run], sweep: Grid, ablation: Grid, differs: Differs) -> list[tuple[str, str, bytes]]:
    """Save what can be drawn, and return caption, alternative text and PNG of each."""
    from semipose import curves, figures, style  # matplotlib takes a second: a broken run is told before it

    look = style.looks([*sweep.methods, *ablation.methods])
    metric = headline(runs.values())
    trained = {key: run for key, run in runs.items() if run.stage == sweep.stage}
    histories = _columns(root, runs, "history.csv")
    control = [name for name in ablation.methods if differs[name] == {"masking": "shuffled"}]
    against = replace(ablation, methods=(BASE, *control))
    counting = [name for name in ablation.methods if {"masking", "response"} & set(differs[name])]
    budgets = tuple(dict.fromkeys((*sweep.labels, *ablation.labels)))
    counts = replace(ablation, methods=(*sweep.methods, *counting), labels=budgets)
    masked = {key: run for key, run in runs.items() if key[0] in counts.methods}
    pictures = [
        figures.budgets(trained, sweep, look),
        figures.keypoints(trained, sweep, look),
        *(curves.curves(histories, sweep, labels, metric, look) for labels in sweep.labels),
        curves.shuffled({key: histories[key] for key in against.cells() if key in histories}, against, metric, look),
        figures.masks(_columns(root, masked, "masks.csv"), counts, look),
    ]
    folder = root / "reports" / "figures"
    return [(picture.caption, picture.alt, style.save(picture, folder).read_bytes()) for picture in pictures if picture]


def _columns(root: Path, runs: Mapping[Key, Run], name: str) -> dict[Key, dict[str, list[float]]]:
    paths = {key: root / "runs" / run.cell / name for key, run in runs.items()}
    return {key: read_columns(path) for key, path in paths.items() if path.exists()}


def _write(target: Path, text: str) -> None:
    with replacing(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def main(path: Path = Path("params.yaml")) -> None:
    params = load(path)
    tree = read_yaml(path)
    sweep = Grid("train", tuple(params.sweep.methods), tuple(params.sweep.labels), tuple(params.sweep.seeds))
    ablation = Grid("ablate", tuple(params.ablation.variants), tuple(params.ablation.labels), tuple(params.ablation.seeds))
    differs = {name: changes(tree, name) for name in ablation.methods}
    report(path.parent, params.report.title, params.data.source, sweep, ablation, differs)


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        raise SystemExit(f"report: {error}") from None
