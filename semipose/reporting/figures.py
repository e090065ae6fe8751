"""Figures of the results: scores over budgets and over cost,
scores of keypoints, mask counts over difficulty.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, FixedFormatter, FixedLocator, NullLocator

from semipose.evaluation.metrics.statistics import rank_correlation
from semipose.reporting.cells import scored
from semipose.reporting.differences import spread
from semipose.reporting.labels import labels_saved
from semipose.reporting.protocol import evaluation
from semipose.reporting.results import BASELINE, Grid, Key, Run, headline
from semipose.reporting.style import Picture, Styles, legend_of, panels_of, small_print, styled


@styled
def budgets(runs: Mapping[Key, Run], sweep: Grid, styles: Styles) -> Picture | None:
    """Headline metric over labelled people; bars: standard deviation over seeds, or one seed's 95% interval."""
    shown = [method for method in sweep.methods if any(key[0] == method for key in runs)]
    if not shown:
        return None
    metric = headline(runs.values())
    figure, (axes,) = panels_of(1, 1, (6.6, 4.2))
    counts = {run.labels: run.labelled for run in runs.values()}
    ticks = sorted(set(counts.values()))
    reach = math.log(ticks[-1] / ticks[0]) or 1.0
    words = []
    for position, method in enumerate(shown):
        # A small sideways step, equal on the logarithmic axis, keeps the bars of methods apart.
        dodge = math.exp(0.008 * reach * (position - (len(shown) - 1) / 2))
        points = [(counts[labels], *bar) for labels in sweep.labels if (bar := _bar(runs, method, labels, sweep.seeds))]
        x, y, below, above = np.array(sorted(points)).reshape(-1, 4).T
        axes.errorbar(x * dodge, y, yerr=[below, above], **styles[method]._asdict(), capsize=3, elinewidth=1.2, label=method)
        ends = (f"{value:.1f} at {count:,.0f}" for count, value in zip(x, y, strict=True))
        words.append(f"{method} {', '.join(ends) or 'undefined'}")
    axes.set_xscale("log")
    axes.set_xlim(ticks[0] / math.exp(0.12 * reach), ticks[-1] * math.exp(0.12 * reach))
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(FixedFormatter([f"{tick:,}" for tick in ticks]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set(xlabel="labelled people (logarithmic)", ylabel=f"{metric} (0–100)")
    legend_of(figure, [axes])
    small_print(figure, _protocol(runs))
    saved = [str(found) for method in shown for found in labels_saved(runs, sweep, method) if method != BASELINE]
    caption = " ".join([f"{metric} over labelled people. Bars: standard deviation over seeds, or one seed's 95 % interval.", *saved])
    return Picture("budgets", figure, caption, f"Line chart of {metric} over labelled people: {'; '.join(words)}.")


@styled
def costs(runs: Mapping[Key, Run], sweep: Grid, styles: Styles) -> Picture | None:
    """Headline metric over what a run's training costs, a point for each method; a panel per budget. Bars as in `budgets`."""
    budgets_run = [labels for labels in sweep.labels if any(key[1] == labels for key in runs)]
    if not budgets_run:
        return None
    metric = headline(runs.values())
    figure, panels = panels_of(1, len(budgets_run), (1.6 + 3.3 * len(budgets_run), 3.7), share=True)
    words = []
    for axes, labels in zip(panels, budgets_run, strict=True):
        for method in sweep.methods:
            bar = _bar(runs, method, labels, sweep.seeds)
            if bar is None:
                continue
            gflop = spread([run.training["gflop"] for key, run in runs.items() if key[:2] == (method, labels)])[0]
            marks = styles[method]._replace(linestyle="none")._asdict()
            axes.errorbar([gflop], bar[:1], yerr=[[bar[1]], [bar[2]]], **marks, markersize=7, capsize=3, elinewidth=1.2, label=method)
            words.append(f"{labels} {method} {bar[0]:.1f} for {gflop:,.0f} GFLOP")
        axes.set_xscale("log")
        _between_ticks(axes)
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set(xlabel="training, GFLOP (logarithmic)", title=labels)
    panels[0].set_ylabel(f"{metric} (0–100)")
    legend_of(figure, panels)
    small_print(figure, _protocol(runs))
    caption = (
        f"Cost against accuracy: {metric} over the floating-point operations of one run's training after the warm-up. "
        "Bars: standard deviation over seeds, or one seed's 95 % interval."
    )
    return Picture("costs", figure, caption, f"Points: {metric} over training cost. {'; '.join(words)}.")


@styled
def keypoints(runs: Mapping[Key, Run], sweep: Grid, styles: Styles) -> Picture | None:
    """Share of each keypoint that is found, left and right averaged, for each method; a panel per budget."""
    names = list(dict.fromkeys(name for run in runs.values() for name in run.metrics if name.startswith("joint/")))
    kinds = list(dict.fromkeys(map(_kind, names)))
    budgets_run = [labels for labels in sweep.labels if any(key[1] == labels for key in runs)]
    shown = [method for method in sweep.methods if any(key[0] == method for key in runs)]
    if not kinds:
        return None
    measure, meaning = _joint_measure(next(iter(runs.values())))
    size = (1.8 + len(kinds) * max(0.75, 0.35 + 0.14 * len(shown)), 2.6)
    figure, panels = panels_of(len(budgets_run), 1, size, share=True)
    width = 0.8 / len(shown)
    for axes, labels in zip(panels, budgets_run, strict=True):
        for position, method in enumerate(shown):
            seeds = [runs[method, labels, seed] for seed in sweep.seeds if (method, labels, seed) in runs]
            table = np.array([[_kind_score(run, names, kind) for kind in kinds] for run in seeds])
            if not seeds:
                continue
            x = np.arange(len(kinds)) + (position - (len(shown) - 1) / 2) * width
            deviation = table.std(axis=0, ddof=1) if len(table) > 1 else None
            colour, thin = styles[method].color, {"elinewidth": 1, "capsize": 2}
            axes.bar(x, table.mean(axis=0), width * 0.92, yerr=deviation, color=colour, label=method, error_kw=thin)
        axes.set_xticks(np.arange(len(kinds)), [kind.replace("_", "\n") for kind in kinds])
        axes.tick_params(axis="x", length=0)
        axes.grid(visible=False, axis="x")
        axes.set(ylabel=f"{measure} (%)", title=labels)
    legend_of(figure, panels)
    small_print(figure, _protocol(runs))
    caption = f"{meaning} Mean of left and right. Bars: standard deviation over seeds, if there are several."
    return Picture("keypoints", figure, caption, f"Bars: share of {', '.join(kinds)} found by {', '.join(shown)}.")


@styled
def masks(people: Mapping[Key, Mapping[str, Sequence[float]]], grid: Grid, styles: Styles) -> Picture | None:
    """Mean mask count over the teacher's error, in ten equally filled
    bins of people of all seeds; a panel per budget.

    `people` has the columns of each run's masks.csv: count (masks) and teacher_error (mean error of
    the pseudo-label, box sizes).
    """
    budgets_run = [labels for labels in grid.labels if any(key[1] == labels for key in people)]
    if not budgets_run:
        return None
    lines = max(len({key[0] for key in people if key[1] == labels}) for labels in budgets_run)
    figure, panels = panels_of(1, len(budgets_run), (4.3 * len(budgets_run), 3.3 + 0.22 * lines), share=True)  # legends stand below
    words = []
    for axes, labels in zip(panels, budgets_run, strict=True):
        for method in grid.methods:
            pooled = [columns for key, columns in people.items() if key[:2] == (method, labels)]
            if not pooled:
                continue
            both = np.array([np.concatenate([part[name] for part in pooled]) for name in ("teacher_error", "count")])
            error, count = both[:, np.isfinite(both).all(axis=0)]
            x, y, deviation = binned(error, count, 10)
            name = f"{method} ({_relation(rank_correlation(error, count))})"
            axes.errorbar(x, y, yerr=deviation, **styles[method]._asdict(), markersize=5, capsize=2, label=name)
            words.append(f"{labels} {name}: from {y[0]:.1f} on the clearest to {y[-1]:.1f} on the hardest people")
        axes.set(xlabel="difficulty: mean error of the pseudo-label (box sizes)", title=labels)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2))
    panels[0].set_ylabel("masked keypoints per person")
    panels[0].set_ylim(bottom=0)
    caption = "Mask count over difficulty: ten groups of equally many people with their standard errors; ρ: Spearman."
    return Picture("masks", figure, caption, f"Line chart of masks over difficulty: {'; '.join(words)}.")


