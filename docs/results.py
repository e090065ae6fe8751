"""Write the README's tables and docs/results.md from the archive of finished runs, results/: `python docs/results.py`."""

import csv
import re
import statistics
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from semipose.config.load import changes, load, overlaid, read_layers
from semipose.reporting import figures, style
from semipose.reporting.archive import read_archive
from semipose.reporting.cells import NOT_RUN, NOTHING
from semipose.reporting.differences import differences, mean_difference
from semipose.reporting.labels import BASELINE, labels_saved
from semipose.reporting.results import Grid, Key, Run, Score, grids
from semipose.reporting.settings import settings_table
from semipose.reporting.tables import ABOVE, Table, ablation_tables, main_table
from semipose.reporting.typeset import broken, to_markdown

ROOT = Path(__file__).parent.parent
FLIC = "flic"
SHARED = {"flic-methods": FLIC, "flic-fair": FLIC, "flic-labels": "flic-equal-cost"}
"""Presets whose runs share an archive, because a run of one name is the same training in each; other presets have one of their own name."""
PCK = "PCK@0.2 torso"
SHOWN = {"flic-equal-cost": PCK, "demo": ""}
"""Archive of each table of the README, and the second metric that it shows, if any."""
PAGE = """# Results

Every number on this page is read from the archive [`results/`](../results/README.md)
by `python docs/results.py`.
What was tried on the way is in the [notebook](notebook/index.md).
"""
SUGGESTED = "flic-suggest"
"""Archive of the runs of FLIC whose last 50 of 100 labelled people are those of `semipose suggest`."""
MEASURED = re.compile(r"<!-- measured: ([\w ]+) -->\n.*?<!-- end of measured -->", re.DOTALL)


def archive_of(preset: str) -> Path:
    """The archive with the runs of a preset."""
    return ROOT / "results" / SHARED.get(preset, preset)


def grid_runs(name: str) -> tuple[dict[Key, Run], Grid, dict[Key, Run], Grid]:
    """Archived runs of a preset's sweep and of its ablation, each with its grid."""
    p = load(ROOT / f"pipeline/presets/{name}.yaml")
    sweep, ablation = grids(p)
    main, variants = (read_archive(archive_of(name), p.data.source, grid) for grid in (sweep, ablation))
    return main, sweep, variants, ablation


def compact(name: str, second: str) -> str:
    """Markdown: a row for each method: seeds at each budget, the headline, the gain over supervised and perhaps a second metric."""
    runs, sweep, _, _ = grid_runs(name)
    table = main_table(runs, sweep)
    kept = [k for k, column in enumerate(table.columns) if column.group in sweep.labels and column.name != ABOVE]
    labelled = {run.labels: f"{run.labelled:,} labels" for run in runs.values()}
    heads = ["method", "seeds"]
    for k in kept:
        column = table.columns[k]
        heads.append(column.name if column.signed else f"{column.name}, {labelled.get(column.group, column.group)}")
    gflop = next(k for k, column in enumerate(table.columns) if column.name == "GFLOP")
    heads.insert(2, "GFLOP")
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


def renewed(readme: str) -> str:
    """The README with the tables of the archive."""
    for name, second in SHOWN.items():
        begin, end = f"<!-- results/{name}: python docs/results.py -->\n", f"<!-- end of results/{name} -->\n"
        before, _, rest = readme.partition(begin)
        if rest:
            readme = before + begin + compact(name, second) + end + rest.partition(end)[2]
    return readme


