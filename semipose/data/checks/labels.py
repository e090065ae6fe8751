"""Whether the labels of people are plausible: joints in their
boxes, boxes and areas of their size, left on the left, no person twice.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from semipose.data.checks.finding import Finding, several
from semipose.data.coco_person import FEW, like_corners
from semipose.data.people import People

BESIDE = 0.25  # of the box's longer side: a joint further outside does not belong to this person
TINY = 0.02  # of a box: a smaller area is not one of this person in px^2
SOME = 0.1  # of the people: this many tiny areas are not people who are mostly hidden
CORNERS = "people have a box that looks like x1, y1, x2, y2: their joints and images fit only that; write x, y, width, height"
AREAS = "people have an area below 2 % of their box, as in percent of the image: AP would be of another size class; write px^2, or none"
LARGER = "people have an area larger than their box, so OKS forgives them more"
SMALL = 16  # px; boxes shorter than this on both sides show almost nothing
CROSSED = 0.25  # of the box's diagonal: how much shorter the limbs of two sides would be with one pair's sides swapped
OPPOSITE = 0.05  # of the box's diagonal: width of two pairs that point in opposite directions


def check(people: People, part: str) -> tuple[list[Finding], NDArray[np.bool_]]:
    """Check whether the labels of N people are plausible.

    Args:
        people: The people of one part.
        part: Its name, for the findings.

    Returns:
        What is odd about the labels, and whose labels a person should check, [N] bool.
    """
    name = [f"annotation {one} ({image})" for one, image in zip(people.ids, people.images, strict=True)]
    count, seen = len(people), people.visibility > 0
    odd = {
        "people have a joint far outside their box": (seen & (beyond(people) > BESIDE)).any(1),
        "people have a joint outside their image": _outside(people),
        "people whose left and right look swapped": swapped(people),
        "people are annotated twice: same image, same joints": _twice(people),
        CORNERS: _corners(people),
        AREAS: _tiny(people),
        LARGER: people.areas > 1.01 * (people.boxes[:, 2:] + 1).prod(1) + 1,  # clamping took a px
    }
    rest = {
        f"people have a box below {SMALL} px": people.boxes[:, 2:].max(1) < SMALL,
        "people have fewer than three joints": seen.sum(1) < 3,
    }
    found: list[Finding] = []
    for grade, checks in (("check", odd), ("note", rest)):
        for what, who in checks.items():
            where = [DETAILS[what](people, k) if what in DETAILS else name[k] for k in np.flatnonzero(who).tolist()]
            found += several(grade, part, what, where, count)  # type: ignore[arg-type]
    never = [people.skeleton.joints[k] for k in np.flatnonzero(seen.sum(0) == 0)]
    found += several("check", part, "joints are never annotated", never, len(people.skeleton.joints))
    if not people.skeleton.pairs:
        found.append(
            Finding("check", part, "no joint has a partner on the other side; if that is wrong, name the pairs (data.custom.pairs)")
        )
    return found, np.any(list(odd.values()), axis=0)


def beyond(people: People) -> NDArray[np.float64]:
    """How far each joint is outside its person's box, [N, K], in
    units of the box's longer side; 0 inside.
    """
    low = people.boxes[:, None, :2].astype(np.float64)
    high = low + people.boxes[:, None, 2:]
    outside = np.maximum(np.maximum(low - people.points, people.points - high), 0).max(2)
    return np.where(people.visibility > 0, outside / people.boxes[:, 2:].max(1, keepdims=True), 0.0)


def swapped(people: People) -> NDArray[np.bool_]:
    """Whose left and right joints look swapped, [N].

    Either limbs cross that would be much shorter with one pair's sides exchanged,
    or two neighbouring pairs (shoulders and hips, eyes and shoulders) point in opposite directions.
    Crossed arms are rarely that long; a twisted body can be.
    """
    skeleton, seen = people.skeleton, people.visibility > 0
    points = people.points.astype(np.float64)
    diagonal = np.hypot(people.boxes[:, 2], people.boxes[:, 3]).astype(np.float64)
    limbs = {frozenset(limb) for limb in skeleton.limbs}
    wrong = np.zeros(len(people), dtype=bool)

    def apart(a: int, b: int) -> NDArray[np.float64]:
        return np.hypot(*(points[:, a] - points[:, b]).T)

    for left, right in skeleton.pairs:
        for other_left, other_right in skeleton.pairs:
            if left == other_left or not {frozenset((left, other_left)), frozenset((right, other_right))} <= limbs:
                continue
            all_seen = seen[:, [left, right, other_left, other_right]].all(1)
            now = apart(left, other_left) + apart(right, other_right)
            exchanged = apart(left, other_right) + apart(right, other_left)
            wrong |= all_seen & (now - exchanged > CROSSED * diagonal)
    for (left, right), (other_left, other_right) in _neighbours(people):
        across, other = points[:, left] - points[:, right], points[:, other_left] - points[:, other_right]
        wide = np.minimum(np.hypot(*across.T), np.hypot(*other.T)) > OPPOSITE * diagonal
        cosine = (across * other).sum(1) / np.maximum(np.hypot(*across.T) * np.hypot(*other.T), 1e-9)
        wrong |= seen[:, [left, right, other_left, other_right]].all(1) & wide & (cosine < -0.8)
    return wrong


def _neighbours(people: People) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Pairs that turn together: shoulders with hips, and with what a face has."""
    named = {people.skeleton.joints[left].lower().replace("left", "").strip("_ "): (left, right) for left, right in people.skeleton.pairs}
    wanted = (("shoulder", "hip"), ("eye", "shoulder"), ("ear", "shoulder"))
    return [(named[one], named[other]) for one, other in wanted if one in named and other in named]


