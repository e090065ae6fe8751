"""What archived runs show beside their tables: sections of docs/results.md and docs/suggest.md that compare runs."""

import csv
import math
import statistics
from dataclasses import replace

from presets import FLIC, PCK, ROOT, compact, grid_runs

from semipose.config.load import changes, overlaid, read_layers
from semipose.reporting import figures, style
from semipose.reporting.archive import read_archive
from semipose.reporting.differences import differences, mean_difference
from semipose.reporting.labels import labels_saved
from semipose.reporting.results import BASELINE, Grid, Key, Run, Score, headline
from semipose.reporting.tables import in_words
from semipose.reporting.typeset import broken

COLOURED = "supervised_colours"
NOISE = 1.6
"""Standard deviation, in AP, of the difference between two trainings of one run: seeds 0 and 1 of AKM on two processors."""
SUGGESTED = "flic-suggest"
"""Archive of the runs of FLIC whose last 50 of 100 labelled people are those of `semipose suggest`."""


def in_short(name: str) -> str:
    """Markdown: what an archive says of AKM, in sentences with its own numbers."""
    runs, sweep, variants, ablation = grid_runs(name)
    parts = ["\n## In short\n\n### Unlabelled people help when labels are few\n\n"]
    for labels in sweep.labels:
        found = differences(runs, "akm", "supervised", labels, sweep.seeds)
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
                rows.append((variant, labels, [value for value, _ in found], mean_difference(found)))
    tree = overlaid(read_layers(ROOT / f"pipeline/presets/{name}.yaml"))
    parts.append("\n### What of AKM matters on real people\n\n")
    for words, sign in (("below", -1), ("above", 1)):
        kept = [row for row in rows if len(row[2]) > 1 and min(sign * value for value in row[2]) > 0 and _beyond_noise(row[3], len(row[2]))]
        names = ", ".join(f"`{variant}` ({_signed(score)})" for variant, _, _, score in kept)
        told = f"Variants {words} AKM with each of two seeds or more, and in the mean beyond the noise of training: {names or 'none'}."
        parts.append(broken(told) + "\n")
    parts.append(
        "No other can be told apart from AKM yet.\n"
        f"Two trainings of one run differ by {NOISE} AP (standard deviation,\n"
        "[measured on two processors](notebook/jointmix.md#how-much-two-trainings-differ)).\n"
        f"So a mean over n seeds is beyond the noise from 2 × {NOISE} / √n AP on: {_noise(2):.1f} for two, {_noise(3):.1f} for three.\n"
        f"Most rows were trained on another processor than AKM's, where AKM itself has {NOISE} AP less:\n"
        "they may be as much better than they look here.\n"
        "The intervals below are over validation people alone.\n"
    )
    parts.append("\n| variant | what differs from AKM | labels | seed by seed | difference to AKM, AP |\n|---|---|---:|---:|---:|\n")
    for variant, labels, values, score in rows:
        each = ", ".join(f"{value:+.1f}" for value in values)
        parts.append(f"| `{variant}` | {in_words(changes(tree, variant))} | {labels.removeprefix('L')} | {each} | {_signed(score)} |\n")
    return "".join(parts)


def _noise(seeds: int) -> float:
    """AP that the mean difference of two equal entries stays within, at 95 % of all trainings."""
    return 2 * NOISE / math.sqrt(seeds)


def _beyond_noise(score: Score, seeds: int) -> bool:
    return score.value is not None and abs(score.value) > _noise(seeds)


def _signed(score: Score, sign: str = "+") -> str:
    value, low, high = (f"{number or 0:{sign}.1f}" for number in score)
    return f"{value} [{low}, {high}]"


def chosen_on(archive: str) -> dict[Key, float]:
    """AP of runs on the people that choices are made on (`choose.csv` of an archive, made by `semipose predict` and `evaluate`)."""
    with (ROOT / "results" / archive / "choose.csv").open() as file:
        return {(row["method"], row["labels"], int(row["seed"])): float(row["AP"]) for row in csv.DictReader(file)}


def choices() -> str:
    """Markdown: AP on the development set, seed by seed."""
    found = chosen_on(FLIC)
    rows = sorted({key[:2] for key in found})
    lines = ["| method | labels | seeds | AP, seed by seed |", "|---|---:|---|---:|"]
    for method, labels in rows:
        values = {seed: value for (*key, seed), value in found.items() if tuple(key) == (method, labels)}
        each = ", ".join(f"{value:.1f}" for value in values.values())
        lines.append(f"| `{method}` | {labels.removeprefix('L')} | {', '.join(map(str, values))} | {each} |")
    return (
        "\n### The development set\n\n"
        "547 people of four other films, who are harder (`data.flic.split: choose`).\n"
        "Settings may be chosen on them, never on the validation people.\n"
        "Runs of different days come from different processors\n"
        "([how much that matters](notebook/jointmix.md#how-much-two-trainings-differ)).\n\n" + "\n".join(lines) + "\n"
    )