def in_short(name: str) -> str:
    """Markdown: what an archive says of AKM, in sentences with its own numbers."""
    runs, sweep, variants, ablation = grid_runs(name)
    parts = ["\n## In short\n\n### Unlabelled people help when labels are few\n\n"]
    for labels in sweep.labels:
        found = differences(runs, "akm", "supervised", labels, sweep.seeds)
        if found:
            labelled = next(run.labelled for run in runs.values() if run.labels == labels)
            seeds = ", ".join(f"{value:+.1f}" for value, _ in found)
            gain = f"With {labelled} labelled people of FLIC, AKM gains {_signed(mean_difference(found))} AP over supervised"
            parts.append(f"{gain}.\nSeed by seed: {seeds}.\n")
    parts.append("\n" + compact(name, PCK))
    rows = []
    for labels in ablation.labels:
        for variant in ablation.methods:
            found = differences(runs | variants, variant, "akm", labels, ablation.seeds)
            if found:
                rows.append((variant, labels, len(found), mean_difference(found)))
    if rows:
        tree = overlaid(read_layers(ROOT / f"pipeline/presets/{name}.yaml"))
        parts.append("\n### What of AKM matters on real people\n\n")
        for words, kept in (("below", [r for r in rows if (r[3].high or 0) < 0]), ("above", [r for r in rows if (r[3].low or 0) > 0])):
            names = ", ".join(f"`{variant}` ({_signed(score)})" for variant, _, _, score in kept)
            parts.append(broken(f"Variants {words} AKM by more than their interval: {names or 'none'}.") + "\n")
        parts.append(
            "All others are within their interval.\nIntervals are over validation people: the noise of training is not in them\n"
            "([how large it is](notebook/jointmix.md#how-much-two-trainings-differ)), so one seed shows only large effects.\n"
        )
        parts.append("\n| variant | what differs from AKM | labels | seeds | difference to AKM, AP |\n|---|---|---:|---:|---:|\n")
        for variant, labels, seeds, score in rows:
            parts.append(
                f"| `{variant}` | {_differs(changes(tree, variant))} | {labels.removeprefix('L')} | {seeds} | {_signed(score)} |\n"
            )
    return "".join(parts)


def _differs(changed: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}: {' + '.join(map(str, value)) if isinstance(value, list) else value}" for key, value in changed.items())


def _signed(score: Score) -> str:
    value, low, high = (f"{number or 0:+.1f}" for number in score)
    return f"{value} [{low}, {high}]"


def archives() -> list[str]:
    """Presets with finished runs, those of real people first."""
    found = (path.stem for path in (ROOT / "pipeline/presets").glob("*.yaml") if (archive_of(path.stem) / "runs").is_dir())
    return sorted(found, key=lambda name: (load(ROOT / f"pipeline/presets/{name}.yaml").data.source == "demo", name))


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
                    cells = [row[k].text for k, column in enumerate(table.columns) if column.group == labels and column.name != ABOVE]
                    gain = cells[1] if len(cells) > 1 else "–"
                    line = f"| `{name}` | `{method}` | {own[0].labelled:,} | {len(own)} | {cells[0]} | {gain} | {row[gflop].text} |\n"
                    key = archive_of(name).name, method, own[0].labelled
                    lines[key] = max(lines.get(key, (0, "")), (len(own), line), key=lambda entry: entry[0])
    if not lines:
        return "Not run yet in an archived sweep; first figures are in the [notebook](../notebook/index.md).\n"
    head = "| preset | entry | labels | seeds | AP | gain over supervised | GFLOP |\n|---|---|---:|---:|---:|---:|---:|\n"
    return head + "".join(line for _, line in lines.values()) + "\nMore: [results](../results.md).\n"


def renewed_method(text: str) -> str:
    """A page of docs/methods/ with the rows of the archive."""
    return MEASURED.sub(lambda block: f"<!-- measured: {block[1]} -->\n{measured(block[1].split())}<!-- end of measured -->", text)


def chosen_on(archive: str) -> dict[Key, float]:
    """AP of runs on the people that choices are made on (`choose.csv` of an archive, made by `semipose predict` and `evaluate`)."""
    with (ROOT / "results" / archive / "choose.csv").open() as file:
        return {(row["method"], row["labels"], int(row["seed"])): float(row["AP"]) for row in csv.DictReader(file)}


