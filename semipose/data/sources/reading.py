"""What readers of all layouts do: leaving people out, and the headers of images."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semipose.data.pixels import BrokenImage, Exif, image_size
from semipose.utils.errors import DOWNLOAD_AGAIN, InputError

HEADER_THREADS = 8
BRING = f"{DOWNLOAD_AGAIN}, or set data.root in params.yaml to the folder that has it"
REMEDIES = {
    "degenerate box": "a box needs a width and a height on its image; around one joint, or joints on one line, it has none. "
    "Draw boxes, or label more joints",
    "no keypoint": "label joints, with visibility 1 or 2",
    "crowd": "set iscrowd to 0 for single people",
    "other category": "name the people's category, or give them the one that is read",
    "refused": "repair these entries",
    "low score": "lower the score below which boxes are left out",
}
"""What to do about people who are left out, by the reason; other reasons are faults of a download."""


def nobody(label: object, dropped: dict[str, int]) -> InputError:
    """The error that no person is left.

    Args:
        label: What messages call the file.
        dropped: Number of people left out, by reason.
    """
    counts = ", ".join(f"{count:,} {reason}" for reason, count in dropped.items())
    known = [f"{reason}: {REMEDIES[reason]}" for reason in dropped if reason in REMEDIES]
    return InputError(f"{label}: no person is left (left out: {counts or 'none, it has no people'}); {'. '.join(known) or BRING}")


def kept(path: Path, reasons: dict[str, Any]) -> tuple[NDArray[np.int64], dict[str, int]]:
    """Find the people whom no reason leaves out.

    Args:
        path: Annotation file, for the message.
        reasons: For each reason, whom it leaves out, [N] bool.

    Returns:
        Positions of the people who stay, and the number of people left out by each reason: the
        first that holds counts.

    Raises:
        InputError: No person is left.
    """
    left = ~np.any(list(reasons.values()), axis=0)
    first = np.argmax(list(reasons.values()), axis=0)[~left]
    dropped = {reason: int((first == k).sum()) for k, reason in enumerate(reasons) if (first == k).any()}
    if not left.any():
        raise nobody(path, dropped)
    return np.flatnonzero(left), dropped


def image_sizes(root: Path, images: Sequence[str], wanted_by: str, exif: Exif | None) -> NDArray[np.int64]:
    """Read the sizes of images from their headers.

    Args:
        root: Folder of the data set.
        images: N paths relative to `root`.
        wanted_by: Name of the file whose people need the images, for the message.
        exif: As `pixels.read_image` takes it.

    Returns:
        Width and height (px), [N, 2]; (0, 0) if an image is there but damaged: the crop pack counts
        those.

    Raises:
        InputError: An image is not there, or has an EXIF orientation while `exif` is None.
    """

    def size(image: str) -> tuple[int, int]:
        try:
            return image_size(root / image, exif)
        except FileNotFoundError as error:
            raise InputError(f"{root / image}: not there, but {wanted_by} has its person; {BRING}") from error
        except BrokenImage:
            return 0, 0

    different = list(dict.fromkeys(images))
    with ThreadPoolExecutor(HEADER_THREADS) as pool:
        known = dict(zip(different, pool.map(size, different), strict=True))
    return np.array([known[image] for image in images], dtype=np.int64).reshape(-1, 2)


def image_numbers(images: Sequence[str]) -> NDArray[np.int64]:
    """[N] a number for each image, from 1, in the order in which they first occur; for sets that number none themselves."""
    number = {image: k for k, image in enumerate(dict.fromkeys(images), start=1)}
    return np.array([number[image] for image in images], dtype=np.int64)
