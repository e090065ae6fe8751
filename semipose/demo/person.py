"""A whole synthetic person: limbs, trunk and head in the order of their depth."""

import numpy as np
from numpy.random import Generator

from semipose.demo.canvas import NOBODY, Colour, Layer, Points, blob, limb, shade
from semipose.demo.figure import SIDES
from semipose.demo.head import paint_head
from semipose.demo.outfit import Person, draw_colour
from semipose.demo.trunk import Part, paint_trunk

RADII = {  # along each limb, as shares of the stature
    "arm": (0.036, 0.032, 0.028, 0.026),
    "forearm": (0.026, 0.027, 0.022, 0.018),
    "hand": (0.017, 0.022, 0.013),
    "thigh": (0.05, 0.053, 0.044, 0.036),
    "shin": (0.035, 0.039, 0.029, 0.021),
    "foot": (0.023, 0.026, 0.018),
}


def segment(person: Person, ends: tuple[str, str], part: str, cover: float, cloth: Colour, skin: Colour) -> list[Layer]:
    """One segment of a limb between two joints, of which the first `cover` (0 to 1) is in cloth."""
    start, end = (person.figure.joints[name] for name in ends)
    radii = tuple(radius * person.width for radius in RADII[part.split("_")[1]])
    label = person.label(part)
    if cover >= 1:
        return limb(start, end, [1.12 * radius for radius in radii], cloth, person.light, label)
    layers = limb(start, end, radii, skin, person.light, label)
    if cover > 0:
        sizes = (1.14 * radii[0], 1.18 * radii[1], 1.2 * radii[1])
        layers += limb(start, start + (end - start) * cover, sizes, cloth, person.light, label)
    return layers


def paint_arm(person: Person, side: str) -> list[Part]:
    """Upper arm, and forearm with hand."""
    outfit = person.outfit
    shoulder, elbow, wrist, fingers = (f"{side}_{name}" for name in ("shoulder", "elbow", "wrist", "fingers"))
    upper = segment(person, (shoulder, elbow), f"{side}_arm", min(2 * outfit.sleeve, 1), outfit.shirt, outfit.skin)
    hand = segment(person, (wrist, fingers), f"{side}_hand", 0, outfit.skin, outfit.skin)
    lower = segment(person, (elbow, wrist), f"{side}_forearm", 2 * outfit.sleeve - 1, outfit.shirt, outfit.skin)
    return [(person.depth(shoulder, elbow), upper), (person.depth(elbow, wrist) + 0.012, hand + lower)]


def paint_leg(person: Person, side: str) -> list[Part]:
    """Thigh, and shin with shoe."""
    outfit = person.outfit
    hip, knee, ankle, heel, toes = (f"{side}_{name}" for name in ("hip", "knee", "ankle", "heel", "toes"))
    upper = segment(person, (hip, knee), f"{side}_thigh", min(2 * outfit.leg, 1), outfit.lower, outfit.skin)
    shoe = segment(person, (heel, toes), f"{side}_foot", 1, outfit.shoes, outfit.shoes)
    lower = segment(person, (knee, ankle), f"{side}_shin", 2 * outfit.leg - 1, outfit.lower, outfit.skin)
    both = lower + shoe if person.depth(toes) > person.depth(ankle) else shoe + lower
    return [(person.depth(hip, knee), upper), (person.depth(knee, ankle), both)]


def paint_person(person: Person) -> list[Layer]:
    """All layers of a person, from far to near."""
    parts = paint_trunk(person) + paint_head(person)
    for side in SIDES:
        parts += paint_arm(person, side) + paint_leg(person, side)
    parts.sort(key=lambda part: part[0])
    return [layer for _, layers in parts for layer in layers]


def paint_seat(person: Person, generator: Generator) -> list[Layer]:
    """A stool or a box under somebody who sits: behind the person."""
    joints, unit = person.figure.joints, person.figure.stature
    top = max(float(joints[f"{side}_hip"][1]) for side in SIDES) + 0.05 * unit
    bottom = max(float(joints[f"{side}_heel"][1]) for side in SIDES) + 0.02 * unit
    middle, half = float(joints["middle"][0]), generator.uniform(0.11, 0.17) * unit
    colour = draw_colour(generator)
    if generator.random() < 0.4:
        corners = np.array([[middle - half, top], [middle + half, top], [middle + half, bottom], [middle - half, bottom]])
        return [Layer(corners, shade(colour, 0.8), NOBODY), Layer(blob(middle, top, half, 0.03 * unit), colour, NOBODY)]
    legs = []
    for sign in (-1, 1):
        ends = np.array([[middle + 0.8 * sign * half, top], [middle + sign * half, bottom]])
        legs += limb(ends[0], ends[1], [0.014 * unit] * 2, colour, person.light, NOBODY)
    return [*legs, Layer(blob(middle, top, 1.1 * half, 0.03 * unit), shade(colour, 0.85), NOBODY)]


def paint_held(person: Person, generator: Generator) -> list[Layer]:
    """A thing in one hand, in front of it: ball, bag, stick or card."""
    side = "left" if generator.random() < 0.5 else "right"
    hand: Points = person.figure.joints[f"{side}_fingers"][:2]
    unit, colour = person.figure.stature, draw_colour(generator)
    kind = generator.integers(3)
    if kind == 0:
        size = generator.uniform(0.04, 0.08) * unit
        ball = blob(hand[0], hand[1], size, size)
        return [Layer(ball, shade(colour, 0.7), NOBODY), Layer(0.75 * ball + 0.25 * hand + person.light, colour)]
    if kind == 1:
        width, height = generator.uniform(0.04, 0.08, 2) * unit
        corners = hand + np.array([[-width, 0], [width, 0], [0.9 * width, 2.2 * height], [-0.9 * width, 2.2 * height]])
        return [Layer(corners, colour, NOBODY)]
    reach = generator.uniform(-0.25, 0.25, (2, 2)) * unit
    return limb(hand + reach[0], hand - reach[0] + 0.3 * reach[1], [0.009 * unit] * 2, colour, person.light, NOBODY)
