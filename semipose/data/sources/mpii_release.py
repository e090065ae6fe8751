"""MPII as its authors release it, one .mat file; only training images have joints in it."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.io.matlab import mat_struct

from semipose.data.sources.matlab import read_matlab
from semipose.data.sources.mpii_rows import JOINTS, Rows, head_sizes
from semipose.data.sources.reading import BRING
from semipose.utils.errors import InputError


def read_release(path: Path) -> tuple[Rows, list[Any]]:
    """Read the people of the training images, whom alone the release has joints of.

    Args:
        path: The .mat file.

    Returns:
        The people, and the video of each one (its image if none is named).

    Raises:
        InputError: Names file, entry and remedy.
    """
    release = read_matlab(path, squeeze_me=True).get("RELEASE")
    if not isinstance(release, mat_struct) or not hasattr(release, "annolist") or not hasattr(release, "img_train"):
        raise InputError(f"{path}: no RELEASE with annolist and img_train is in it; {BRING}")
    images, training = _structs(release.annolist), np.atleast_1d(release.img_train)
    if len(images) != len(training):
        raise InputError(f"{path}: RELEASE has {len(images)} images in annolist and {len(training)} in img_train; {BRING}")
    names, videos, people = [], [], []
    for k in np.flatnonzero(training):
        image = images[k]
        for number, person in enumerate(_structs(getattr(image, "annorect", None)), start=1):
            if _structs(getattr(person, "annopoints", None)):
                name = getattr(getattr(image, "image", None), "name", None)
                if not isinstance(name, str) or not name:
                    raise InputError(f"{path}: annolist({k + 1}) has no image.name; {BRING}")
                names.append(name)
                videos.append(_number(image, "vididx") or _number(image, "vidx") or names[-1])
                people.append(_person(person, f"{path}: annolist({k + 1}).annorect({number})"))
    if not people:
        raise InputError(f"{path}: no person with annopoints is in a training image; {BRING}")
    centres, scales, joints, visibility, heads = (np.array(part) for part in zip(*people, strict=True))
    return Rows(names, centres, scales, joints, visibility, head_sizes(heads)), videos


def _person(person: mat_struct, where: str) -> tuple[list[float], float, NDArray[np.float64], NDArray[np.int64], list[float]]:
    """Centre, scale, joints [16, 2], visibility [16] and head box (x1, y1, x2, y2; NaN if there is none)."""
    joints, visibility = np.zeros((JOINTS, 2)), np.zeros(JOINTS, np.int64)
    for point in _structs(getattr(_structs(person.annopoints)[0], "point", None)):
        joint, x, y = (_number(point, name) for name in ("id", "x", "y"))
        if joint is None or joint not in range(JOINTS) or x is None or y is None:
            raise InputError(f"{where}: a point has id {joint}, x {x}, y {y}; wanted are a joint of 0 to {JOINTS - 1} and px; {BRING}")
        joints[int(joint)] = x, y
        visibility[int(joint)] = 1 if _number(point, "is_visible") == 0 else 2  # neck and head top come without a word
    place, scale = _structs(getattr(person, "objpos", None)), _number(person, "scale")
    x, y = (_number(place[0], name) for name in "xy") if place and scale and scale > 0 else (None, None)
    centre = [-1.0, -1.0] if x is None or y is None else [x, y]
    corners = [_number(person, name) for name in ("x1", "y1", "x2", "y2")]
    return centre, scale or 1.0, joints, visibility, [np.nan if corner is None else corner for corner in corners]


def part_of(videos: list[Any], part: str, validation: int, path: Path) -> NDArray[np.int64]:
    """Find the people of a part: frames of one video look alike, so none is in both.

    Args:
        videos: The video of each person, in file order.
        part: "train" or "val".
        validation: Number of people, at least, in the videos from the end that are "val".
        path: Where they come from, for messages.

    Returns:
        Positions of the people.

    Raises:
        InputError: No video would be left for one of the parts.
    """
    if not 0 < validation < len(videos):
        raise InputError(
            f"data.validation_people: videos with {validation} people are to be the validation set, but {path} has {len(videos)}; "
            f"choose 1 to {len(videos) - 1}"
        )
    size, held, people = Counter(videos), set(), 0
    for video in dict.fromkeys(reversed(videos)):
        if people >= validation:
            break
        held.add(video)
        people += size[video]
    if people == len(videos):
        raise InputError(f"data.validation_people: {validation} leaves no video of {path} to train on; choose fewer")
    return np.flatnonzero([(video in held) == (part == "val") for video in videos])


def _structs(value: Any) -> list[Any]:
    """The structs of an array of them; scipy gives a single one bare, and none as an empty array of numbers."""
    return [one for one in np.atleast_1d(value) if isinstance(one, mat_struct)]


def _number(struct: mat_struct, name: str) -> float | None:
    """A field that is one finite number, or the text of one."""
    try:
        value = float(getattr(struct, name))
    except (AttributeError, TypeError, ValueError):
        return None
    return value if np.isfinite(value) else None
