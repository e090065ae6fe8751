"""The head of a synthetic person: a ball of hair, a face on its
front, ears, eyes, nose, mouth, and sometimes a hat.
"""

from functools import cache

import numpy as np

from semipose.demo.canvas import Layer, Points, ellipsoid, limb, shade
from semipose.demo.outfit import Person
from semipose.demo.trunk import Part

_TURN = np.linspace(0, 2 * np.pi, 25)[:-1]
BALLS = {  # of hair, by style: offset from the head's centre and half axes, in head radii
    "long": (((0, 0.75, -0.45), (1.08, 1.35, 0.6)), ((0, 1.5, -0.5), (0.95, 0.8, 0.5))),
    "bob": (((0, 0.3, -0.25), (1.2, 0.95, 0.8)),),
    "tail": (((0, 0.2, -1.15), (0.3, 0.75, 0.35)),),
    "bun": (((0, -0.75, -0.75), (0.42, 0.42, 0.42)),),
    "afro": (((0, -0.28, -0.3), (1.5, 1.15, 1.15)),),
}
WHITE, INK, LIP = (240, 238, 232), (26, 22, 22), (150, 62, 60)


def surface(person: Person, directions: Points) -> Points:
    """Points [N, 2] on the head in directions [N, 3] of (left, down, forward); hidden ones slide to the outline."""
    figure = person.figure
    units = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    turned = units @ figure.frames["head"].T
    hidden = turned[:, 2] < 0
    turned[hidden, 2] = 0.0
    turned /= np.linalg.norm(turned, axis=1, keepdims=True) + 1e-9
    back = turned @ figure.frames["head"]
    return figure.joints["head"][:2] + (back @ figure.head_axes.T)[:, :2]


@cache
def region(across: float, up: float, down: float) -> Points:
    """Directions [24, 3] around the front of the head: the rim of a region that reaches this many degrees each way."""
    rise = np.where(np.sin(_TURN) < 0, up, down)
    angle = np.radians(across * np.cos(_TURN) ** 2 + rise * np.sin(_TURN) ** 2)
    return np.stack([np.sin(angle) * np.cos(_TURN), np.sin(angle) * np.sin(_TURN), np.cos(angle)], axis=1)


def spot(person: Person, direction: tuple[float, float, float], size: tuple[float, float]) -> Points:
    """The outline [8, 2] of a small flat ellipse on the head, with half axes (across, along) in head radii."""
    turn = _TURN[::3]
    left, down, forward = direction
    ring = np.stack([left + size[0] * np.cos(turn), down + size[1] * np.sin(turn), np.full(8, forward)], axis=1)
    return surface(person, ring)


def towards(person: Person, direction: tuple[float, float, float]) -> float:
    """How far a direction from the head's centre points to the viewer: -1 to 1."""
    unit = np.array(direction) / np.linalg.norm(direction)
    return float(person.figure.frames["head"][2] @ unit)


def face(person: Person) -> list[Layer]:
    """Skin, eyes, brows, nose, mouth, beard and glasses, as far as they are seen."""
    outfit, label = person.outfit, person.label("head")
    bald = outfit.style == "bald"
    hairline = 70 if bald else 46
    layers = [Layer(surface(person, region(74, hairline, 100)), outfit.skin, label)]
    if towards(person, (0, 0, 1)) < -0.5:
        return [] if not bald else layers
    if outfit.beard:
        rim = region(66, -22, 100)
        layers.append(Layer(surface(person, rim), shade(outfit.hair, 1.1), label))
    if towards(person, (0, 0.5, 0.9)) > -0.05:
        layers.append(Layer(spot(person, (0, 0.52, 0.85), (0.24, 0.07)), LIP, label))
    for side in (1, -1):
        name = "left_eye" if side > 0 else "right_eye"
        if name in person.figure.turned_away:
            continue
        layers.append(Layer(spot(person, (side * 0.36, -0.36, 0.9), (0.19, 0.05)), shade(outfit.hair, 0.8), label))
        if outfit.glasses:
            layers.append(Layer(spot(person, (side * 0.38, -0.12, 0.9), (0.29, 0.21)), INK, label))
        layers.append(Layer(spot(person, (side * 0.36, -0.13, 0.9), (0.18, 0.13)), WHITE, label))
        layers.append(Layer(spot(person, (side * 0.36, -0.13, 0.9), (0.1, 0.13)), INK, label))
    return layers


def nose(person: Person) -> list[Layer]:
    """A nose, which stands out in profile."""
    figure = person.figure
    if "nose" in figure.turned_away:
        return []
    axes = figure.frames["head"] * (np.linalg.norm(figure.head_axes[:, 0]) * np.array([0.15, 0.21, 0.22]))
    return [Layer(ellipsoid(figure.joints["nose"], axes), shade(person.outfit.skin, 0.8), person.label("head"))]


