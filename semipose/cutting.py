"""Cutting crops out of image files. Without torch, so that the processes of a crop pack start at once."""

import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from semipose.errors import InputError
from semipose.workers import in_processes

MEAN_COLOUR = (124, 116, 104)
"""RGB, what is outside an image: the ImageNet mean, which is 0 after normalisation."""

CHUNK = 64
"""Images that a process takes at a time."""


class BrokenImage(Exception):
    """An image file whose pixels cannot be read, or end early; the message is the reason."""


@dataclass(frozen=True, eq=False)
class Cut:
    """One image file, and the rows of the pack that are cut out of it."""

    path: Path
    size: tuple[int, int]  # (width, height) in px as annotated; 0 where not known
    rows: NDArray[np.int64]  # [n]
    matrices: NDArray[np.float32]  # [n, 2, 3] image px -> crop px


def cut_parallel(cuts: Sequence[Cut], target: Path, processes: int) -> Iterator[list[tuple[Path, str]]]:
    """``cut_images`` for chunks of images in that many processes; yields each chunk's broken images, in order."""
    chunks = [cuts[start : start + CHUNK] for start in range(0, len(cuts), CHUNK)]
    yield from in_processes(partial(cut_images, target=target), chunks, min(processes, len(chunks)))


def cut_images(cuts: Sequence[Cut], target: Path) -> list[tuple[Path, str]]:
    """Decode each image once and write its crops into their rows of ``target``, an .npy [N, S, S, 3] (uint8, RGB).

    Returns the broken images and why; their rows are left as they were. Raises InputError where a file cannot be
    opened, or is of another size than annotated.
    """
    crops = np.load(target, mmap_mode="r+")
    broken = []
    for cut in cuts:
        try:
            image = decode(cut.path)
        except BrokenImage as error:
            broken.append((cut.path, str(error)))
            continue
        if all(cut.size) and image.size != cut.size:
            raise InputError(
                f"{cut.path}: the image is {image.width} x {image.height} px, but its annotation was made for "
                f"{cut.size[0]} x {cut.size[1]}: bring images and annotations of one release"
            )
        for row, matrix in zip(cut.rows, cut.matrices, strict=True):
            crops[row] = resample(image, matrix, crops.shape[1])
    crops.flush()
    return broken


def decode(path: Path) -> Image.Image:
    """The RGB pixels of an image file, as they are stored: EXIF orientation is ignored, as annotations do.

    PIL, because it refuses a truncated file of any format and resamples a box by itself. Raises BrokenImage where the
    content is no whole image, InputError where the file cannot be opened.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be opened ({error.strerror}); check data.root and its permissions") from error
    try:
        return Image.open(io.BytesIO(content)).convert("RGB")
    except UnidentifiedImageError:
        raise BrokenImage("not an image file" if content else "empty file") from None
    except MemoryError:
        raise
    except Exception as error:  # the decoders raise a dozen kinds for damaged content
        raise BrokenImage(str(error) or type(error).__name__) from error


def resample(image: Image.Image, matrix: NDArray[np.float32], size: int) -> NDArray[np.uint8]:
    """The crop [size, size, 3] that ``matrix`` [2, 3] (image px -> crop px; scale and shift only) shows of the image.

    Bilinear where it magnifies; where it shrinks, the triangle filter is as wide as a crop pixel, so nothing aliases.
    """
    scale = float(matrix[0, 0])
    # Pillow counts from the edge of the first pixel, half a pixel before its centre.
    left, top = ((-0.5 - float(shift)) / scale + 0.5 for shift in matrix[:, 2])
    extent, margin = size / scale, math.ceil(max(1.0, 1 / scale)) + 1
    x, y = math.floor(left) - margin, math.floor(top) - margin
    side = math.ceil(extent) + 2 * margin + 1
    canvas = Image.new("RGB", (side, side), MEAN_COLOUR)
    canvas.paste(image, (-x, -y))
    box = (left - x, top - y, left - x + extent, top - y + extent)
    return np.asarray(canvas.resize((size, size), Image.Resampling.BILINEAR, box=box))