def same_cost() -> str:
    """Markdown: JointMix against others whose training costs the same."""
    lines = []
    for preset in ("flic-equal-cost", "lsp-equal-cost"):
        runs, sweep, variants, ablation = grid_runs(preset)
        runs |= variants
        others = sorted(name for name in (*sweep.methods, *ablation.methods) if not name.startswith("jointmix"))
        for labels in sweep.labels:
            for other in others:
                found = differences(runs, "jointmix", other, labels, sweep.seeds)
                if found:
                    each = ", ".join(f"{value:+.1f}" for value, _ in found)
                    what = f"{preset.partition('-')[0].upper()} | {labels.removeprefix('L')} | `{other}` | {headline(runs.values())}"
                    lines.append(f"| {what} | {_signed(mean_difference(found))} | {each} |\n")
    return (
        "\n### JointMix at AKM's cost\n\n"
        "Every training costs what AKM's does: steps follow from the operations of a step, warm-up included.\n"
        "`…_colours`: with JointMix's colours on labelled and strong views.\n"
        "LSP: 8,454 people of Leeds Sports Pose Extended, those with 10 or more visible joints;\n"
        "the last 1,000 of them validate.\n\n"
        "| people | labels | JointMix over | metric | difference | seed by seed |\n|---|---:|---|---|---:|---:|\n" + "".join(lines)
    )


def label_figure() -> style.Picture:
    """AP over labelled people."""
    runs, sweep = _curves()
    return replace(figures.budgets(runs, sweep, style.styles(sweep.methods)), name="flic-labels")


def saved_by(*methods: str) -> str:
    """Markdown: how many labels each method saves, beside supervised and beside supervised with JointMix's colours."""
    runs, sweep = _curves()
    saved = [one for method in methods for baseline in (BASELINE, COLOURED) for one in labels_saved(runs, sweep, method, baseline)]
    rows = [
        f"| `{one.method}` | {one.labelled:,} | `{one.baseline}` | {one.needed:,.0f} {one.interval} | {one.times} | {one.seeds} |\n"
        for one in saved
    ]
    fewest = min(one.labelled for one in saved)
    best = max((one for one in saved if one.baseline == BASELINE and one.labelled == fewest), key=lambda one: one.needed)
    head = "| entry | with labels | is as good as | with labels | more labels | over |\n|---|---:|---|---:|---:|---|\n"
    return broken(str(best)) + "\n\n" + head + "".join(rows)


def _curves() -> tuple[dict[Key, Run], Grid]:
    """The runs of the learning curves, variants too."""
    runs, sweep, variants, ablation = grid_runs("flic-labels")
    return runs | variants, replace(sweep, methods=(*sweep.methods, *ablation.methods))


def learning_curves() -> str:
    """Markdown: the figure of AP over labelled people, and how many labels a method saves."""
    picture = label_figure()
    caption = picture.caption.partition(".")[0]
    return (
        "\n### How many labels a method saves\n\n"
        + saved_by("akm", "jointmix", "jointmix_quarter")
        + (f"\n![{picture.alt}](pictures/flic-labels.png)\n\n*{caption}; every training costs what AKM's does.*\n")
    )


def from_imagenet() -> str:
    """Markdown: trainings that begin with ImageNet weights, with the moving average of a method's network beside it."""
    lines = []
    for preset in ("flic-imagenet", "flic-stride-32", "lsp-imagenet", "lsp-stride-32"):
        runs, *_ = grid_runs(preset)
        for (method, labels, seed), run in runs.items():
            score, average = run.score, run.metrics.get(f"teacher/{run.protocol['headline']}")
            found = differences(runs, method, BASELINE, labels, (seed,)) if method != BASELINE else []
            gain = _signed(mean_difference(found)) if found else "–"
            what = f"`{preset}` | {run.labelled:,} | `{method}` | {run.protocol['headline']}"
            lines.append(f"| {what} | {_signed(score, '')} | {gain} | {_signed(average, '') if average else '–'} |\n")
    return (
        "\n### From ImageNet weights\n\n"
        "EfficientNet-Lite0 at 96 × 96 px, one seed, the same steps for every method of a preset.\n"
        "Settings of the small network from scratch did worse here: the presets `…-stride-32` have coarser features\n"
        "and a teacher that remembers 500 steps instead of 50 ([what was tried](notebook/imagenet.md)).\n"
        "Differences of one or two points between single runs may be noise of training.\n"
        "Supervised has no moving average.\n\n"
        "| preset | labels | method | metric | network | over supervised | moving average of its network |\n"
        "|---|---:|---|---|---:|---:|---:|\n" + "".join(lines)
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
    harder = "AP of supervised on the development set, which is harder, random to suggested, seed by seed:\n"
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