def choices() -> str:
    """Markdown: AP on the people for choices, seed by seed."""
    found = chosen_on(FLIC)
    rows = sorted({key[:2] for key in found})
    lines = ["| method | labels | seeds | AP, seed by seed |", "|---|---:|---|---:|"]
    for method, labels in rows:
        values = {seed: value for (*key, seed), value in found.items() if tuple(key) == (method, labels)}
        each = ", ".join(f"{value:.1f}" for value in values.values())
        lines.append(f"| `{method}` | {labels.removeprefix('L')} | {', '.join(map(str, values))} | {each} |")
    return (
        "\n### The people for choices\n\n"
        "547 people of four other films, who are harder.\n"
        "Settings may be chosen on them, never on the validation people.\n"
        "Runs of different days come from different processors\n"
        "([how much that matters](notebook/jointmix.md#how-much-two-trainings-differ)).\n\n" + "\n".join(lines) + "\n"
    )


def same_cost() -> str:
    """Markdown: JointMix against others whose training costs the same."""
    runs, sweep, variants, _ = grid_runs("flic-equal-cost")
    runs |= variants
    lines = []
    for labels in sweep.labels:
        for other in ("akm", "akm_colours", "posedual", "posedual_colours", "supervised", "supervised_colours"):
            found = differences(runs, "jointmix", other, labels, sweep.seeds)
            if found:
                each = ", ".join(f"{value:+.1f}" for value, _ in found)
                lines.append(f"| {labels.removeprefix('L')} | `{other}` | {len(found)} | {_signed(mean_difference(found))} | {each} |\n")
    if not lines:
        return ""
    return (
        "\n### JointMix at AKM's cost\n\n"
        "Every training costs what AKM's does: steps follow from the operations of a step, warm-up included.\n"
        "`…_colours`: with JointMix's colours on labelled and strong views.\n\n"
        "| labels | JointMix over | seeds | difference, AP | seed by seed |\n|---:|---|---:|---:|---:|\n" + "".join(lines)
    )


def label_figure() -> style.Picture | None:
    """AP over labelled people; None before three budgets were run."""
    runs, sweep, _, _ = grid_runs("flic-labels")
    picture = figures.budgets(runs, sweep, style.styles(sweep.methods))
    return replace(picture, name="flic-labels") if picture and len({labels for _, labels, _ in runs}) > 2 else None


def learning_curves() -> str:
    """Markdown: the figure of AP over labelled people, and how many labels a method saves."""
    runs, sweep, _, _ = grid_runs("flic-labels")
    picture = label_figure()
    if picture is None:
        return ""
    saved = [sentence for method in sweep.methods if method != BASELINE for sentence in labels_saved(runs, sweep, method)]
    caption = picture.caption.partition(".")[0]
    return (
        "\n### How many labels a method saves\n\n"
        + "".join(f"- {sentence}\n" for sentence in saved)
        + (f"\n![{picture.alt}](pictures/flic-labels.png)\n\n*{caption}; every training costs what AKM's does.*\n")
    )


def precisions() -> str:
    """Markdown: AKM in bfloat16 against float32, the same people, steps and seeds."""
    float32, sweep, _, _ = grid_runs("flic-large")
    bfloat16, *_ = grid_runs("flic-large-bf16")
    both = {("float32", *key[1:]): run for key, run in float32.items() if key[0] == "akm"}
    both |= {("bfloat16", *key[1:]): run for key, run in bfloat16.items() if key[0] == "akm"}
    (labels,) = sweep.labels
    found = differences(both, "bfloat16", "float32", labels, sweep.seeds)
    return (
        "\n### bfloat16 against float32\n\n"
        "AKM at 256 × 192 with 300 labels, on a CPU that computes in bfloat16\n"
        "(presets `flic-large` and `flic-large-bf16`).\n"
        f"The difference is {_signed(mean_difference(found))} AP; seed by seed: {', '.join(f'{value:+.1f}' for value, _ in found)}.\n"
    )


