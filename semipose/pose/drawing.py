"""Pictures of poses and heatmaps on images, and sheets of them; with Pillow only."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps

from semipose.pose.skeleton import Skeleton
from semipose.utils.files import replacing

Picture = Image.Image | NDArray[np.uint8]

COLOURS = {"left": (41, 151, 255), "right": (255, 122, 26), "centre": (120, 220, 90)}
"""Colours of the person's own sides: blue is left, orange
is right, green joins both or has no side.
"""
OUTLINE = (20, 20, 20)
TEXT = 14  # px
SMOOTH_BELOW = 1200  # px; smaller pictures are rendered at three times the size and reduced, because Pillow's lines are not smooth
HEAT = ((0, 0, 0), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164))  # 0 .. 1, dark to bright


def as_image(picture: Picture) -> Image.Image:
    """Convert a Pillow image or an array, uint8 RGB [H, W, 3], to a new RGB Pillow image."""
    return picture.convert("RGB").copy() if isinstance(picture, Image.Image) else Image.fromarray(picture)


def draw_pose(
    picture: Picture,
    points: NDArray[np.floating],
    seen: NDArray[np.floating] | NDArray[np.integer],
    skeleton: Skeleton,
    threshold: float = 0.0,
) -> Image.Image:
    """Render poses on a picture; lines are thicker for larger people.

    Args:
        picture: The picture; it is not changed.
        points: [N, K, 2] px, or one pose [K, 2].
        seen: Visibility or confidence, [N, K] or [K].
        skeleton: Has the limbs.
        threshold: Joints at or below it are left out, with the limbs that end in them.
    """
    image = as_image(picture)
    joints = len(skeleton.joints)
    factor = 3 if max(image.size) < SMOOTH_BELOW else 1
    layer = Image.new("RGBA", (image.width * factor, image.height * factor))
    pencil = ImageDraw.Draw(layer)
    for pose, visible in zip(points.reshape(-1, joints, 2), seen.reshape(-1, joints) > threshold, strict=True):
        # An integer is the centre of a pixel, also in the larger layer, where Pillow would truncate fractions.
        place = np.rint((np.nan_to_num(pose.astype(np.float64)) + 0.5) * factor - 0.5)
        _draw_person(pencil, place, visible & np.isfinite(pose).all(1), skeleton, max(layer.size))
    layer = layer.resize(image.size, Image.Resampling.BOX)
    image.paste(layer, (0, 0), layer)
    return image


def draw_heatmap(picture: Picture, heatmaps: NDArray[np.floating], strength: float = 0.75) -> Image.Image:
    """Render heatmaps over a picture.

    Dark purple is low, yellow is 1.
    A map of any size is stretched over the picture, as cells lie on pixels (geometry.py).

    Args:
        picture: The picture; it is not changed.
        heatmaps: [h, w], or [K, h, w], of which the maximum is shown. Values are clipped to 0-1 and
            cover the picture in proportion to their roots.
        strength: Share (0-1) of the picture that a value of 1 covers.
    """
    image = as_image(picture)
    flat = heatmaps.max(axis=0) if heatmaps.ndim == 3 else heatmaps
    stretched = Image.fromarray(np.clip(flat, 0, 1).astype(np.float32)).resize(image.size, Image.Resampling.BILINEAR)
    value = np.asarray(stretched)
    steps = np.linspace(0, 1, len(HEAT))
    heat = np.stack([np.interp(value, steps, [colour[channel] for colour in HEAT]) for channel in range(3)], axis=2)
    cover = (strength * np.sqrt(value))[..., None]
    return Image.fromarray((np.asarray(image) * (1 - cover) + heat * cover).round().astype(np.uint8))


def sheet(tiles: Sequence[Picture], captions: Sequence[str], columns: int, tile: tuple[int, int] | None = None) -> Image.Image:
    """Arrange tiles in rows on white, each with its caption below, wrapped to the tile's width.

    Args:
        tiles: The pictures, row by row.
        captions: One for each.
        columns: Tiles in a row.
        tile: (width, height) px into which each tile is fitted in proportion; default: the largest
            tile, at least 160 px.
    """
    images = [as_image(picture) for picture in tiles]
    width, height = tile or (max([160, *(i.width for i in images)]), max([*(i.height for i in images), 1]))
    font = ImageFont.load_default(size=TEXT)
    texts = [_wrap(caption, font, width) for caption in captions]
    line, gap = round(1.35 * TEXT), 8
    rows = -(-len(images) // columns)
    below = [max(len(text) for text in texts[r * columns : (r + 1) * columns]) * line for r in range(rows)]
    across = min(columns, max(len(images), 1))
    canvas = Image.new("RGB", (across * (width + gap) + gap, sum(below) + rows * (height + 2 * gap) + gap), "white")
    pencil = ImageDraw.Draw(canvas)
    for number, (image, text) in enumerate(zip(images, texts, strict=True)):
        row, column = divmod(number, columns)
        x, y = gap + column * (width + gap), gap + sum(below[:row]) + row * (height + 2 * gap)
        fitted = ImageOps.contain(image, (width, height))
        canvas.paste(fitted, (x + (width - fitted.width) // 2, y + (height - fitted.height) // 2))
        for k, words in enumerate(text):
            pencil.text((x, y + height + gap // 2 + k * line), words, fill=OUTLINE, font=font)
    return canvas


def save_pictures(folder: Path, pictures: Mapping[str, Image.Image]) -> dict[str, Path]:
    """Write each picture as a JPEG with its name; return the paths by name."""
    paths = {name: folder / f"{name}.jpg" for name in pictures}
    for name, picture in pictures.items():
        with replacing(paths[name]) as temporary:
            picture.save(temporary, "JPEG", quality=88)
    return paths


def _draw_person(
    pencil: ImageDraw.ImageDraw, place: NDArray[np.float64], visible: NDArray[np.bool_], skeleton: Skeleton, picture_px: int
) -> None:
    if not visible.any():
        return
    extent = np.ptp(place[visible], axis=0).max()
    width = max(extent, picture_px / 20) / 45
    limbs = [(a, b) for a, b in skeleton.limbs if visible[a] and visible[b]]
    # A dark edge under the colour keeps both readable on any background.
    for edge in (True, False):
        thick = max(1, round(1.6 * width if edge else width))
        for a, b in limbs:
            pencil.line([*place[a], *place[b]], OUTLINE if edge else COLOURS[side(skeleton, a, b)], thick)
    for j in np.flatnonzero(visible):
        x, y = place[j]
        for size, colour in ((1.25, OUTLINE), (0.95, COLOURS[side(skeleton, int(j))])):
            radius = max(1, round(size * width))
            pencil.ellipse([x - radius, y - radius, x + radius, y + radius], fill=colour)


def side(skeleton: Skeleton, *joints: int) -> str:
    """The side of a joint or limb: "left" or "right" if its
    joints have only that side, else "centre".
    """
    sides = {name for j in joints for name in ("left", "right") if skeleton.joints[j].startswith(name + "_")}
    return sides.pop() if len(sides) == 1 else "centre"


def _wrap(caption: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> list[str]:
    lines: list[str] = []
    for paragraph in caption.split("\n"):
        line = ""
        for word in paragraph.split():
            longer = f"{line} {word}".strip()
            if line and font.getlength(longer) > width:
                lines.append(line)
                longer = word
            line = longer
        lines.append(line)
    return lines
