"""Where synthetic people stand: walls, floors, leaves, furniture,
things that look like limbs, and things in front.
"""

import numpy as np
from numpy.random import Generator
from PIL import Image

from semipose.demo.canvas import NOBODY, SCALE, Layer, Points, blob, limb, rectangle, shade
from semipose.demo.outfit import draw_muted, draw_skin

Size = tuple[int, int]  # width, height in pixels


def draw_wash(generator: Generator, size: Size) -> Image.Image:
    """A blotchy ground of two colours, at SCALE times the size."""
    ends = np.array([draw_muted(generator), draw_muted(generator)], dtype=float)
    rows, columns = generator.integers(2, 12, 2)
    blend = generator.random((rows, columns, 1))
    blend = 0.5 * blend + 0.5 * np.linspace(0, 1, rows)[:, None, None]
    coarse = ends[0] + blend * (ends[1] - ends[0]) + generator.normal(0, 9, (rows, columns, 3))
    picture = Image.fromarray(np.clip(coarse, 0, 255).astype(np.uint8))
    smooth = picture.resize(size, Image.Resampling.BILINEAR)
    return smooth.resize((SCALE * size[0], SCALE * size[1]), Image.Resampling.NEAREST)


def floor(generator: Generator, size: Size, light: Points) -> list[Layer]:
    """The ground from a horizon down, with boards or lines that run to a point."""
    width, height = size
    top = generator.uniform(0.45, 0.9) * height
    colour = draw_muted(generator)
    layers = [Layer(rectangle(-1, top, width + 2, height), colour)]
    if generator.random() < 0.5:
        vanish = np.array([generator.uniform(0, width), top - generator.uniform(20, 120)])
        for x in np.arange(-width, 2 * width, generator.uniform(25, 80)):
            far = vanish + (np.array([x, height]) - vanish) * (top - vanish[1]) / (height - vanish[1])
            layers.append(Layer(np.array([far, (far[0] + 1, far[1]), (x + 4, height), (x, height)]), shade(colour, 0.8)))
    return layers


def bricks(generator: Generator, size: Size, light: Points) -> list[Layer]:
    """A wall of bricks or tiles over a part of the picture."""
    wide, high = generator.uniform(14, 40), generator.uniform(8, 26)
    left, top = generator.uniform(-40, size[0] * 0.6), generator.uniform(-40, size[1] * 0.4)
    colour = draw_muted(generator)
    layers = [Layer(rectangle(left, top, 8.5 * wide, 8 * high), shade(colour, 0.7))]
    for row in range(8):
        for column in range(8):
            tone = shade(colour, generator.uniform(0.85, 1.15))
            x = left + (column + 0.5 * (row % 2)) * wide
            layers.append(Layer(rectangle(x + 1, top + row * high + 1, wide - 2, high - 2), tone))
    return layers


def bars(generator: Generator, size: Size, light: Points) -> list[Layer]:
    """Upright, level or slanting stripes: curtains, fences, blinds."""
    step, colour = generator.uniform(7, 24), draw_muted(generator)
    thick, slant = step * generator.uniform(0.2, 0.7), generator.normal(0, 15)
    start, count = generator.uniform(-20, size[0] * 0.7), int(generator.integers(4, 16))
    top, reach = generator.uniform(-20, size[1] * 0.5), generator.uniform(50, 200)
    layers = []
    for index in range(count):
        x = start + index * step
        corners = [[x, top], [x + thick, top], [x + thick + slant, top + reach], [x + slant, top + reach]]
        layers.append(Layer(np.array(corners), shade(colour, generator.uniform(0.85, 1.15))))
    if generator.random() < 0.35:
        return [Layer(layer.points[:, ::-1].copy(), layer.colour) for layer in layers]
    return layers


def windows(generator: Generator, size: Size, light: Points) -> list[Layer]:
    """Frames with panes, pictures, doors, shelves."""
    layers = []
    for _ in range(generator.integers(1, 5)):
        wide, high = generator.uniform(20, 90, 2)
        x, y = generator.uniform(-20, size[0]), generator.uniform(-20, size[1] * 0.7)
        frame, pane = draw_muted(generator), draw_muted(generator)
        layers += [Layer(rectangle(x, y, wide, high), frame), Layer(rectangle(x + 4, y + 4, wide - 8, high - 8), pane)]
        if generator.random() < 0.6:
            layers.append(Layer(rectangle(x + wide / 2 - 1.5, y, 3, high), frame))
            layers.append(Layer(rectangle(x, y + high / 2 - 1.5, wide, 3), frame))
    return layers