def binned(x: np.ndarray, y: np.ndarray, bins: int) -> np.ndarray:
    """[3, bins]: mean x, mean y and standard error of y in bins of equally many values, in the order of x."""
    parts = np.array_split(np.stack([x, y])[:, np.argsort(x, kind="stable")], max(1, min(bins, x.size)), axis=1)
    error = [part[1].std(ddof=1) / math.sqrt(part.shape[1]) if part.shape[1] > 1 else 0.0 for part in parts]
    return np.concatenate([np.array([part.mean(axis=1) for part in parts]).T, [error]])


def _between_ticks(axes: Axes) -> None:
    """Ticks at 1, 2 and 5 times powers of ten, and limits that end outside a tick on either side of the data."""
    low, high = axes.xaxis.get_data_interval()
    ticks = [factor * 10.0**power for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1) for factor in (1, 2, 5)]
    first, last = max(tick for tick in ticks if tick <= low), min(tick for tick in ticks if tick >= high)
    axes.xaxis.set_major_locator(FixedLocator([tick for tick in ticks if first <= tick <= last]))
    margin = (last / first) ** 0.08 if last > first else 1.5
    axes.set_xlim(first / margin, last * margin)


def _protocol(runs: Mapping[Key, Run]) -> str:
    """The line of `evaluation`, broken after the metric."""
    parts = evaluation(list(runs.values())).split("; ")
    return "; ".join(parts[:2]) + "\n" + "; ".join(parts[2:])


