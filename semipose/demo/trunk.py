"""The trunk of a synthetic person: rings around the spine, and the clothes on them."""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from semipose.demo.canvas import NOBODY, Colour, Layer, Points, ellipsoid, hull, shade
from semipose.demo.figure import SIDES
from semipose.demo.outfit import Person

# From the crotch to the neck: height as a share of the spine, half width and half depth as shares of the stature.
HEIGHTS = np.array([-0.24, -0.1, 0.0, 0.32, 0.72, 0.9, 0.98, 1.03])
WIDTHS = np.array([0.055, 0.088, 0.094, 0.079, 0.099, 0.104, 0.07, 0.035])
DEPTHS = np.array([0.045, 0.062, 0.066, 0.056, 0.066, 0.056, 0.045, 0.033])

LOWER = (-0.24, -0.08, 0.1)
SHIRT = (-0.1, 0.34, 0.72, 0.9, 1.03)
AROUND = np.linspace(0, 2 * np.pi, 11)[:-1]
ARC = np.linspace(0, 1, 7)
FRONT, BACK = np.pi / 2, -np.pi / 2

Part = tuple[float, list[Layer]]


def rings(person: Person, heights: Sequence[float], angles: Points) -> Points:
    """Points [H, N, 3] around the trunk at heights [H]; angle 0 is the person's left, 90 degrees the front."""
    joints, frames = person.figure.joints, person.figure.frames
    level = np.array(heights, dtype=float)[:, None]
    share = np.clip(level, 0, 1)
    spine = joints["neck"] - joints["middle"]
    below = math.hypot(*spine.tolist()) * frames["pelvis"][:, 1]  # the pelvis continues below the end of the spine
    centre = joints["middle"] + share * spine + np.minimum(level, 0) * -below + np.maximum(level - 1, 0) * spine
    left = frames["pelvis"][:, 0] * (1 - share) + frames["chest"][:, 0] * share
    forward = frames["pelvis"][:, 2] * (1 - share) + frames["chest"][:, 2] * share
    left *= np.interp(level, HEIGHTS, WIDTHS) * person.width
    forward *= np.interp(level, HEIGHTS, DEPTHS) * person.width
    cosine, sine = np.cos(angles)[:, None], np.sin(angles)[:, None]
    return centre[:, None] + cosine * left[:, None] + sine * forward[:, None]


def garment(person: Person, heights: tuple[float, ...], colour: Colour, label: int) -> list[Layer]:
    """Cloth around the trunk, darker at its outline."""
    contrast = math.hypot(person.light[0], person.light[1])
    outer = rings(person, heights, AROUND)[:, :, :2]
    # The inner tone: some of the same rings, narrower and moved towards the light.
    inner = 0.8 * outer[::2] + 0.2 * outer[::2].mean(1, keepdims=True) + person.light * 0.06 * person.width
    dark = shade(colour, 1 - 1.3 * contrast)
    layers = [Layer(hull(np.concatenate(pair)), dark, label) for pair in pairwise(outer)]
    return layers + [Layer(hull(np.concatenate(pair)), colour) for pair in pairwise(inner)]


def patch(person: Person, heights: tuple[float, float], angles: tuple[float, float], colour: Colour) -> list[Layer]:
    """The visible part of a piece of cloth on the trunk, between two heights and two angles; nothing if unseen."""
    axes = person.figure.frames["chest"]
    nearest = math.atan2(axes[2, 2] * 1.6, axes[2, 0])
    turn = 2 * np.pi * round((nearest - (angles[0] + angles[1]) / 2) / (2 * np.pi))
    low = max(angles[0] + turn, nearest - np.pi / 2)
    high = min(angles[1] + turn, nearest + np.pi / 2)
    if high - low < 0.05:
        return []
    ends = rings(person, heights, low + (high - low) * ARC)[:, :, :2]
    return [Layer(np.concatenate([ends[0], ends[1][::-1]]), colour)]


def decoration(person: Person) -> list[Layer]:
    """The pattern of the shirt, and a neckline that is deeper in front."""
    outfit = person.outfit
    layers: list[Layer] = []
    if outfit.pattern in ("hoops", "checks"):
        for height in np.arange(0.02, 0.85, 0.19):
            layers += patch(person, (height, height + 0.085), (BACK, BACK + 2 * np.pi), outfit.second)
    if outfit.pattern in ("stripes", "checks"):
        for angle in np.arange(0, 2 * np.pi, np.pi / 5):
            layers += patch(person, (-0.08, 0.9), (angle - 0.1, angle + 0.1), outfit.second)
    if outfit.pattern == "print":
        layers += patch(person, (0.45, 0.75), (FRONT - 0.6, FRONT + 0.6), outfit.second)
    if outfit.pattern == "zip":
        layers += patch(person, (-0.09, 0.93), (FRONT - 0.5, FRONT + 0.5), outfit.second)
    return layers + patch(person, (0.87, 1.03), (FRONT - 0.7, FRONT + 0.7), shade(outfit.skin, 0.95))


def paint_skirt(person: Person) -> Part:
    """A skirt from the waist to above the knees."""
    joints, label, colour = person.figure.joints, person.label("pelvis"), person.outfit.lower
    corners = [rings(person, (0.05,), AROUND)[0, :, :2]]
    for side in SIDES:
        hem = joints[f"{side}_hip"] + 0.72 * (joints[f"{side}_knee"] - joints[f"{side}_hip"])
        corners.append(ellipsoid(hem, np.eye(3) * 0.062 * person.width))
    outline = hull(np.concatenate(corners))
    inner = 0.82 * outline + 0.18 * outline.mean(0) + person.light * 0.06 * person.width
    depth = max(person.depth(f"{side}_hip", f"{side}_knee") for side in SIDES) + 0.004
    return depth, [Layer(outline, shade(colour, 0.78), label), Layer(inner, colour)]


def paint_backpack(person: Person) -> Part:
    """A bag on the back: a thing, not a part of the person."""
    back, chest = rings(person, (0.6,), np.array([BACK, FRONT]))[0], person.figure.frames["chest"]
    centre = back[0] + 0.25 * (back[0] - back[1])
    axes = chest * (person.width * np.array([0.08, 0.12, 0.05]))
    colour = person.outfit.second
    layers = [Layer(ellipsoid(centre, axes), shade(colour, 0.65), NOBODY), Layer(ellipsoid(centre, 0.8 * axes), colour)]
    return float(centre[2]) / person.figure.stature, layers


def paint_trunk(person: Person) -> list[Part]:
    """Shirt, lower garment and bag, each with its depth in statures."""
    outfit = person.outfit
    shirt = garment(person, SHIRT, outfit.shirt, person.label("trunk")) + decoration(person)
    lower = garment(person, LOWER, outfit.lower, person.label("pelvis"))
    parts = [(person.depth("middle", "neck"), shirt), (person.depth("left_hip", "right_hip") - 0.01, lower)]
    if outfit.skirt:
        parts.append(paint_skirt(person))
    if outfit.backpack:
        parts.append(paint_backpack(person))
    return parts
