"""Adding people with new labels to the training part of a set."""

import filecmp
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from semipose.data.exports.content import Parts
from semipose.utils.errors import InputError

Entry = dict[str, Any]
SHOWN = 3  # images that a message names


def joined(new: Parts, old: Parts, where: Path) -> Parts:
    """Add people to the training part of a set; its validation part stays as it is.

    Joints are matched by their names; those that the new people lack count as not labelled.
    An image that the set has already, by its bytes, is not added again.

    Args:
        new: Content with the new people, of any parts; images have a `path`.
        old: The set.
        where: Folder of the set, for the messages.

    Raises:
        InputError: The set has no validation part, or the new people are on its images; joints do not fit.
    """
    if "val" not in old:
        raise InputError(f"{where}: has no validation part; make a set with one first: semipose doctor {where} --convert FOLDER")
    train, known, held_out = old["train"], _finder(old["train"]["images"]), _finder(old["val"]["images"])
    category = _category(train, where)
    images, annotations = list(train["images"]), list(train["annotations"])
    last_image, last = _last(images, where), _last(annotations, where)
    validation = []
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
            for number, one in enumerate(people, start=last + 1):
                annotations.append(one | {"id": number, "image_id": target["id"], "category_id": category["id"]})
            last += len(people)
    if validation:
        some = f"{', '.join(validation[:SHOWN])}{' ...' if validation[SHOWN:] else ''}"
        raise InputError(f"{len(validation)} of the new images are validation images of {where}: {some}; take them out of the new labels")
    return {"train": train | {"images": images, "annotations": annotations}, "val": old["val"]}


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
