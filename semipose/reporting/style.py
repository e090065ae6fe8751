"""The style of every figure of the report: colours of methods,
fonts and grid, panels, legend, file format.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from semipose.utils.files import replacing


class Style(NamedTuple):
    """Colour, marker and line of a method or variant, by matplotlib's names."""

    color: str
    marker: str
    linestyle: str


Styles = Mapping[str, Style]
# Okabe and Ito's colours, which people with common colour blindness can tell apart: each method has the same in every figure.
METHODS = {
    "supervised": Style("#555555", "s", "-"),
    "pseudopose": Style("#E69F00", "<", "-"),
    "datadistill": Style("#000000", ">", "-"),
    "posecons": Style("#56B4E9", "^", "-"),
    "posedual": Style("#0072B2", "v", "-"),
    "sspcm": Style("#009E73", "D", "-"),
    "multiaugs": Style("#CC79A7", "P", "-"),
    "denoise_select": Style("#8C6D31", "h", "-"),  # brown and olive: Okabe and Ito's eight are taken, except a yellow too pale for lines
    "reviewer": Style("#A6A600", "X", "-"),
    "akm": Style("#D55E00", "o", "-"),
    "jointmix": Style("#5B2A86", "*", "-"),
}
# Variants: darker colours of Tol's muted set; their dashes also tell them from the methods.
MUTED = ("#332288", "#999933", "#882255", "#117733", "#AA4499", "#CC6677")
VARIANTS = [Style(colour, marker, line) for line in ("--", ":") for colour, marker in zip(MUTED, "Xp*hdP", strict=True)]


@dataclass(frozen=True)
class Picture:
    """A figure, its file name, its caption, and a text for people who cannot see it."""

    name: str
    figure: Figure
    caption: str
    alt: str


def styles(names: Sequence[str]) -> dict[str, Style]:
    """The style of each name; names without a fixed style take the free ones in order."""
    free = cycle(VARIANTS)
    return {name: METHODS[name] if name in METHODS else next(free) for name in dict.fromkeys(names)}


# As a decorator: renders in the report's style and leaves matplotlib's own settings unchanged.
styled = rc_context(fname=Path(__file__).with_name("matplotlibrc"))


def panels_of(rows: int, columns: int, size: tuple[float, float], share: bool = False) -> tuple[Figure, list[Axes]]:
    """A figure of rows x columns panels, row by row; `size`: width of the whole and height of a row, in inches."""
    figure = Figure(figsize=(size[0], size[1] * rows), layout="constrained")
    return figure, list(figure.subplots(rows, columns, sharey=share, squeeze=False).flat)


def legend_of(figure: Figure, panels: Sequence[Axes]) -> None:
    """One legend for all panels, on their right."""
    entries = {label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(list(entries.values()), list(entries), loc="outside right upper")


def small_print(figure: Figure, text: str) -> None:
    """The protocol below the panels, because a picture is shared without its page."""
    figure.supxlabel(text, fontsize=7, color="#555555")


@styled
def save(picture: Picture, folder: Path) -> Path:
    """PNG at 150 dpi without time or version in it, so that equal numbers give equal bytes."""
    target = folder / f"{picture.name}.png"
    with replacing(target) as temporary:
        picture.figure.savefig(temporary, format="png", dpi=150, metadata={"Software": None})
    return target
