"""Annotations of people that are not written as in COCO: understood if there is one possible
meaning, else refused.
"""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

COUNTED = "people have a num_keypoints that differs from their number of labelled joints; the joints are counted"
NOBODY = "crowds and unlabelled people have a wrong number of keypoints, read as none"
BOXLESS = "crowds and unlabelled people have no box, and are left out"
SHARES = "people have a box in shares of the image's size"
AREAS = (
    "people have no area, or one of 1 or less; the area of their box on the image is used, with which OKS forgives more than with "
    "the area of an outline, as COCO has it"
)
VISIBILITIES = {0, 1, 2}
FEW = 3  # people or joints: fewer say nothing about how a file is written
FILLED = 0.4  # of a box x1, y1, x2, y2: what its person's joints fill at least, in both directions
LOOSE = 0.6  # of a box x, y, width, height: if x1, y1, x2, y2 would be less than this, it is far too large
BEYOND = 0.1  # of the image: a box that ends this far outside is not one of this image


def written(entry: Any) -> Any:
    """Write the keypoints of an annotation as x, y, visibility, joint by joint.

    Lists of three are joined, and true is visible.
    A joint with null or NaN coordinates, or with false at 0, 0, is not labelled.
    """
    keypoints = entry.get("keypoints") if isinstance(entry, dict) else None
    if not isinstance(keypoints, list):
        return entry
    if keypoints and all(isinstance(one, list) and len(one) == 3 for one in keypoints):
        keypoints = [value for joint in keypoints for value in joint]
    if len(keypoints) % 3:
        return entry | {"keypoints": keypoints}
    made = []
    for x, y, visible in zip(*(iter(keypoints),) * 3, strict=True):
        nowhere = any(value is None or value != value for value in (x, y))
        if (nowhere and (visible is None or visible in (0, "0"))) or (visible is False and not (x or y)):
            made += [0.0, 0.0, 0.0]
        else:
            made += [x, y, 2.0 if visible is True else visible]
    return entry | {"keypoints": made}


def understand(one: dict[str, Any], joints: int, size: tuple[float, float], understood: Counter[str]) -> str | None:
    """Complete an annotation of a person, in place.

    Args:
        one: The annotation, as the schema reads it.
        joints: Number of joints of its category.
        size: Width and height of the image; inf if unknown.
        understood: Counts what is not written as in COCO.

    Returns:
        What is wrong, or None.
    """
    one["iscrowd"] = bool(one.get("iscrowd"))
    return _keypoints(one, joints, size, understood) or _box(one, size, understood) or _area(one, size, understood)


def _keypoints(one: dict[str, Any], joints: int, size: tuple[float, float], understood: Counter[str]) -> str | None:
    given = one.get("keypoints") or []
    sound = len(given) == 3 * joints and VISIBILITIES.issuperset(given[2::3])
    if given and not sound:
        if not (one["iscrowd"] or not any(given)):
            if len(given) != 3 * joints:
                return f"keypoints: has {len(given)} numbers, must have {3 * joints} (3 for each of {joints} joints)"
            return "keypoints: has a visibility that is not 0, 1 or 2"
        understood[NOBODY] += 1
    said = one.get("num_keypoints")
    if not given and not one["iscrowd"] and isinstance(said, int | float) and said > 0:
        return f"keypoints: has none, but num_keypoints is {said:g}"
    one["keypoints"] = given if sound else [0.0] * (3 * joints)
    counted = sum(value > 0 for value in one["keypoints"][2::3])
    if one.get("num_keypoints", counted) != counted:
        understood[COUNTED] += 1
    one["num_keypoints"] = counted
    if counted >= FEW and not one["iscrowd"] and 2 < min(size) < math.inf:
        x, y = _labelled(one)
        if min(*x, *y) >= 0 and max(*x, *y) <= 1:
            return "keypoints: all are within the first pixel, as shares of the image's size would be; write them in px"
    return None


def _box(one: dict[str, Any], size: tuple[float, float], understood: Counter[str]) -> str | None:
    box = one.get("bbox") or []
    person = one["num_keypoints"] and not one["iscrowd"]
    if len(box) != 4:
        if person:
            return f"bbox: has {len(box)} numbers, must have 4 (x, y, width, height)" if box else "bbox: is missing"
        understood[BOXLESS] += 1
        one["bbox"] = None
        return None
    if person and are_shares(box) and 2 < min(size) < math.inf:
        one["bbox"] = box = in_px(box, size)
        if not _surrounds(box, *_labelled(one)):
            return "bbox: is within the first pixel, and as shares of the image's size it does not contain the joints; write it in px"
        understood[SHARES] += 1
    x, y, width, height = box
    if person and (x >= size[0] or y >= size[1] or x + max(width, 0) < 0 or y + max(height, 0) < 0):
        about = f"(bbox {box}, image {one['image_id']} of {size[0]:g} x {size[1]:g} px)"
        return f"bbox: is completely outside the image {about}"
    return None


