"""Figures over the course of training: metric and losses of each
method, and adaptive compared with shuffled masks.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, FormatStrFormatter, LogLocator, MaxNLocator, NullLocator

from semipose.reporting.results import Grid, Key
from semipose.reporting.style import Picture, Style, Styles, legend_of, panels_of, styled

Columns = Mapping[str, Sequence[float]]
NOT_THE_TABLES = (
    "During training the method's first network is scored on the first train.validation_people, with argmax and a quarter offset and "
    "without a flip test. The tables' number is of all validation people, as evaluate says, so a curve need not end there."
)
Choice = Callable[[Columns], Sequence[float] | None]


@styled
def curves(histories: Mapping[Key, Columns], grid: Grid, labels: str, metric: str, styles: Styles) -> Picture | None:
    """Validation metric and each loss over the steps of one budget; mean and standard deviation over seeds."""
    mine = {key: columns for key, columns in histories.items() if key[1] == labels and key[0] in grid.methods}
    if not mine:
        return None
    losses = list(dict.fromkeys(name for columns in mine.values() for name in columns if name.startswith("loss/")))
    wide = 2 if len(losses) == 3 else min(3, 1 + len(losses))
    figure, panels = panels_of(math.ceil((1 + len(losses)) / wide), wide, (3.4 * wide, 2.9))
    for axes, name in zip(panels, ["", *losses], strict=False):
        for method in grid.methods:
            seeds = [columns for key, columns in mine.items() if key[0] == method]
            _band(axes, seeds, "step", _loss(name) if name else _validation, styles[method], method)
        axes.set_title(f"loss: {name.removeprefix('loss/')}" if name else f"{metric} on validation people")
        axes.set(xlabel="step", ylabel="loss" if name else f"{metric} (0–100)")
        _tidy(axes, bool(name))
    for axes in panels[1 + len(losses) :]:
        axes.remove()
    legend_of(figure, panels)
    caption = f"Training with {labels}: validation {metric} and losses; mean and standard deviation over seeds. {NOT_THE_TABLES}"
    alt = f"{_ends(panels[0], metric)} Further panels: {', '.join(losses)}."
    return Picture(f"curves-{labels}", figure, caption, alt)


@styled
def shuffled(histories: Mapping[Key, Columns], grid: Grid, metric: str, styles: Styles) -> Picture | None:
    """Validation metric and training loss over epochs for adaptive and for shuffled masks; a row per budget."""
    if len({key[0] for key in histories}) < 2:
        return None
    budgets_run = [labels for labels in grid.labels if any(key[1] == labels for key in histories)]
    figure, panels = panels_of(len(budgets_run), 2, (8.4, 3.1))
    for row, labels in enumerate(budgets_run):
        left, right = panels[2 * row : 2 * row + 2]
        for method in grid.methods:
            seeds = [columns for key, columns in histories.items() if key[:2] == (method, labels)]
            _band(left, seeds, "epoch", _validation, styles[method], method)
            _band(right, seeds, "epoch", _total_loss, styles[method], method)
        left.set(xlabel="epoch", ylabel=f"{metric} (0–100)", title=f"{labels}: {metric} on validation people")
        right.set(xlabel="epoch", ylabel="loss", title=f"{labels}: training loss, all terms")
        _tidy(left, False)
        _tidy(right, True)
    legend_of(figure, panels)
    caption = f"Adaptive mask counts against the same counts shuffled; mean and standard deviation over seeds. {NOT_THE_TABLES}"
    return Picture("shuffled", figure, caption, _ends(panels[0], metric))


def mean_band(seeds: Sequence[Columns], x: str, y_of: Choice) -> np.ndarray:
    """Average a curve over seeds, at the positions where every seed has a value.

    Args:
        seeds: Columns of each seed's history.
        x: Name of the column of positions.
        y_of: Chooses a column; None: this seed has no such curve.

    Returns:
        Rows [x, mean, standard deviation (n - 1; 0 for one seed)].
    """
    lines = [pd.Series(y, index=columns[x]).dropna() for columns in seeds if (y := y_of(columns)) is not None]
    if not lines:
        return np.empty((0, 3))
    shared = pd.concat(lines, axis=1, join="inner").sort_index()
    return np.stack([shared.index, shared.mean(axis=1), shared.std(axis=1).fillna(0)], axis=1)


def _band(axes: Axes, seeds: Sequence[Columns], x: str, y_of: Choice, style: Style, name: str) -> None:
    at, mean, deviation = mean_band(seeds, x, y_of).T
    if not at.size:
        return
    marker = style.marker if at.size == 1 else None  # a line of one point would be invisible
    axes.plot(at, mean, color=style.color, linestyle=style.linestyle, marker=marker, label=name)
    if deviation.any():
        axes.fill_between(at, mean - deviation, mean + deviation, color=style.color, alpha=0.18, linewidth=0)


def _validation(columns: Columns) -> Sequence[float] | None:
    return next((values for name, values in columns.items() if name.startswith("val/")), None)


def _loss(name: str) -> Choice:
    return lambda columns: columns.get(name)


def _total_loss(columns: Columns) -> Sequence[float] | None:
    if "loss/total" in columns:
        return columns["loss/total"]
    terms = [values for name, values in columns.items() if name.startswith("loss/")]
    return [math.fsum(row) for row in zip(*terms, strict=True)] or None


def _tidy(axes: Axes, loss: bool) -> None:
    """Few ticks; a logarithmic axis for a loss that falls by more than a factor of ten."""
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    values = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in axes.lines] or [np.ones(1)])
    low, high = values.min(), values.max()
    if loss and 0 < 10 * low < high:
        axes.set_yscale("log")
        axes.set_ylim(low / 1.3, high * 1.3)  # a band may reach zero, which a logarithmic axis cannot show
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FormatStrFormatter("%g"))
        axes.yaxis.set_minor_locator(NullLocator())


def _ends(axes: Axes, metric: str) -> str:
    """The last value of each line in words."""
    ends = (f"{line.get_label()} {float(np.asarray(line.get_ydata())[-1]):.1f}" for line in axes.lines)
    return f"Line chart of validation {metric} during training; at the end: {', '.join(ends)}."
