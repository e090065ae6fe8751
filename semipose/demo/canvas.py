"""Filled polygons with a colour and a label, from which the demo data is painted."""

import math
from collections.abc import Iterable, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Points = NDArray[np.float64]
Colour = tuple[int, int, int]

NOBODY = 0  # the label of everything that is not a person
SCALE = 2  # colours are painted at twice the size and averaged, for smooth edges

_CIRCLE = np.stack([np.cos(np.linspace(0, 2 * np.pi, 21)[:-1]), np.sin(np.linspace(0, 2 * np.pi, 21)[:-1])])


class Layer(NamedTuple):
    """One filled polygon: its corners [N, 2] in pixels, its colour, and the label of what it shows.

    Without a label it is a tone on the layer below and
    inside it, and the label map does not change.
    """

    points: Points
    colour: Colour
    label: int | None = None


def paint(layers: Iterable[Layer], picture: Image.Image) -> None:
    """Paint layers, in their order, on an RGB picture of SCALE times the size."""
    draw = ImageDraw.Draw(picture)
    offset = (SCALE - 1) / 2  # the centre of pixel 0 of the averaged picture
    for layer in layers:
        draw.polygon((layer.points * SCALE + offset).ravel().tolist(), fill=layer.colour)


def mark(layers: Iterable[Layer], labels: Image.Image) -> None:
    """Paint the labels of layers, in their order, on a map of labels (mode L)."""
    draw = ImageDraw.Draw(labels)
    for layer in layers:
        if layer.label is not None:
            draw.polygon(layer.points.ravel().tolist(), fill=layer.label)


def shade(colour: Colour, factor: float) -> Colour:
    """A darker (factor < 1) or lighter colour."""
    red, green, blue = colour
    return min(255, int(red * factor)), min(255, int(green * factor)), min(255, int(blue * factor))


def ellipsoid(centre: Points, axes: Points) -> Points:
    """The outline [20, 2] of an ellipsoid seen along z: centre [3], half axes in the columns of `axes` [3, 3]."""
    spread = axes[:2] @ axes[:2].T
    a = np.sqrt(spread[0, 0] + 1e-9)
    b = spread[1, 0] / a
    c = np.sqrt(max(spread[1, 1] - b * b, 1e-9))
    return centre[:2] + np.stack([a * _CIRCLE[0], b * _CIRCLE[0] + c * _CIRCLE[1]], 1)


def rectangle(left: float, top: float, width: float, height: float) -> Points:
    """The corners [4, 2] of an upright rectangle."""
    return np.array([[left, top], [left + width, top], [left + width, top + height], [left, top + height]], dtype=float)


def blob(x: float, y: float, width: float, height: float) -> Points:
    """The outline [20, 2] of an upright ellipse with these half axes."""
    return np.stack([x + width * _CIRCLE[0], y + height * _CIRCLE[1]], 1)


def hull(points: Points) -> Points:
    """The convex hull [M, 2] of points [N, 2] (Andrew's monotone chain)."""
    ordered = sorted(map(tuple, points.tolist()))
    outline: list[tuple[float, ...]] = []
    for direction in (ordered, ordered[::-1]):
        chain: list[tuple[float, ...]] = []
        for x, y in direction:
            while len(chain) > 1:
                (ax, ay), (bx, by) = chain[-2], chain[-1]
                if (bx - ax) * (y - ay) - (by - ay) * (x - ax) > 0:
                    break
                chain.pop()
            chain.append((x, y))
        outline += chain[:-1]
    return np.array(outline)


@cache
def _outline(count: int) -> tuple[Points, Points, Points, NDArray[np.intp]]:
    """The points around a limb with `count` radii.

    Returns:
        The share of its length [N], then how many radii beyond its
        end [N] and across [N], and which radius [N].
    """
    steps, arc = np.linspace(0.0, 1.0, count), np.linspace(-np.pi / 2, np.pi / 2, 6)[1:-1]
    ends, last = np.zeros(count), count - 1
    share = np.concatenate([steps, np.ones(4), steps[::-1], np.zeros(4)])
    beyond = np.concatenate([ends, np.cos(arc), ends, -np.cos(arc)])
    across = np.concatenate([ends - 1, np.sin(arc), ends + 1, -np.sin(arc)])
    radius = np.concatenate([np.arange(count), np.full(4, last), np.arange(count)[::-1], np.full(4, 0)])
    return share, beyond, across, radius


def limb(start: Points, end: Points, radii: Sequence[float], colour: Colour, light: Points, label: int | None = None) -> list[Layer]:
    """A limb with round ends between two points, whose radii are spaced evenly from start to end.

    It is shaded: dark at its outline, its colour, and a bright strip towards the light [2].
    """
    share, beyond, across, index = _outline(len(radii))
    radius = np.array(radii, dtype=float)[index]
    along = end[:2] - start[:2]
    unit = along / (math.hypot(along[0], along[1]) + 1e-6)
    normal = np.array([-unit[1], unit[0]])
    axis = start[:2] + share[:, None] * along
    bow, half = (beyond * radius)[:, None] * unit, radius[:, None] * normal
    contrast = math.hypot(light[0], light[1])
    side = float(normal @ light)
    body = bow + across[:, None] * half
    return [
        Layer(axis + body, shade(colour, 1 - 1.6 * contrast), label),
        Layer(axis + 0.8 * body + 0.6 * side * half, colour),
        Layer(axis + 0.35 * body + 1.6 * side * half, shade(colour, 1 + 0.8 * contrast)),
    ]
