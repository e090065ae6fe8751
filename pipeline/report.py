"""Stage `report`: the runs that `sweep` and `ablation` name -> results.csv, tables, figures, index.html."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline import stage
from semipose.files import replacing
from semipose.page import page
from semipose.params_file import changes, read_yaml
from semipose.published import published_table
from semipose.results import Grid, Key, Run, headline, read_columns, read_runs, write_results
from semipose.tables import ablation_table, main_table
from semipose.typeset import to_csv, to_latex, to_markdown

BASE = "akm"
Differs = Mapping[str, Mapping[str, Any]]  # variant -> dotted key -> value


def report(root: Path, title: str, data: str, sweep: Grid, ablation: Grid, bases: Mapping[str, str], differs: Differs) -> None:
    """Write `reports/` from `reports/runs/`; `bases` is what each variant is one of, `differs` what it changes.

    Raises InputError for a file that is broken or does not belong where it lies.
    """
    reports = root / "reports"
    trained, ablated = (read_runs(reports / "runs", data, grid) for grid in (sweep, ablation))
    runs = trained | ablated
    headline(runs.values())
    write_results(reports / "results.csv", runs.values())
    tables = [main_table(trained, sweep)]
    for base in dict.fromkeys(bases.values()):
        variants = tuple(name for name in ablation.methods if bases[name] == base)
        tables.append(ablation_table(runs, replace(ablation, methods=variants), base, differs))
    tables += [beside] if (beside := published_table(trained, sweep)) else []
    for table in tables:
        for ending, text in {"md": to_markdown(table), "csv": to_csv(table), "tex": to_latex(table)}.items():
            _write(reports / "tables" / f"{table.name}.{ending}", text)
    figures = _draw(root, runs, sweep, ablation, bases, differs) + _people(reports, runs, sweep)
    _write(reports / "index.html", page(title, tables, figures, list(runs.values())))


def _draw(
    root: Path, runs: Mapping[Key, Run], sweep: Grid, ablation: Grid, bases: Mapping[str, str], differs: Differs
) -> list[tuple[str, str, bytes]]:
    """Save what can be drawn, and return caption, alternative text and PNG of each."""
    from semipose import curves, figures, style  # matplotlib takes a second: a broken run is told before it

    look = style.looks([*sweep.methods, *ablation.methods])
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
    pictures = [
        figures.budgets(trained, sweep, look),
        figures.keypoints(trained, sweep, look),
        *(curves.curves(histories, sweep, labels, metric, look) for labels in sweep.labels),
        curves.shuffled({key: histories[key] for key in against.cells() if key in histories}, against, metric, look),
        figures.masks({key: people for key, people in _columns(root, masked, "masks.csv").items() if people["count"]}, counts, look),
    ]
    folder = root / "reports" / "figures"
    return [(picture.caption, picture.alt, style.save(picture, folder).read_bytes()) for picture in pictures if picture]


STRIP = "views/{}/strip.jpg"
PEOPLE = {  # file of a cell, under reports/ -> caption and alternative text
    STRIP: (
        "What {} is shown and says in training, on five unlabelled people.",
        "One row per person: the weak view with the teacher's heatmaps, then each strong view with its pseudo-label and the student's "
        "heatmaps.",
    ),
    "views/{}/masks.jpg": (
        "A clear and a hard person under fixed and adaptive masking ({}).",
        "Two rows of pictures: a clear person and a hard person, with the teacher's heatmaps, fixed masks and adaptive masks.",
    ),
    "pictures/{}/best.jpg": ("The best validation people of {}: truth above, prediction below.", "Skeletons drawn on people, two rows."),
    "pictures/{}/median.jpg": ("Middling validation people of {}.", "Skeletons drawn on people, two rows."),
    "pictures/{}/worst.jpg": ("The worst validation people of {}.", "Skeletons drawn on people, two rows."),
}


def _people(reports: Path, runs: Mapping[Key, Run], sweep: Grid) -> list[tuple[str, str, bytes]]:
    """Caption, alternative text and JPEG of the pictures that first cells left: each method's strip, of the last method all."""
    found = []
    for method in sweep.methods:
        run = runs.get((method, sweep.labels[0], sweep.seeds[0]))
        shown = PEOPLE if method == sweep.methods[-1] else [STRIP]
        found += [(reports / name.format(run.cell), PEOPLE[name], run.cell) for name in shown] if run else []
    return [(caption.format(cell), alt, path.read_bytes()) for path, (caption, alt), cell in found if path.exists()]


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
        report(Path(), p.report.title, p.data.source, sweep, ablation, bases, {name: changes(tree, name) for name in ablation.methods})
        for path in sorted(Path("reports").glob("tables/*")) + sorted(Path("reports").glob("figures/*")):
            tracker.file(f"{path.parent.name}/{path.name}", path)
        for path in sorted(Path("reports/tables").glob("*.md"), reverse=True):  # main first
            print(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    stage.main(main, [])