def foliage(generator: Generator, size: Size, light: Points) -> list[Layer]:
    """A cloud of leaves, pebbles or confetti around one place."""
    count = int(generator.integers(20, 50))
    centre, spread = generator.uniform(0, size), generator.uniform(15, 70)
    places = centre + generator.normal(0, spread, (count, 2))
    sizes = generator.uniform(2, 11, (count, 2))
    colour = draw_muted(generator)
    tones = generator.uniform(0.6, 1.3, count)
    return [Layer(blob(*places[i], *sizes[i])[::2], shade(colour, tones[i])) for i in range(count)]


def shelf(generator: Generator, size: Size, light: Points) -> list[Layer]:
    """Boards with rows of balls, pots and books, some as round and as pale as a head."""
    layers = []
    left, wide = generator.uniform(-40, size[0] * 0.6), generator.uniform(60, 220)
    top, radius = generator.uniform(10, size[1] * 0.5), generator.uniform(4, 11)
    for row in range(int(generator.integers(1, 4))):
        y = top + row * 4 * radius
        for x in np.arange(left + radius, left + wide, radius * generator.uniform(2.2, 4)):
            colour = draw_skin(generator) if generator.random() < 0.3 else draw_muted(generator)
            high = radius * generator.uniform(0.7, 1.6)
            round_ = generator.random() < 0.5
            outline = blob(x, y - high, 0.9 * radius, high)[::2] if round_ else rectangle(x, y - high, radius, high)
            layers.append(Layer(outline, colour))
        layers.append(Layer(rectangle(left, y, wide, 3), draw_muted(generator)))
    return layers


def chain(generator: Generator, size: Size, light: Points) -> list[Layer]:
    """Two or three joined rods in skin or cloth colours, which look
    like limbs: branches, pipes, sleeves on a line.
    """
    place = generator.uniform(0, size)
    angle, length = generator.uniform(0, 2 * np.pi), generator.uniform(14, 48)
    radius = length * generator.uniform(0.09, 0.2)
    layers: list[Layer] = []
    for _ in range(generator.integers(2, 4)):
        colour = draw_skin(generator) if generator.random() < 0.45 else draw_muted(generator)
        end = place + length * np.array([np.cos(angle), np.sin(angle)])
        layers += limb(place, end, (radius, 1.1 * radius, 0.8 * radius), colour, light)
        place, radius = end, radius * generator.uniform(0.7, 0.95)
        angle += generator.normal(0, 0.8)
    return layers


def pole(generator: Generator, size: Size, light: Points) -> list[Layer]:
    """A post or tree from the ground up through the image, sometimes with a lamp."""
    x, thick = generator.uniform(0, size[0]), generator.uniform(2, 9)
    top, colour = generator.uniform(-40, 120), draw_muted(generator)
    foot = np.array([x + generator.normal(0, 8), size[1] * generator.uniform(0.7, 1.1)])
    layers = limb(np.array([x, top]), foot, (thick, thick), colour, light)
    if generator.random() < 0.5:
        size_ = thick * generator.uniform(1.5, 4)
        tone = draw_skin(generator) if generator.random() < 0.3 else draw_muted(generator)
        layers += [Layer(blob(x, top, size_, size_), shade(tone, 0.8)), Layer(blob(x, top, 0.8 * size_, 0.8 * size_), tone)]
    return layers


def furniture(generator: Generator, size: Size, light: Points) -> list[Layer]:
    """A table, chair or shelf: a top, sometimes a back, and legs."""
    wide, high = generator.uniform(25, 90), generator.uniform(25, 80)
    x, y, colour = generator.uniform(-20, size[0] - 20), generator.uniform(60, size[1] - 20), draw_muted(generator)
    thick = generator.uniform(2, 5)
    layers: list[Layer] = []
    for foot in (x + thick, x + wide - thick):
        end = np.array([foot + generator.normal(0, 4), y + high])
        layers += limb(np.array([foot, y]), end, (thick, 0.7 * thick), shade(colour, 0.85), light)
    if generator.random() < 0.5:
        layers.append(Layer(rectangle(x, y - 0.9 * high, 0.15 * wide, high), shade(colour, 0.9)))
    return [*layers, Layer(rectangle(x, y - 3, wide, generator.uniform(5, 14)), colour)]


