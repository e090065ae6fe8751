"""What readers of all layouts do: numbers in annotation files, and the headers of images."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from semipose.data.schema import LARGEST
from semipose.utils.errors import InputError

HEADER_THREADS = 8
BRING = "run `dvc repro download`, or set data.root in params.yaml to the folder that has it"


def numbers(values: Sequence[Any], shape: tuple[int, ...], name: Callable[[int], str], remedy: str) -> NDArray[np.float64]:
    """[N, *shape] from N numbers, lists, or lists of lists, all finite. Raises InputError with the name of the first that is not."""
    try:
        array = np.array(values, dtype=np.float64).reshape(len(values), *shape)
        if np.shape(values[0] if values else np.empty(shape)) == shape and (np.abs(array) <= LARGEST).all():
            return array
    except (ValueError, TypeError, OverflowError):
        pass  # which one it is, is looked for below
    what = f"{' x '.join(map(str, shape))} finite numbers" if shape else "a finite number"
    for i, value in enumerate(values):
        if not _sound(value, shape):
            shown = repr(value) if len(repr(value)) < 100 else f"{repr(value)[:100]}..."
            raise InputError(f"{name(i)} is {shown}, not {what}; {remedy}")
    raise InputError(f"{name(0)}: not the same kind of numbers everywhere, {what}; {remedy}")


def _sound(value: Any, shape: tuple[int, ...]) -> bool:
    if shape:
        return isinstance(value, list) and len(value) == shape[0] and all(_sound(one, shape[1:]) for one in value)
    return type(value) in (int, float) and abs(value) <= LARGEST


def image_sizes(root: Path, images: Sequence[str], wanted_by: str) -> NDArray[np.int64]:
    """[N, 2] width and height (px) of images relative to `root`, from their headers; (0, 0) where an image is there but damaged: the
    crop pack counts those. Raises InputError for one that is not there; `wanted_by` is the file whose people need it."""

    def size(image: str) -> tuple[int, int]:
        try:
            with Image.open(root / image) as header:
                return header.size
        except FileNotFoundError as error:
            raise InputError(f"{root / image}: not there, but {wanted_by} has its person; {BRING}") from error
        except (OSError, Image.DecompressionBombError):
            return 0, 0

    different = list(dict.fromkeys(images))
    with ThreadPoolExecutor(HEADER_THREADS) as pool:
        known = dict(zip(different, pool.map(size, different), strict=True))
    return np.array([known[image] for image in images], dtype=np.int64).reshape(-1, 2)


def image_numbers(images: Sequence[str]) -> NDArray[np.int64]:
    """[N] a number for each image, from 1, in the order in which they first occur; for sets that number none themselves."""
    number = {image: k for k, image in enumerate(dict.fromkeys(images), start=1)}
    return np.array([number[image] for image in images], dtype=np.int64)