def _corners(people: People) -> NDArray[np.bool_]:
    if people.written_boxes is None:
        return np.zeros(len(people), bool)
    seen = people.visibility[..., None] > 0
    low, high = (end(np.where(seen, people.points, fill), axis=1) for end, fill in ((np.min, np.inf), (np.max, -np.inf)))
    sizes = np.where(people.sizes > 0, people.sizes, np.inf)
    return (seen[..., 0].sum(1) >= FEW) & like_corners(people.written_boxes, low, high, sizes)


def _tiny(people: People) -> NDArray[np.bool_]:
    """People with a tiny area; none, if they are only a few of all."""
    tiny = people.areas < TINY * people.boxes[:, 2:].astype(np.float64).prod(1)
    return tiny & (tiny.mean() > SOME) if len(people) else tiny


def _place(people: People, k: int) -> str:
    place = "annotation" if people.places is None else f"annotations[{people.places[k]}]"
    return f"{place} (id {people.ids[k]}, {people.images[k]})"


def _box_there(people: People, k: int) -> str:
    assert people.written_boxes is not None
    width, height = people.sizes[k].tolist()
    return f"{_place(people, k)}: bbox [{', '.join(f'{value:g}' for value in people.written_boxes[k])}], image {width} x {height} px"


def _area_there(people: People, k: int) -> str:
    width, height = people.boxes[k, 2:].tolist()
    return f"{_place(people, k)}: area {people.areas[k]:g}, box {width:.0f} x {height:.0f} px"


DETAILS: dict[str, Callable[[People, int], str]] = {CORNERS: _box_there, AREAS: _area_there}


def _outside(people: People) -> NDArray[np.bool_]:
    known = people.sizes.min(1) > 0
    far = ((people.points < -1) | (people.points > people.sizes[:, None])).any(2) & (people.visibility > 0)
    return known & far.any(1)


def _twice(people: People) -> NDArray[np.bool_]:
    """People, except the first, who have the same joints in the same image."""
    keys = [(image, points.tobytes()) for image, points in zip(people.images, people.points, strict=True)]
    first: dict[tuple[str, bytes], int] = {}
    return np.array([first.setdefault(key, k) != k for k, key in enumerate(keys)], dtype=bool)
