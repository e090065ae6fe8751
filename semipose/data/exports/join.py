"""Adding people with new labels to the training part of a set."""

import filecmp
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semipose.data.exports.content import Parts
from semipose.utils.errors import InputError

Entry = dict[str, Any]
SHOWN = 3  # images that a message names
NEAR = 1.0  # px, in x and in y: two labels of a joint that are this near differ by rounding alone


def joined(new: Parts, old: Parts, where: Path) -> tuple[Parts, str]:
    """Add people to the training part of a set; its validation part stays as it is.

    Joints are matched by their names; those that the new people lack count as not labelled.
    An image that the set has already, by its bytes, is not added again.
    Nor is a person of such an image (`_same_people`): only labels that differ by more than rounding are taken.

    Args:
        new: Content with the new people, of any parts; images have a `path`.
        old: The set.
        where: Folder of the set, for the messages.

    Returns:
        The set with the people; in words, how many were added, and how many it had already.

    Raises:
        InputError: The set has no validation part, or the new people are on its images; joints do not fit.
    """
    if "val" not in old:
        raise InputError(f"{where}: has no validation part; make a set with one first: semipose doctor {where} --convert FOLDER")
    train, known, held_out = old["train"], _finder(old["train"]["images"]), _finder(old["val"]["images"])
    category = _category(train, where)
    images, annotations = list(train["images"]), [dict(one) for one in train["annotations"]]
    last_image, last = _last(images, where), _last(annotations, where)
    before = len(annotations)
    here: dict[Any, list[Entry]] = defaultdict(list)
    for one in annotations:
        if one.get("category_id") == category["id"]:
            here[one.get("image_id")].append(one)
    validation, again, changed = [], 0, 0
    for content in new.values():
        theirs = _category(content, "the new labels")
        of_image = defaultdict(list)
        for one in content["annotations"]:
            if one.get("category_id") == theirs["id"] and one.get("keypoints"):
                of_image[one.get("image_id")].append(one | {"keypoints": _in_order(one, theirs["keypoints"], category["keypoints"])})
        for image in content["images"]:
            people = of_image[image.get("id")]
            if not people:  # nothing of it was labelled
                continue
            if held_out(image["path"]):
                validation.append(Path(image["path"]).name)
            target = known(image["path"])
            if target is None:
                last_image += 1
                target = image | {"id": last_image}
                images.append(target)
            same_people = _same_people(here[target["id"]], people)
            for place, one in enumerate(people):
                same = same_people.get(place)
                if same is None:
                    last += 1
                    annotations.append(one | {"id": last, "image_id": target["id"], "category_id": category["id"]})
                else:
                    again += 1
                    changed += _corrected(same, one)
    if validation:
        some = f"{', '.join(validation[:SHOWN])}{' ...' if validation[SHOWN:] else ''}"
        raise InputError(f"{len(validation)} of the new images are validation images of {where}: {some}; take them out of the new labels")
    told = f"{len(annotations) - before:,} people added"
    if again:
        told += (
            f"; {again:,} people are in {where} already (same image, at least half of their joints within {NEAR:g} px) and were not added "
            f"again; {changed:,} of these got labels that differ by more"
        )
    return {"train": train | {"images": images, "annotations": annotations}, "val": old["val"]}, told


def _category(content: Entry, where: Path | str) -> Entry:
    """The only category with joints."""
    found = [one for one in content["categories"] if one.get("keypoints")]
    if len(found) != 1:
        names = ", ".join(str(one.get("name")) for one in found)
        raise InputError(f"{where}: {len(found)} categories have joints ({names}); keep one")
    return dict(found[0])


def _in_order(person: Entry, given: list[str], wanted: list[str]) -> list[float]:
    """A person's key points in the order of other joints; (0, 0, 0) for those that are not given."""
    if unknown := [joint for joint in given if joint not in wanted]:
        raise InputError(f"the new labels have joints that the set lacks: {', '.join(unknown)}; name them as the set: {', '.join(wanted)}")
    values = person["keypoints"]
    if len(values) != 3 * len(given):
        raise InputError(f"the new labels: annotation {person.get('id')} has {len(values)} numbers, must have {3 * len(given)}; repair it")
    triples = {joint: values[3 * k : 3 * k + 3] for k, joint in enumerate(given)}
    return [value for joint in wanted for value in triples.get(joint, (0, 0, 0))]


def _same_people(known: list[Entry], new: list[Entry]) -> dict[int, Entry]:
    """Which of the new people of an image, by their places, are which of the known ones; each is one person at most.

    The most similar come first: those with the largest share of NEAR joints, and of these the nearest.
    """
    compared = ((_difference(person, one), place, row) for place, one in enumerate(new) for row, person in enumerate(known))
    same: dict[int, int] = {}
    for _, place, row in sorted((difference, place, row) for difference, place, row in compared if difference):
        if place not in same and row not in same.values():
            same[place] = row
    return {place: known[row] for place, row in same.items()}


def _difference(one: Entry, other: Entry) -> tuple[float, float] | None:
    """How one person of an image differs from another: of the joints that both have, the share that is not NEAR, and the mean distance.

    None: they are two people, because more than half of these joints are not NEAR.
    """
    first, second = _points(one), _points(other)
    if first.shape != second.shape:
        return None
    both = (first[:, 2] > 0) & (second[:, 2] > 0)
    if not both.any() or (apart := float(1 - _near(first, second)[both].mean())) > 0.5:
        return None
    return apart, float(np.hypot(*(first - second)[both, :2].T).mean())


def _corrected(known: Entry, new: Entry) -> bool:
    """Take the labels of a person, in place, that a person of the set lacks or has elsewhere; whether there is one."""
    old, given = _points(known), _points(new)
    taken = (given[:, 2] > 0) & ~((old[:, 2] > 0) & _near(old, given))
    if taken.any():
        known |= {key: new[key] for key in ("bbox", "area") if key in new}
        known["keypoints"] = np.where(taken[:, None], given, old).ravel().tolist()
        known.pop("num_keypoints", None)
    return bool(taken.any())


def _near(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray((np.abs(one - other)[:, :2] <= NEAR).all(axis=1))


def _points(person: Entry) -> NDArray[np.float64]:
    """x, y, visibility of each joint, [K, 3]; [0, 3] if they are not written so: doctor names that later."""
    try:
        return np.array(person["keypoints"], np.float64).reshape(-1, 3)
    except (KeyError, TypeError, ValueError):
        return np.zeros((0, 3))


def _finder(images: list[Entry]) -> Callable[[Path], Entry | None]:
    """Finds the entry of an image among these by the bytes of its file."""
    of_size: dict[int, list[Entry]] = defaultdict(list)
    for image in images:
        of_size[Path(image["path"]).stat().st_size].append(image)

    def find(path: Path) -> Entry | None:
        alike = of_size.get(path.stat().st_size, [])
        return next((image for image in alike if filecmp.cmp(path, image["path"], shallow=False)), None)

    return find


def _last(entries: list[Entry], where: Path) -> int:
    try:
        return max((int(one["id"]) for one in entries), default=0)
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{where}: an id is missing or not a whole number; run semipose doctor {where}, and repair it") from None