def _bar(runs: Mapping[Key, Run], method: str, labels: str, seeds: Sequence[int]) -> tuple[float, float, float] | None:
    """Mean over seeds and the lengths of the bar below and above it."""
    mean, low, high = scored([runs[method, labels, seed].score for seed in seeds if (method, labels, seed) in runs]).number
    return None if mean is None else (mean, 0.0 if low is None else mean - low, 0.0 if high is None else high - mean)


def _relation(correlation: float) -> str:
    return "constant" if math.isnan(correlation) else f"ρ = {round(correlation, 2) + 0.0:+.2f}"  # + 0.0: no minus zero


def _joint_measure(run: Run) -> tuple[str, str]:
    """What the metrics `joint/<name>` of a run are: the label of their axis, and a sentence."""
    if run.protocol["metric"] == "oks":
        why = "whose OKS term is at least 0.5, so that the tolerance differs by keypoint"
        return "share with OKS ≥ 0.5", f"Share of each annotated keypoint {why}; this is not AP."
    name = run.protocol["headline"]
    return name, f"{name} of each keypoint."


def _kind(name: str) -> str:
    """joint/left_ankle -> ankle."""
    return name.removeprefix("joint/").removeprefix("left_").removeprefix("right_")


def _kind_score(run: Run, names: Sequence[str], kind: str) -> float:
    scores = [run.metrics[name].value for name in names if _kind(name) == kind and name in run.metrics]
    values = [value for value in scores if value is not None]
    return spread(values)[0] if values else math.nan