def block(generator: Generator, size: Size, light: Points) -> list[Layer]:
    """A box, a ball or a rock."""
    wide, high = generator.uniform(10, 45, 2)
    x, y, colour = generator.uniform(0, size[0]), generator.uniform(0, size[1]), draw_muted(generator)
    if generator.random() < 0.45:
        outline = blob(x, y, 0.6 * wide, 0.6 * high)
        inner = 0.75 * outline + 0.25 * np.array([x, y]) + light * 10
        return [Layer(outline, shade(colour, 0.7)), Layer(inner, colour)]
    lid = np.array([[x, y], [x + wide, y], [x + 0.8 * wide, y - 0.25 * high], [x + 0.2 * wide, y - 0.25 * high]])
    return [Layer(rectangle(x, y, wide, high), colour), Layer(lid, shade(colour, 1.25))]


WALLS = (floor, bricks, bars, windows, foliage, shelf)
THINGS = (chain, chain, pole, furniture, block, block)


def draw_backdrop(generator: Generator, size: Size, light: Points) -> list[Layer]:
    """Everything behind the people: a few surfaces and then things, many of them like limbs, trunks or heads."""
    layers = floor(generator, size, light) if generator.random() < 0.7 else []
    for index in generator.choice(len(WALLS), generator.integers(0, 2), replace=False):
        layers += WALLS[index](generator, size, light)
    for index in generator.integers(len(THINGS), size=generator.integers(1, 5)):
        layers += THINGS[index](generator, size, light)
    return layers


def draw_obstacle(generator: Generator, place: Points, reach: float, light: Points) -> list[Layer]:
    """Something in front of a person of stature `reach` at `place` [2]: a board, pole, plant, ball or railing."""
    x, y = place + generator.normal(0, 0.22, 2) * reach
    kind, colour = generator.integers(5), draw_muted(generator)
    if kind == 0:
        wide, high = generator.uniform(0.12, 0.42, 2) * reach
        front = rectangle(x - wide / 2, y - high / 2, wide, high)
        return [Layer(front, shade(colour, 0.75), NOBODY), Layer(0.86 * front + 0.14 * front.mean(0) + light * 4, colour)]
    if kind == 1:
        ends = np.array([[x, y - 2 * reach], [x + generator.normal(0, 0.3) * reach, y + 2 * reach]])
        return limb(ends[0], ends[1], [generator.uniform(0.015, 0.05) * reach] * 2, colour, light, NOBODY)
    if kind == 2:
        layers: list[Layer] = []
        green = shade(colour, 0.9)
        for angle in generator.normal(-np.pi / 2, 0.7, generator.integers(5, 12)):
            tip = np.array([x, y + 0.2 * reach]) + generator.uniform(0.15, 0.45) * reach * np.array([np.cos(angle), np.sin(angle)])
            leaf = (0.005 * reach, 0.03 * reach, 0.005 * reach)
            tone = shade(green, generator.uniform(0.7, 1.3))
            layers += limb(np.array([x, y + 0.3 * reach]), tip, leaf, tone, light, NOBODY)
        return layers
    if kind == 3:
        ball = blob(x, y, *(generator.uniform(0.06, 0.17, 2) * reach))
        return [Layer(ball, shade(colour, 0.7), NOBODY), Layer(0.8 * ball + 0.2 * np.array([x, y]) + light * 8, colour)]
    bar = generator.uniform(0.015, 0.045) * reach
    slope = generator.normal(0, 20)
    rails = [y + index * generator.uniform(0.15, 0.4) * reach for index in range(generator.integers(1, 4))]
    return [
        layer
        for rail in rails
        for layer in limb(np.array([-10.0, rail]), np.array([1000.0, rail + 3 * slope]), (bar, bar), colour, light, NOBODY)
    ]