def _area(one: dict[str, Any], size: tuple[float, float], understood: Counter[str]) -> str | None:
    area, box = one.get("area"), one["bbox"]
    if area is not None and area < 0:
        return f"area: {area:g}, must not be negative"
    of_box = area_on_image(box, size) if box else 0.0
    if area is None or area <= 1 < of_box:
        understood[AREAS] += 1
        one["area"] = of_box
    return None


def area_on_image(box: Sequence[float], size: tuple[float, float]) -> float:
    """Area (px²) of the part of a box that is on its image: OKS forgives the more, the larger it is."""
    sides = zip(box[:2], box[2:], size, strict=True)
    width, height = (length - max(-start, 0) - max(start + length - end, 0) for start, length, end in sides)
    return float(max(width, 0) * max(height, 0))


def are_shares(box: Sequence[float]) -> bool:
    """Whether a box xywh is within 0 to 1: as px, the person would be smaller than a pixel."""
    return min(box) >= 0 and max(box) <= 1 and min(box[2:]) > 0


def in_px(box: Sequence[float], size: tuple[float, float]) -> list[float]:
    return [share * length for share, length in zip(box, size * 2, strict=True)]


def _labelled(one: dict[str, Any]) -> tuple[list[float], list[float]]:
    """x and y of the labelled joints."""
    keypoints = one["keypoints"]
    seen = [k for k in range(0, len(keypoints), 3) if keypoints[k + 2] > 0]
    return [keypoints[k] for k in seen], [keypoints[k + 1] for k in seen]


def _surrounds(box: Sequence[float], x: list[float], y: list[float]) -> bool:
    """Whether joints are in a box, or up to a tenth of its size
    outside, and do not all sit in one of its corners.
    """
    for values, low, length in ((x, box[0], box[2]), (y, box[1], box[3])):
        if min(values) < low - 0.1 * length - 1 or max(values) > low + 1.1 * length + 1:
            return False
    spread = max((max(x) - min(x)) / box[2], (max(y) - min(y)) / box[3])
    return len(x) < FEW or spread > 0.3


def clamp(boxes: NDArray[np.float64], sizes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Clamp xywh boxes [N, 4] into their images of sizes [N, 2] (px), as the released code does.

    The corner moves into the image first; the far side is
    corner + extent - 1, at most the last pixel.
    A width or height <= 0 means that nothing is left.
    """
    near = np.maximum(boxes[:, :2], 0)
    far = np.minimum(sizes - 1, near + np.maximum(boxes[:, 2:] - 1, 0))
    return np.hstack([near, far - near])


def corners_by_joints(people: list[dict[str, Any]], sizes: NDArray[np.float64]) -> bool:
    """Whether boxes are x1, y1, x2, y2: all joints are inside them, and
    as x, y, width, height they are far too large.

    Of two people each must look like that alone (`like_corners`); one is too few to tell.

    Args:
        people: N annotations.
        sizes: Width and height of their images, [N, 2]; inf if unknown.
    """
    chosen = [k for k, one in enumerate(people) if one["num_keypoints"] > 1]
    known = [people[k] for k in chosen]
    different = len({tuple(one["bbox"]) for one in known})
    if different < FEW - 1:
        return False
    boxes = np.array([one["bbox"] for one in known])
    ends = np.array([[(min(values), max(values)) for values in _labelled(one)] for one in known])  # [N, x or y, low or high]
    if different < FEW:
        enough = all(one["num_keypoints"] >= FEW for one in people)
        return enough and bool(like_corners(boxes, ends[..., 0], ends[..., 1], sizes[chosen]).all())
    near, far = boxes[:, :2], boxes[:, 2:]
    inside = _contains(near, far, ends[..., 0], ends[..., 1])
    too_large = (near / np.maximum(far, 1)).max(axis=1)  # the part of width or height that would be empty
    return bool(inside.all(axis=1).mean() > 0.98 and np.median(too_large) > 0.25)


def like_corners(
    boxes: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64], sizes: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Whether the box of each of N people fits as x1, y1, x2, y2, and not as x, y, width, height, [N].

    As corners it is inside the image, and contains the joints, which fill a good part of it.
    Otherwise it is far too large, or ends far outside the image.

    Args:
        boxes: As they are written, not clamped, [N, 4].
        low: Smallest x and y of the labelled joints, [N, 2].
        high: Largest x and y, [N, 2].
        sizes: Width and height of the images, [N, 2]; inf if unknown.
    """
    near, far = boxes[:, :2], boxes[:, 2:]
    fits = _contains(near, far, low, high) & (near >= 0) & (far <= sizes + 1) & (high - low >= FILLED * (far - near))
    loose = ((far - near) / np.maximum(far, 1)).prod(axis=1) < LOOSE
    outside = (near + far > (1 + BEYOND) * sizes + 1).any(axis=1)
    return np.asarray(fits.all(axis=1) & (loose | outside))


def _contains(
    near: NDArray[np.float64], far: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Whether corners are corners, and joints from `low` to `high` are between them, [N, x or y]."""
    slack = 0.02 * far + 1
    return (far > near) & (low >= near - slack) & (high <= far + slack)
