"""What a synthetic person wears and looks like: skin, hair and clothes, and the person in them."""

import colorsys
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from semipose.demo.canvas import Colour, Points, shade
from semipose.demo.figure import SIDES, Figure

SKINS = ((250, 220, 196), (238, 196, 165), (222, 172, 132), (190, 138, 98), (146, 98, 66), (96, 62, 44))
HAIRS = ((28, 22, 20), (54, 38, 28), (98, 66, 40), (152, 108, 62), (214, 180, 112), (168, 164, 160), (146, 66, 32))

LIMBS = ("arm", "forearm", "hand", "thigh", "shin", "foot")
PARTS = ("trunk", "pelvis", "head", "hair", "neck", *(f"{side}_{limb}" for side in SIDES for limb in LIMBS))


@dataclass
class Outfit:
    """Colours and kinds of everything a person wears; lengths of sleeves and legs are shares of the whole limb."""

    skin: Colour
    hair: Colour
    shirt: Colour
    second: Colour
    lower: Colour
    shoes: Colour
    sleeve: float
    leg: float
    skirt: bool
    pattern: str
    style: str
    hat: str
    beard: bool
    glasses: bool
    backpack: bool


def draw_colour(generator: Generator) -> Colour:
    """Sample a colour of cloth: any hue, mostly clear, light or dark."""
    return _rgb(generator.random(), generator.uniform(0.35, 1), generator.choice([0.3, 0.95]) + generator.normal(0, 0.04))


def draw_muted(generator: Generator) -> Colour:
    """Sample a colour of walls, floors and things: less bright than clothes, of middle lightness."""
    return _rgb(generator.random(), 0.4 * generator.random(), generator.uniform(0.35, 0.8))


def _rgb(hue: float, saturation: float, value: float) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return int(red * 255), int(green * 255), int(blue * 255)


def draw_skin(generator: Generator) -> Colour:
    """Sample a skin colour between two of a fixed scale."""
    place = generator.uniform(0, len(SKINS) - 1)
    low = np.array(SKINS[int(place)], dtype=float)
    mixed = low + (np.array(SKINS[int(place) + 1]) - low) * (place % 1)
    return int(mixed[0]), int(mixed[1]), int(mixed[2])


def draw_outfit(generator: Generator) -> Outfit:
    """Sample clothes, hair and skin."""
    skin = draw_skin(generator)
    shirt, second, lower, shoes = (draw_colour(generator) for _ in range(4))
    if generator.random() < 0.12:
        lower = shirt  # overalls, suits
    skirt = generator.random() < 0.14
    return Outfit(
        skin=skin,
        hair=shade(HAIRS[generator.integers(len(HAIRS))], generator.uniform(0.8, 1.2)),
        shirt=shirt,
        second=second,
        lower=lower,
        shoes=shoes if generator.random() < 0.6 else shade((60, 50, 45), generator.uniform(0.4, 4)),
        sleeve=float(generator.choice([0.0, 0.3, 0.45, 1.0], p=[0.12, 0.25, 0.18, 0.45])),
        leg=0.0 if skirt else float(generator.choice([0.25, 0.45, 1.0], p=[0.13, 0.25, 0.62])),
        skirt=skirt,
        pattern=str(generator.choice(["plain", "hoops", "stripes", "checks", "print", "zip"], p=[0.4, 0.05, 0.05, 0.05, 0.15, 0.3])),
        style=str(generator.choice(["short", "long", "bob", "tail", "bun", "bald", "afro"],
                                   p=[0.4, 0.15, 0.13, 0.1, 0.06, 0.1, 0.06])),
        hat=str(generator.choice(["", "cap", "beanie"], p=[0.8, 0.12, 0.08])),
        beard=bool(generator.random() < 0.12),
        glasses=bool(generator.random() < 0.12),
        backpack=bool(generator.random() < 0.15),
    )  # fmt: skip


@dataclass
class Person:
    """A figure in its outfit, lit: `light` [2] points to the lamp, and its length is the contrast.

    Part number i of PARTS is painted with the label first_label + i.
    """

    figure: Figure
    outfit: Outfit
    light: Points
    first_label: int

    def label(self, part: str) -> int:
        """The label of a part."""
        return self.first_label + PARTS.index(part)

    def depth(self, *joints: str) -> float:
        """The mean depth of joints towards the viewer, in statures."""
        return sum(float(self.figure.joints[name][2]) for name in joints) / len(joints) / self.figure.stature

    @property
    def width(self) -> float:
        """The stature that the widths of body parts are shares of: more for a wide person, in pixels."""
        return self.figure.stature * self.figure.build