def ears(person: Person) -> list[Layer]:
    """The ears that are on the near side of the head."""
    figure, label = person.figure, person.label("head")
    radius = np.linalg.norm(figure.head_axes[:, 0])
    layers = []
    for name in ("left_ear", "right_ear"):
        if name not in figure.turned_away:
            for size, tone in ((1.0, 0.72), (0.6, 0.92)):
                axes = figure.frames["head"] * (radius * size * np.array([0.12, 0.3, 0.2]))
                layers.append(Layer(ellipsoid(figure.joints[name], axes), shade(person.outfit.skin, tone), label))
    return layers


def ball(person: Person, offset: tuple[float, float, float], size: tuple[float, float, float]) -> Part:
    """A ball of hair at an offset from the head's centre, both in head radii, as a part with its depth."""
    figure, outfit, label = person.figure, person.outfit, person.label("hair")
    centre = figure.joints["head"] + figure.head_axes @ np.array(offset)
    axes = figure.head_axes * np.array(size)
    outline = ellipsoid(centre, axes)
    inner = 0.75 * outline + 0.25 * (centre[:2] + person.light * np.linalg.norm(axes[:, 0]))
    layers = [Layer(outline, shade(outfit.hair, 0.8), label), Layer(inner, outfit.hair)]
    return float(centre[2]) / figure.stature, layers


def hair_behind(person: Person) -> list[Part]:
    """Hair that hangs or stands apart from the head: lengths, tails, buns."""
    return [ball(person, offset, size) for offset, size in BALLS.get(person.outfit.style, ())]


def hat(person: Person) -> list[Layer]:
    """A cap with a peak or a beanie: clothes of the person, over the upper half of the head."""
    figure, outfit, label = person.figure, person.outfit, person.label("hair")
    if not outfit.hat:
        return []
    centre = figure.joints["head"] + figure.head_axes @ np.array([0, -0.42, -0.12])
    crown = ellipsoid(centre, figure.head_axes * np.array([1.08, 0.74, 1.1]))
    layers = [Layer(crown, shade(outfit.second, 0.85), label)]
    if outfit.hat == "cap" and towards(person, (0, 0, 1)) > -0.3:
        tip = figure.joints["head"] + figure.head_axes @ np.array([0, -0.5, 1.1])
        peak = ellipsoid(tip, figure.head_axes * np.array([0.75, 0.1, 0.6]))
        return [*layers, Layer(peak, shade(outfit.second, 0.6), label)]
    band = 0.85 * crown + 0.15 * centre[:2]
    return [*layers, Layer(band, outfit.second, label)]


def paint_head(person: Person) -> list[Part]:
    """Neck, hair, head and face, each with its depth in statures."""
    figure, outfit = person.figure, person.outfit
    joints = figure.joints
    thick = (0.036 * person.width, 0.032 * person.width)
    neck = limb(joints["neck"], joints["head"], thick, shade(outfit.skin, 0.88), person.light, person.label("neck"))
    depth = person.depth("head")
    colour, label = (outfit.skin, "head") if outfit.style == "bald" else (outfit.hair, "hair")
    swell = 1.0 if outfit.style == "bald" else 1.07
    skull = ellipsoid(joints["head"], figure.head_axes * swell)
    tones = [Layer(skull, shade(colour, 0.8), person.label(label))]
    tones.append(Layer(0.86 * skull + 0.14 * joints["head"][:2] + person.light, colour, person.label(label)))
    seen_front = towards(person, (0, 0, 1)) > 0
    # Ears come before the hair of somebody seen from behind, and after the face otherwise.
    front = tones + face(person) + ears(person) + nose(person) + hat(person)
    behind = tones + ears(person) + face(person) + hat(person)
    behind_neck = min(depth, person.depth("neck")) - 0.004
    parts = [(max(behind_neck, person.depth("middle", "neck") + 0.002), neck)]
    parts.append((max(depth, parts[0][0]) + 0.004, front if seen_front else behind))
    covers_ears = outfit.style in ("long", "bob")
    locks = [lock(person, side) for side in (1, -1)] if covers_ears else []
    return parts + hair_behind(person) + [(parts[1][0] + 0.001, layers) for layers in locks if layers]


def lock(person: Person, side: int) -> list[Layer]:
    """Hair over one ear, when that side of the head is seen."""
    if towards(person, (side, 0.1, -0.1)) < -0.2:
        return []
    low = 1.5 if person.outfit.style == "long" else 0.9
    figure = person.figure
    ends = [figure.joints["head"] + figure.head_axes @ np.array([side * 0.96, y, z]) for y, z in ((-0.3, 0), (low, -0.1))]
    size = float(np.linalg.norm(figure.head_axes[:, 0]))
    return limb(ends[0], ends[1], (0.18 * size, 0.27 * size, 0.2 * size), person.outfit.hair, person.light,
                person.label("hair"))  # fmt: skip
