"""Cut crops out of image files; without torch, so that the worker processes start at once."""

import io
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from semipose.data.pixels import BrokenImage, Exif, read_image
from semipose.utils.errors import InputError
from semipose.utils.files import digest

MEAN_COLOUR = (124, 116, 104)
"""RGB colour outside an image: the ImageNet mean, which is 0 after normalisation."""
HEADER = 128
"""Bytes of an .npy before its first row: numpy pads them to this size, whatever the number of rows."""


@dataclass(frozen=True, eq=False)
class Cut:
    """One image file, and the rows of the pack that come from it."""

    path: Path
    size: tuple[int, int]  # (width, height) in px as annotated; 0 if unknown
    rows: NDArray[np.int64]  # [n]
    matrices: NDArray[np.float32]  # [n, 2, 3] image px -> crop px


@dataclass(frozen=True, eq=False)
class Cutout:
    """The result for one image.

    It has the rows that were cut, the digests of their stored bytes, and the bytes if they are
    JPEGs; or why the image is broken.
    """

    rows: NDArray[np.int64]
    digests: Sequence[bytes] = ()
    jpegs: Sequence[bytes] = ()
    fault: str | None = None


def cut_image(cut: Cut, target: Path, size: int, quality: int | None, exif: Exif | None = None) -> Cutout:
    """Decode an image once and cut its crops out of it.

    Args:
        cut: The image, and the rows of the pack that come from it.
        target: An .npy [N, S, S, 3] (uint8, RGB), into whose rows raw crops are written.
        size: Side S of the crops in px.
        quality: Quality (1-100) of JPEGs, which are returned instead; None: raw.
        exif: As for `read_image`.

    Raises:
        InputError: The file cannot be opened, has another size than annotated, or it is not known
            whether its EXIF orientation counts.
    """
    try:
        image = read_image(cut.path, cut.size, exif)
    except BrokenImage as error:
        return Cutout(cut.rows, fault=str(error))
    if all(cut.size) and image.size != cut.size:
        raise InputError(
            f"{cut.path}: the image is {image.width} x {image.height} px, but its annotation was made for "
            f"{cut.size[0]} x {cut.size[1]}: {other_size(image.size, cut.size, exif)}"
        )
    crops = [cut_out(image, matrix, size) for matrix in cut.matrices]
    if quality:
        jpegs = [encode(crop, quality) for crop in crops]
        return Cutout(cut.rows, [digest(jpeg) for jpeg in jpegs], jpegs)
    with target.open("r+b") as file:
        for row, crop in zip(cut.rows.tolist(), crops, strict=True):
            os.pwrite(file.fileno(), crop.data, HEADER + row * crop.nbytes)  # through a memory map it takes twice as long
    return Cutout(cut.rows, [digest(crop.data) for crop in crops])


def other_size(size: tuple[int, int], annotated: tuple[int, int], exif: Exif | None) -> str:
    """What to do about an image with another size (width, height) than annotated."""
    if exif and size == annotated[::-1]:
        return f"this follows from data.exif: {exif}; set it to null, so that the annotated sizes decide about its EXIF orientation"
    return "use images and annotations of one release"


def cut_out(image: Image.Image, matrix: NDArray[np.float32], size: int) -> NDArray[np.uint8]:
    """Cut one crop out of an image.

    If the matrix moves by whole pixels only, these are the pixels themselves, else `resample`.

    Args:
        image: RGB.
        matrix: [2, 3], image px -> crop px; scale and shift only.
        size: Side S of the crop in px.

    Returns:
        uint8 RGB [S, S, 3].
    """
    if matrix[0, 0] != 1 or (matrix[:, 2] % 1).any():
        return np.asarray(resample(image, matrix, size))
    crop, (x, y) = _blank(size).copy(), (int(shift) for shift in matrix[:, 2])
    box = max(0, -x), max(0, -y), min(image.width, size - x), min(image.height, size - y)
    if box[0] < box[2] and box[1] < box[3]:
        shown = image if box == (0, 0, *image.size) else image.crop(box)
        crop[y + box[1] : y + box[3], x + box[0] : x + box[2]] = np.asarray(shown)
    return crop


@lru_cache
def _blank(size: int) -> NDArray[np.uint8]:
    """A crop that shows nothing of an image."""
    return np.full((size, size, 3), MEAN_COLOUR, np.uint8)


def resample(image: Image.Image, matrix: NDArray[np.float32], size: int) -> Image.Image:
    """Resample the part of an image that a crop shows.

    Bilinear if it magnifies; if it shrinks, the triangle filter is as wide as a crop pixel, so
    nothing aliases.

    Args:
        image: RGB.
        matrix: [2, 3], image px -> crop px; scale and shift only.
        size: Side of the crop in px.

    Returns:
        The crop, size x size px; it has MEAN_COLOUR outside the image.
    """
    # Pillow counts from the edge of the first pixel, half a pixel before its centre.
    step = 1 / float(matrix[0, 0])  # image px per crop px
    left, top = ((-0.5 - float(shift)) * step + 0.5 for shift in matrix[:, 2])
    reach = math.ceil(max(1.0, step)) + 1  # px; pixels further away do not count
    x0, x1 = _seen(left, step, reach, image.width, size)
    y0, y1 = _seen(top, step, reach, image.height, size)
    crop = Image.new("RGB", (size, size), MEAN_COLOUR)
    if x0 < x1 and y0 < y1:
        box = (left + x0 * step, top + y0 * step, left + x1 * step, top + y1 * step)
        x, y = math.floor(box[0]) - reach, math.floor(box[1]) - reach
        right, bottom = math.ceil(box[2]) + reach, math.ceil(box[3]) + reach
        if min(x, y) < 0 or right > image.width or bottom > image.height:
            whole, image = image, Image.new("RGB", (right - x, bottom - y), MEAN_COLOUR)
            image.paste(whole, (-x, -y))
            box = (box[0] - x, box[1] - y, box[2] - x, box[3] - y)
        crop.paste(image.resize((x1 - x0, y1 - y0), Image.Resampling.BILINEAR, box=box), (x0, y0))
    return crop


def _seen(start: float, step: float, reach: int, length: int, size: int) -> tuple[int, int]:
    """The first of the crop's `size` pixels in one direction that shows
    part of the image (`length` px), and the end.
    """
    return max(0, math.floor((-reach - start) / step)), min(size, math.ceil((length + reach - start) / step))


def through_jpeg(crop: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """A crop [S, S, 3] as it is read from a pack of JPEGs."""
    return np.asarray(Image.open(io.BytesIO(encode(crop, quality))))


def encode(crop: NDArray[np.uint8], quality: int) -> bytes:
    """A crop [S, S, 3] as a JPEG, with colours at half the resolution; always the same bytes."""
    content = io.BytesIO()
    Image.fromarray(crop).save(content, "JPEG", quality=quality)
    return content.getvalue()
