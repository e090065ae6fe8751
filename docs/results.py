"""Write the README's tables, docs/results.md and each results.csv from the archive of finished runs, results/: `python docs/results.py`."""

import re
from collections import Counter
from dataclasses import replace

from findings import choices, from_imagenet, in_short, label_figure, learning_curves, precisions, same_cost, saved_by, suggestions
from presets import PCK, ROOT, archive_of, archives, compact, grid_runs

from semipose.config.load import changes, load, overlaid, read_layers
from semipose.reporting import style
from semipose.reporting.archive import write_archive_results
from semipose.reporting.cells import NOT_RUN, NOTHING
from semipose.reporting.settings import settings_tables
from semipose.reporting.tables import ABOVE, Table, ablation_tables, main_table
from semipose.reporting.typeset import broken, to_markdown

SHOWN = {"flic-equal-cost": (PCK, ("supervised_colours", "akm_colours", "posedual_colours")), "demo": ("", ())}
"""Archive of each table of the README, the second metric that it shows, if any, and variants that it shows beside the methods."""
PAGE = """# Results

Every number on this page is read from the archive [`results/`](../results/README.md)
by `python docs/results.py`.
What was tried on the way is in the [notebook](notebook/index.md).

Intervals are over validation people.
FLIC's 655 are frames of only four films.
So an interval says how far other frames of these films would move a figure;
people of other films may move it by more.
"""
LEGEND = """
## How to read the tables

Unless a table says otherwise:

"""
OFTEN = 4
"""A note that so many tables have is said once, above them."""
OWN = ("Protocol: ", "Training, ", "Statistics: ", "not run: ", "unequal: ")
"""How notes begin that belong to their table, even if another table has the same."""
TABLE = re.compile(r"(<!-- results/([\w-]+): python docs/results.py -->\n).*?(<!-- end of results/\2 -->\n)", re.DOTALL)
MEASURED = re.compile(r"(<!-- measured: ([\w ]+) -->\n).*?(<!-- end of measured -->)", re.DOTALL)


def renewed(readme: str) -> str:
    """The README with the tables of the archive."""
    parts = {name: compact(name, second, beside) for name, (second, beside) in SHOWN.items()}
    parts["flic-labels"] = saved_by("jointmix")
    return TABLE.sub(lambda block: block[1] + parts[block[2]] + block[3], readme)


def measured(methods: list[str]) -> str:
    """Markdown: the rows of these methods in the main table of every archive, a row for each method and budget.

    Of presets that share an archive, the one with most seeds is shown.
    """
    lines: dict[tuple[str, str, int], tuple[int, str]] = {}
    for name in archives():
        runs, sweep, _, _ = grid_runs(name)
        table = main_table(runs, sweep)
        gflop = next(k for k, column in enumerate(table.columns) if column.name == "GFLOP")
        for method, row in zip(sweep.methods, table.rows, strict=True):
            for labels in sweep.labels if method in methods else ():
                own = [run for (kind, budget, _), run in runs.items() if (kind, budget) == (method, labels)]
                if own:
                    score, gain = (row[k].text for k, column in enumerate(table.columns) if column.group == labels and column.name != ABOVE)
                    what = f"`{name}` | `{method}` | {own[0].labelled:,} | {len(own)} | {own[0].protocol['headline']}"
                    line = f"| {what} | {score} | {gain} | {row[gflop].text} |\n"
                    key = archive_of(name).name, method, own[0].labelled
                    lines[key] = max(lines.get(key, (0, "")), (len(own), line), key=lambda entry: entry[0])
    if not lines:
        return "Not run yet in an archived sweep; first figures are in the [notebook](../notebook/index.md).\n"
    head = "| preset | entry | labels | seeds | metric | score | gain over supervised | GFLOP |\n|---|---|---:|---:|---|---:|---:|---:|\n"
    return head + "".join(line for _, line in lines.values()) + "\nMore: [results](../results.md).\n"


def renewed_method(text: str) -> str:
    """A page of docs/methods/ with the rows of the archive."""
    return MEASURED.sub(lambda block: block[1] + measured(block[2].split()) + block[3], text)


def trimmed(table: Table) -> Table:
    """The table without rows and columns in which nothing was run; its notes say what was not run."""
    some = [[cell.text not in (NOT_RUN, NOTHING) and not cell.text.startswith("0 of ") for cell in row] for row in table.rows]
    figures = [k for k, column in enumerate(table.columns) if not column.text]
    rows = [k for k, row in enumerate(some) if any(row[figure] for figure in figures)]
    columns = [k for k, column in enumerate(table.columns) if column.text or any(some[row][k] for row in rows)]
    kept = [[table.rows[row][k] for k in columns] for row in rows]
    return replace(table, columns=[table.columns[k] for k in columns], rows=kept)


def page() -> str:
    """docs/results.md: the tables of every archive."""
    sections: list[tuple[str, list[Table]]] = []
    for name in archives():
        runs, sweep, variants, ablation = grid_runs(name)
        tree = overlaid(read_layers(ROOT / f"pipeline/presets/{name}.yaml"))
        p = load(ROOT / f"pipeline/presets/{name}.yaml")
        bases = {entry: p.method[entry].base for entry in ablation.methods}
        differs = {entry: changes(tree, entry) for entry in ablation.methods}
        title = f"\n## {p.report.title}\n\nPreset `{name}`, archive `results/{archive_of(name).name}/`.\n"
        tables = settings_tables(runs | variants, sweep, p.report.settings) if p.report.settings else []
        tables += [main_table(runs, sweep)] if runs and not tables else []
        shown = {entry for rows in p.report.settings.values() for entry in rows.values()}
        if {method for method, _, _ in variants} - shown:
            tables += ablation_tables(runs | variants, ablation, bases, differs, p.report.ablations)
        sections.append((title, [trimmed(table) for table in tables]))
    notes = Counter(note for _, tables in sections for table in tables for note in table.notes)
    legend = [note for note, count in notes.items() if count >= OFTEN and not note.startswith(OWN)]
    parts = [PAGE, in_short("flic-methods"), same_cost(), learning_curves(), from_imagenet(), choices(), precisions(), LEGEND]
    parts += [broken(f"- {note}", indent="  ") + "\n" for note in legend]
    for title, tables in sections:
        parts.append(title)
        for table in tables:
            own = replace(table, notes=[note for note in table.notes if note not in legend])
            parts.append("\n" + to_markdown(own).replace("# ", "### ", 1))
    return "".join(parts)


if __name__ == "__main__":
    for folder in (ROOT / "results").glob("*/"):
        write_archive_results(folder)
    style.save(label_figure(), ROOT / "docs/pictures")
    readme = ROOT / "README.md"
    readme.write_text(renewed(readme.read_text(encoding="utf-8")), encoding="utf-8")
    (ROOT / "docs/results.md").write_text(page(), encoding="utf-8")
    suggest = ROOT / "docs/suggest.md"
    before, begin, _ = suggest.read_text(encoding="utf-8").partition("<!-- measured (python docs/results.py) -->\n")
    suggest.write_text(before + begin + suggestions(), encoding="utf-8")
    for method in (ROOT / "docs/methods").glob("*.md"):
        method.write_text(renewed_method(method.read_text(encoding="utf-8")), encoding="utf-8")
