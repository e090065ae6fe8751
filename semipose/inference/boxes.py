"""Image ids and people of the images to predict: from an annotated set, from a file of boxes, or
one person per image.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, NotRequired

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter
from typing_extensions import TypedDict

from semipose.data.coco_file import read_set
from semipose.data.given_boxes import check_corners, check_shares
from semipose.data.names import base_name, composed
from semipose.data.pixels import BrokenImage, image_size
from semipose.data.schema import PERSON, Box, Id, Number, SizedImage
from semipose.data.sources.coco import annotated_people
from semipose.inference.photos import Photo, named_by_numbers, numbered
from semipose.utils.errors import InputError
from semipose.utils.validation import read_valid


class GivenBox(TypedDict):
    """A box of a person in one of the photos, or in a frame (from 1) of a video."""

    file_name: NotRequired[str]
    image_id: NotRequired[Id]
    category_id: NotRequired[Id]
    frame: NotRequired[Annotated[int, Field(strict=True, ge=1)]]
    bbox: Box
    score: NotRequired[Number]


GIVEN = TypeAdapter(list[GivenBox])


@dataclass(frozen=True, eq=False)
class Boxes:
    """The boxes of one image: xywh [N, 4] px, scores [N]."""

    xywh: NDArray[np.float32]
    scores: NDArray[np.float64]

    @classmethod
    def of(cls, rows: Sequence[Sequence[float]]) -> "Boxes":
        """Of N rows x, y, width, height, score."""
        table = np.array(rows, np.float64).reshape(-1, 5)
        return cls(table[:, :4].astype(np.float32), table[:, 4])


@dataclass(frozen=True, eq=False)
class Asked:
    """What to predict.

    Attributes:
        photos: The photos, in the order of the results.
        boxes: The people in each; None if a detector finds them, or if one person fills each image.
        category: Their category in the results.
    """

    photos: list[Photo]
    boxes: dict[Path, Boxes] | None = None
    category: int = PERSON
    left_out: int = 0  # number of images that the annotated set does not have


def of_images(paths: Sequence[Path], boxes: Path | None = None) -> Asked:
    """Take photos that belong to no set.

    Args:
        paths: The image files.
        boxes: A file of boxes, as `read_boxes` reads it. Ids beside file names in it become those
            of the photos; others are given by `numbered`. None: one person fills each image.

    Raises:
        InputError: As `read_boxes`.
    """
    if boxes is None:
        return Asked(numbered(paths))
    given: dict[str, int] = {}
    for index, entry in enumerate(read_given(boxes)):
        if "file_name" in entry and "image_id" in entry:
            name = base_name(entry["file_name"])
            if given.setdefault(name, entry["image_id"]) != entry["image_id"]:
                raise InputError(
                    f"{boxes}: [{index}]: image_id: {entry['image_id']}, but {name} was {given[name]} before; give each file one id"
                )
    photos = [replace(photo, image_id=given.get(base_name(photo.path.name), photo.image_id)) for photo in numbered(paths)]
    by_numbers = named_by_numbers(paths)
    return read_boxes(boxes, photos, [photo for photo in photos if by_numbers or base_name(photo.path.name) in given])


def of_set(
    paths: Sequence[Path],
    annotations: Path,
    clamped: bool,
    boxes: Path | None = None,
    detected: bool = False,
    category: str | None = None,
) -> Asked:
    """Take photos of an annotated set, with its ids and in its order.

    Their people are those that training would use, in their annotated boxes, unless `boxes` or a
    detector gives others.

    Args:
        paths: The image files; those that are not in the set are left out and counted.
        annotations: A file in COCO's format.
        clamped: Whether boxes are clamped into the image, as in the network's training.
        boxes: A file of boxes, as `read_boxes` reads it.
        detected: Whether a detector will find the people.
        category: Name of the category that counts; None: the only one with keypoints.

    Raises:
        InputError: A file is wrong, or none of the images is in the set.
    """
    known = read_set(annotations, str(annotations), category).checked()
    images, category_id = list(known.images.values()), known.category["id"]
    photos = _in_set(paths, images)
    if not photos:
        some = ", ".join(image["file_name"] for image in images[:3])
        raise InputError(
            f"{annotations}: none of the {len(paths)} given images is in this set, whose images are {some} ...; give its images"
        )
    left_out = len(paths) - len(photos)
    if boxes is not None:
        asked = read_boxes(boxes, photos, photos)
        return Asked(photos, asked.boxes, category_id, left_out)
    if detected:
        return Asked(photos, None, category_id, left_out)
    of_image: dict[int, list[int]] = defaultdict(list)
    people = annotated_people(known, clamped)
    for row, image_id in enumerate(people.image_ids.tolist()):
        of_image[image_id].append(row)
    found = {photo.path: people.boxes[of_image[photo.image_id]].reshape(-1, 4) for photo in photos}
    return Asked(photos, {path: Boxes(xywh, np.ones(len(xywh))) for path, xywh in found.items()}, category_id, left_out)


def read_boxes(path: Path, photos: Sequence[Photo], known: Sequence[Photo]) -> Asked:
    """Read the boxes of each photo.

    Args:
        path: A JSON list of {image_id or file_name, bbox [x, y, width, height] px, score (default
            1)}.
        photos: All photos.
        known: Photos whose ids are more than a position in the list, so that boxes may name them by
            id.

    Raises:
        InputError: Names the file, the entry and the field; also if a box belongs to none of the
            photos, or if the boxes are of several categories.
    """
    rows: dict[Path, list[list[float]]] = {photo.path: [] for photo in photos}
    by_id = {photo.image_id: photo for photo in known}
    by_name: dict[str, list[Photo]] = defaultdict(list)
    for photo in photos:
        by_name[base_name(photo.path.name)].append(photo)
    entries = read_given(path)
    for index, entry in enumerate(entries):
        place = f"{path}: [{index}]"
        if "file_name" in entry:
            what, found = f"file_name {entry['file_name']!r}", by_name[base_name(entry["file_name"])]
            if len(found) > 1:
                found = [photo for photo in found if _ends_with(photo.path, entry["file_name"])]
                if len(found) != 1:
                    raise InputError(f"{place}: {what}: several images have this name; give it with the folders before it")
            owner = found[0] if found else None
        elif "image_id" in entry:
            what, owner = f"image_id {entry['image_id']}", by_id.get(entry["image_id"])
            if not known:
                raise InputError(
                    f"{place}: {what}: these images are not named by numbers, so it is not known which one this is. Give "
                    "file_name in the boxes, or give the set of the ids with --annotations"
                )
        else:
            raise InputError(f"{place}: has neither file_name nor image_id; add one of them")
        if owner is None:
            some = ", ".join(f"{photo.path.name} (image_id {photo.image_id})" for photo in photos[:3])
            raise InputError(f"{place}: {what} is none of the {len(photos)} given images: {some}{' ...' if photos[3:] else ''}")
        rows[owner.path].append([*entry["bbox"], entry.get("score", 1.0)])
    sizes = {photo.path: _size(photo) for photo in photos if rows[photo.path]}
    written = [(box[:4], sizes[owner]) for owner, some in rows.items() for box in some]
    if written:
        check_corners(np.array([box for box, _ in written]), np.array([size for _, size in written]), str(path))
    categories = {entry.get("category_id", PERSON) for entry in entries} or {PERSON}
    return Asked(list(photos), {name: Boxes.of(row) for name, row in rows.items()}, categories.pop())


def _size(photo: Photo) -> tuple[int, int]:
    """Width and height in px, as annotated or as viewers show it; 0 if the file is damaged."""
    if all(photo.annotated):
        return photo.annotated
    try:
        return image_size(photo.path, "apply")
    except BrokenImage:
        return 0, 0


def check_boxes(boxes: NDArray[np.floating], size: tuple[int, int], where: str = "") -> None:
    """Check boxes against the size of their image.

    Args:
        boxes: xywh px, [N, 4].
        size: Width and height of the image in px.
        where: Beginning of the message.

    Raises:
        InputError: A box has no extent, is completely outside the image, or is far larger.
    """
    for number, (x, y, w, h) in enumerate(boxes.tolist()):
        if not np.isfinite([x, y, w, h]).all() or w <= 0 or h <= 0:
            raise InputError(
                f"{where}box [{number}]: {[x, y, w, h]}, must be x, y, width, height in px, finite, with width and height above 0"
            )
        if max(w, h) > 10 * max(size):
            raise InputError(f"{where}box [{number}]: {[x, y, w, h]} is more than ten times as large as its image; give px of this image")
        if x + w <= 0 or y + h <= 0 or x >= size[0] or y >= size[1]:
            raise InputError(
                f"{where}box [{number}]: {[x, y, w, h]} is outside the image of {size[0]} x {size[1]} px; give px of this image"
            )


def _in_set(paths: Sequence[Path], images: Sequence[SizedImage]) -> list[Photo]:
    """The photos that are in the set, in its order; equal names
    are told apart by the folders before them.
    """
    here: dict[str, list[Path]] = defaultdict(list)
    for path in paths:
        here[base_name(path.name)].append(path)
    often = Counter(base_name(image["file_name"]) for image in images)
    photos = []
    for image in images:
        name = image["file_name"]
        found = here[base_name(name)]
        if often[base_name(name)] > 1 or len(found) > 1:
            found = [path for path in found if _ends_with(path, name)]
        photos += [Photo(path, image["id"], (int(image["width"]), int(image["height"]))) for path in found[:1]]
    return photos


def _ends_with(path: Path, name: str) -> bool:
    """Whether a path ends with this name and the folders before it, which may be Windows'."""
    return composed(path.resolve().as_posix()).endswith("/" + composed(name.replace("\\", "/").lstrip("./")))


def read_given(path: Path) -> list[GivenBox]:
    """Read the boxes of a file.

    Raises:
        InputError: The file is wrong, a box has no extent, or the boxes are of several categories.
    """
    entries = read_valid(GIVEN, path, str(path))
    check_shares((entry["bbox"] for entry in entries), str(path))
    for index, entry in enumerate(entries):
        if min(entry["bbox"][2:]) <= 0:
            raise InputError(f"{path}: [{index}]: bbox: {entry['bbox']}, must be x, y, width, height with width and height above 0")
    categories = {entry.get("category_id", PERSON) for entry in entries}
    if len(categories) > 1:
        raise InputError(f"{path}: category_id: has {', '.join(map(str, sorted(categories)))}; keep the boxes of one category")
    return entries
