"""A COCO annotation file, read in one way for training, `doctor` and evaluation.

Entries with only one possible meaning are read and counted.
The rest is refused, with its place in the file (docs/own-data.md lists the kinds).
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from semipose.data.coco_person import SHARES, are_shares, clamp, corners_by_joints, in_px, understand, written
from semipose.data.schema import Annotation, Category, Content, Image, SizedImage, find_category
from semipose.utils.errors import InputError
from semipose.utils.files import json_bytes, parse_json, without_collection
from semipose.utils.validation import fault, without_booleans

CONTENT: dict[bool, TypeAdapter[Any]] = {True: TypeAdapter(Content[SizedImage]), False: TypeAdapter(Content[Image])}
IMAGE: dict[bool, TypeAdapter[Any]] = {True: TypeAdapter(SizedImage), False: TypeAdapter(Image)}
ANNOTATION, CATEGORY = TypeAdapter(Annotation), TypeAdapter(Category)
LISTS = ("images", "annotations", "categories")
REPAIR = "repair that entry"
WRITTEN = "entries have numbers as text or as 17.0, or true, false and null for visibilities"
ONCE = "entries are repeated, and count once"
SLASHES = "file names have backslashes"
CROWD, UNLABELLED, DEGENERATE = "crowd", "no keypoint", "degenerate box"

Entries = list[tuple[int, Any]]  # each with its place in the file


@dataclass
class Reading:
    """A COCO annotation file as it was understood.

    Attributes:
        category_ids: Those of all categories of the file.
        images: By id, in file order.
        annotations: Those of `category`, each with its place in the file; bbox is None for a crowd
            or an unlabelled person without one, num_keypoints is counted.
        left_out: Why an annotation, by its place, is neither trained on nor scored.
        other: Number of annotations of other categories.
        understood: What is not written as in COCO, and how often.
        faults: What is refused, by its place; those entries are in none of the lists.
    """

    label: str
    category: Category
    joints: tuple[str, ...]
    category_ids: tuple[int, ...] = ()
    images: dict[int, Any] = field(default_factory=dict)
    annotations: Entries = field(default_factory=list)
    left_out: dict[int, str] = field(default_factory=dict)
    other: int = 0
    understood: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    @property
    def messages(self) -> list[str]:
        """The faults as sentences that name the file."""
        return [f"{self.label}: {one}; {REPAIR}" for one in self.faults]

    def checked(self) -> "Reading":
        """Return this reading.

        Raises:
            InputError: There are faults; it has the first one and the number of the others.
        """
        if self.faults:
            raise InputError(self.messages[0] + (f" ({len(self.faults) - 1:,} more are refused)" if len(self.faults) > 1 else ""))
        return self

    def truth(self) -> dict[str, Any]:
        """What results are compared with, in COCO's format: the one category.

        A person with an empty box is a crowd there, so that pycocotools ignores results on them.
        """
        return {
            "images": list(self.images.values()),
            "annotations": [
                one | ({"iscrowd": True} if self.left_out.get(place) == DEGENERATE else {})
                for place, one in self.annotations
                if one["bbox"] is not None
            ],
            "categories": [self.category],
        }


def read_set(
    source: Path | Any, label: str, category: str | None = None, joints: Sequence[str] = (), sized: bool = True, remedy: str = ""
) -> Reading:
    """Read a COCO annotation file, or its content, which is not changed.

    Args:
        source: A file, or its content.
        label: What messages call the source.
        category: Name of the category; None: the only one that names its joints.
        joints: Names for a category without names; without them, such a category is refused.
        sized: Whether images must have file names and sizes, as training needs them.
        remedy: What to do about a file that cannot be read.

    Raises:
        InputError: The file is not JSON, lacks a list, or has no such category; faults of single
            entries are in `Reading.faults`.
    """
    with without_collection():
        content = json_bytes(source, remedy) if isinstance(source, Path) else None
        try:  # all at once, which is several times as fast
            whole = CONTENT[sized].validate_python(source) if content is None else CONTENT[sized].validate_json(content)
        except ValidationError:
            tree = source if content is None else parse_json(content, label, remedy)
            reading, images, annotations = _entry_by_entry(_lists(tree, label, remedy), label, category, joints, sized)
        else:
            reading = _reading(whole["categories"], label, category, joints)
            images, annotations = list(enumerate(whole["images"])), list(enumerate(whole["annotations"]))
        for _, image in _once(images, "images", reading):
            if "\\" in image.get("file_name", ""):
                image["file_name"] = image["file_name"].replace("\\", "/")
                reading.understood[SLASHES] += 1
            reading.images[image["id"]] = image
        own = [(place, one) for place, one in annotations if one["category_id"] == reading.category["id"]]
        reading.other += len(annotations) - len(own)
        _take(reading, _once(own, "annotations", reading))
    return reading


def _reading(categories: list[Category], label: str, name: str | None, joints: Sequence[str]) -> Reading:
    category = find_category(categories, name, label, joints)
    return Reading(label, category, tuple(category.get("keypoints") or joints), tuple(one["id"] for one in categories))


def _lists(tree: Any, label: str, remedy: str) -> dict[str, list[Any]]:
    what_now = f"; {remedy}" if remedy else ""
    if not isinstance(tree, dict):
        raise InputError(f"{label}: should be an object with the lists {', '.join(LISTS)}{what_now}")
    for name in LISTS:
        if not isinstance(tree.get(name), list):
            wrong = f"should be a valid array, not {str(tree[name])[:80]}" if name in tree else "is missing"
            raise InputError(f"{label}: {name}: {wrong}{what_now}")
    return tree


def _entry_by_entry(
    tree: dict[str, list[Any]], label: str, name: str | None, joints: Sequence[str], sized: bool
) -> tuple[Reading, Entries, Entries]:
    """Images and annotations of a file that does not fit the
    schema, as far as they can be understood.
    """
    faults: list[str] = []
    understood: Counter[str] = Counter()
    categories = [one for _, one in _each(CATEGORY, enumerate(tree["categories"]), "categories", understood, faults)]
    if faults:
        raise InputError(f"{label}: {faults[0]}; {REPAIR}")
    reading = _reading(categories, label, name, joints)
    reading.understood = understood
    images = _each(IMAGE[sized], enumerate(tree["images"]), "images", understood, reading.faults)
    places = {place for place, _ in images}
    lost = {str(one.get("id")) for place, one in enumerate(tree["images"]) if place not in places and isinstance(one, dict)}
    others = {str(one["id"]) for one in categories} - {str(reading.category["id"])}
    entries = []
    for place, one in enumerate(tree["annotations"]):
        if isinstance(one, dict) and str(one.get("category_id")) in others:
            reading.other += 1  # nothing else in it matters
        elif not (isinstance(one, dict) and str(one.get("image_id")) in lost):  # its image is already a fault
            entries.append((place, one))
    return reading, images, _each(ANNOTATION, entries, "annotations", understood, reading.faults, written)


def _each(
    schema: TypeAdapter[Any],
    entries: Iterable[tuple[int, Any]],
    name: str,
    understood: Counter[str],
    faults: list[str],
    repair: Callable[[Any], Any] = lambda entry: entry,
) -> Entries:
    """The entries of a list that fit the schema, unchanged or
    (counted) repaired; the others are faults.
    """
    found = []
    for place, entry in entries:
        try:
            found.append((place, schema.validate_python(entry)))
        except ValidationError:
            try:
                found.append((place, schema.validate_python(without_booleans(repair(entry)), strict=False)))
                understood[WRITTEN] += 1
            except ValidationError as error:
                faults.append(fault(error, name, place))
    return found


def _once(entries: Entries, name: str, reading: Reading) -> Entries:
    """Entries with unique ids: an identical entry counts once, a
    different one with the same id is a fault.
    """
    first: dict[int, tuple[int, Any]] = {}
    for place, entry in entries:
        known = first.setdefault(entry["id"], (place, entry))[1]
        if known is not entry and known == entry:
            reading.understood[ONCE] += 1
        elif known is not entry:
            reading.faults.append(f"{name}[{place}]: id: {entry['id']} occurs twice; give each entry its own id")
    return list(first.values())


def _take(reading: Reading, entries: Entries) -> None:
    """Add the category's annotations as far as they are understood, and who is left out."""
    if entries and not any("keypoints" in one for _, one in entries):
        raise InputError(
            f"{reading.label}: none of its {len(entries)} annotations has the field `keypoints`, as in COCO's "
            "instances_train2017.json; use the file whose annotations have them"
        )
    for place, one in entries:
        image = reading.images.get(one["image_id"])
        if image is None:
            wrong: str | None = f"image_id: {one['image_id']} is not the id of one of `images`"
        else:
            wrong = understand(one, len(reading.joints), _size(image), reading.understood)
        if wrong:
            reading.faults.append(f"annotations[{place}]: {wrong}")
        else:
            reading.annotations.append((place, one))
            if one["iscrowd"] or not one["num_keypoints"]:
                reading.left_out[place] = CROWD if one["iscrowd"] else UNLABELLED
    if reading.understood[SHARES]:  # then boxes without joints are shares too
        for place, one in reading.annotations:
            if place in reading.left_out and one["bbox"] and are_shares(one["bbox"]):
                one["bbox"] = in_px(one["bbox"], _size(reading.images[one["image_id"]]))
    people = [(place, one) for place, one in reading.annotations if place not in reading.left_out]
    if not people:
        return
    boxes, sizes = (
        np.array(rows, np.float64)
        for rows in zip(*((one["bbox"], _size(reading.images[one["image_id"]])) for _, one in people), strict=True)
    )
    for k in np.flatnonzero((clamp(boxes, sizes)[:, 2:] <= 0).any(axis=1)):
        reading.left_out[people[k][0]] = DEGENERATE
    if corners_by_joints([one for _, one in people], sizes):
        place, one = people[0]
        reading.faults.append(
            f"annotations[{place}]: bbox: {one['bbox']} looks like x1, y1, x2, y2, as do the boxes of all {len(people)} "
            "people, whose joints fit only that; write x, y, width, height"
        )


def _size(image: dict[str, Any]) -> tuple[float, float]:
    return image.get("width") or math.inf, image.get("height") or math.inf