def suggestions() -> str:
    """Markdown: what 50 more labels are worth, of suggested people and of random ones."""
    archived, sweep, _, _ = grid_runs("flic-methods")
    chosen = read_archive(ROOT / "results" / SUGGESTED, "flic", sweep)
    lines = ["| method | seeds | 50 labels | 100, random | 100, suggested | suggested over random |", "|---|---:|---:|---:|---:|---:|"]
    for method in dict.fromkeys(name for name, _, _ in chosen):
        seeds = [seed for seed in sweep.seeds if (method, "L100", seed) in chosen]
        means = []
        for runs, labels in ((archived, "L50"), (archived, "L100"), (chosen, "L100")):
            values = [runs[method, labels, seed].score.value or 0 for seed in seeds]
            means.append(f"{statistics.fmean(values):.1f}" if values else "not run")
        both = {("random", labels, seed): run for (kind, labels, seed), run in archived.items() if kind == method}
        both |= {("suggested", labels, seed): run for (kind, labels, seed), run in chosen.items() if kind == method}
        found = differences(both, "suggested", "random", "L100", seeds)
        each = ", ".join(f"{value:+.1f}" for value, _ in found)
        gain = f"{_signed(mean_difference(found))} ({each})" if found else "not run"
        lines.append(f"| `{method}` | {len(seeds)} | {' | '.join(means)} | {gain} |")
    hard, usual = chosen_on(SUGGESTED), chosen_on(FLIC)
    pairs = [f"{usual[key]:.1f} to {value:.1f}" for key, value in hard.items() if key in usual]
    harder = "AP of supervised on the four harder films for choices, random to suggested, seed by seed:\n"
    harder += f"{', '.join(pairs)}.\n\n"
    harder += (
        "So at 100 labels suggested people teach more about hard people and less about usual ones.\n"
        "Mix them with random ones if usual people are what you want to measure.\n"
    )
    return (
        "## Measured\n\nFLIC, validation AP (archives `flic` and `flic-suggest`).\n"
        "Each seed starts with 50 random people.\n"
        "AKM's network of that seed suggests 50 more of the other 2,735.\n"
        "The last column has the interval over people of the mean, and each seed.\n\n" + "\n".join(lines) + "\n\n" + harder
    )


def trimmed(table: Table) -> Table:
    """The table without rows and columns in which nothing was run; its notes say what was not run."""
    some = [[cell.text not in (NOT_RUN, NOTHING) for cell in row] for row in table.rows]
    rows = [k for k, row in enumerate(some) if any(row[1:])]
    columns = [k for k in range(len(table.columns)) if k == 0 or any(some[row][k] for row in rows)]
    kept = [[table.rows[row][k] for k in columns] for row in rows]
    return replace(table, columns=[table.columns[k] for k in columns], rows=kept)


def page() -> str:
    """docs/results.md: the tables of every archive."""
    parts = [PAGE, in_short("flic-methods"), same_cost(), learning_curves(), choices(), precisions()]
    for name in archives():
        runs, sweep, variants, ablation = grid_runs(name)
        tree = overlaid(read_layers(ROOT / f"pipeline/presets/{name}.yaml"))
        p = load(ROOT / f"pipeline/presets/{name}.yaml")
        bases = {entry: p.method[entry].base for entry in ablation.methods}
        differs = {entry: changes(tree, entry) for entry in ablation.methods}
        parts.append(f"\n## {p.report.title}\n\nPreset `{name}`, archive `results/{archive_of(name).name}/`.\n")
        tables = [settings_table(runs | variants, sweep, p.report.settings)] if p.report.settings else []
        tables += [main_table(runs, sweep)] if runs and not tables else []
        tables += ablation_tables(runs | variants, ablation, bases, differs, p.report.ablations) if variants else []
        parts += ["\n" + to_markdown(trimmed(table)).replace("# ", "### ", 1) for table in tables]
    return "".join(parts)


if __name__ == "__main__":
    if figure := label_figure():
        style.save(figure, ROOT / "docs/pictures")
    readme = ROOT / "README.md"
    readme.write_text(renewed(readme.read_text(encoding="utf-8")), encoding="utf-8")
    (ROOT / "docs/results.md").write_text(page(), encoding="utf-8")
    suggest = ROOT / "docs/suggest.md"
    before, begin, _ = suggest.read_text(encoding="utf-8").partition("<!-- measured (python docs/results.py) -->\n")
    suggest.write_text(before + begin + suggestions(), encoding="utf-8")
    for method in (ROOT / "docs/methods").glob("*.md"):
        method.write_text(renewed_method(method.read_text(encoding="utf-8")), encoding="utf-8")
