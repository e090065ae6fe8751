"""An export as the content of COCO-format files, and writing it."""

import json
import os
import shutil
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semipose.data.coco_person import area_on_image
from semipose.data.names import check_name
from semipose.data.pixels import BrokenImage, image_size
from semipose.utils.errors import InputError
from semipose.utils.files import write_text

Parts = dict[str, dict[str, Any]]
"""Content of COCO-format files by part, "train" or "val" ("" if unknown); images have a `path`."""
HELD_OUT = 5
"""Every n-th image is used for validation if an export has no validation part."""
MARGIN = 0.1
"""Share of the joints' extent by which a box grows on each
side: joints are in the body, boxes around it.
"""


@dataclass(frozen=True)
class Person:
    """A person of an export.

    Attributes:
        points: x, y (px), visibility of each joint.
        box: xywh (px); None: around the joints.
    """

    points: Sequence[tuple[float, float, int]]
    box: Sequence[float] | None = None


@dataclass(frozen=True)
class Photo:
    """An image file and the people in it."""

    path: Path
    people: Sequence[Person]
    part: str = ""


def content_of(joints: Sequence[str], photos: Sequence[Photo]) -> Parts:
    """Make COCO-format content, by part, from the photos of an export.

    Args:
        joints: Names of the joints, in the order of `Person.points`.
        photos: The images and their people. A person without a box gets one around the joints.
    """
    category = {"id": 1, "name": "person", "keypoints": list(joints), "skeleton": []}
    parts: Parts = {}
    for photo in photos:
        content = parts.setdefault(photo.part, {"images": [], "annotations": [], "categories": [category]})
        content["images"].append({"id": len(content["images"]) + 1, "path": photo.path})
        for person in photo.people:
            box = person.box or _around(person.points)
            one = {"id": len(content["annotations"]) + 1, "image_id": len(content["images"]), "category_id": 1, "iscrowd": 0, "bbox": box}
            content["annotations"].append(one | {"keypoints": [value for point in person.points for value in point]})
    return parts


def _around(points: Sequence[tuple[float, float, int]]) -> list[float]:
    seen = [(x, y) for x, y, visible in points if visible]
    near, far = ([pick(values) for values in zip(*seen, strict=True)] if seen else [0, 0] for pick in (min, max))
    extent = [high - low for low, high in zip(near, far, strict=True)]
    return [low - MARGIN * length for low, length in zip(near, extent, strict=True)] + [(1 + 2 * MARGIN) * length for length in extent]


def write(parts: Parts, roots: Sequence[Path], out: Path, val: int | None = None) -> None:
    """Write train.json, val.json and images/ (linked if the file system allows it, else copied).

    An image without a size gets the one that viewers show; a person without an area gets that of its box on the image.
    If there is only one part, some of its images are held out for validation.

    Args:
        parts: Content by part; its images lose their `path`.
        roots: Folders; an image keeps its path below the innermost that it is in.
        out: A new or empty folder.
        val: Number of images to hold out if there is no validation part; None: every fifth.

    Raises:
        InputError: The folder is not empty, an image cannot be read, or the images to hold out cannot be.
    """
    if out.exists() and any(out.iterdir()):
        raise InputError(f"{out} is not empty; name a new folder")
    owners: dict[str, Path] = {}
    for part, content in _held_out(parts, val).items():
        sizes: dict[str, tuple[Any, Any]] = {}
        for image in content["images"]:
            path = Path(image.pop("path"))
            name = _name(path, roots, owners)
            target = out / "images" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists():
                _place(path, target)
            try:
                width, height = image_size(path, "apply")
            except BrokenImage as error:
                raise InputError(f"{path}: {error}; replace it, or remove it from the export") from None
            image |= {"file_name": name} | {"width": width, "height": height} | {k: image[k] for k in ("width", "height") if k in image}
            sizes[str(image.get("id"))] = image["width"], image["height"]
        content["annotations"] = [_with_area(one, sizes) for one in content["annotations"]]
        write_text(out / f"{part}.json", json.dumps(content))


def _with_area(one: Any, sizes: dict[str, tuple[Any, Any]]) -> Any:
    """Add the area of the box on the image. An annotation that is not sound stays as it is; doctor names it."""
    try:
        return one if one.get("area") else one | {"area": area_on_image(one["bbox"], sizes[str(one["image_id"])])}
    except (AttributeError, KeyError, TypeError, ValueError):
        return one


def _name(path: Path, roots: Sequence[Path], owners: dict[str, Path]) -> str:
    """The image's path below out/images; if another image has it, with the folder of this one before it.

    Names that differ only in case or in Unicode form are the same: on many disks they are one file.
    """
    check_name(path)
    inside = [root for root in roots if path.is_relative_to(root)]
    name = path.relative_to(max(inside, key=lambda root: len(root.parts))).as_posix() if inside else path.name
    name = name.removeprefix("images/")
    for one in (name, f"{path.absolute().parent.name}/{name}"):
        if owners.setdefault(_folded(one), path) == path:
            return one
    raise InputError(
        f"{path} and {owners[_folded(name)]} are two images of one name (many disks take names that differ only in case, or in how "
        "an accent is written, for one); rename one of them or its folder"
    )


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())


def _place(path: Path, target: Path) -> None:
    try:
        os.link(path.resolve(), target)  # the file itself, not a symbolic link to it
    except OSError:  # another disk, or one without links
        shutil.copyfile(path, target)


def _held_out(parts: Parts, val: int | None) -> Parts:
    """Add a validation part if there is only one part, of its images: every fifth, or this many, evenly spaced."""
    content, *others = (parts[part] for part in ("train", "", "val") if part in parts)
    if others:
        if val is not None:
            raise InputError(f"--val {val}: there is a validation part already; leave --val out")
        return {"train": content, "val": others[-1]}
    count = len(content["images"])
    if count < 2:
        raise InputError("the export has one image; a set needs one to train on and one to validate on")
    if val is not None and val >= count:
        raise InputError(f"--val {val}: the export has {count} images; hold out fewer, so that some are left to train on")
    images = sorted(content["images"], key=lambda image: str(image["path"]))
    fifth = images[HELD_OUT - 1 :: HELD_OUT] or images[-1:]
    chosen = {"val": fifth if val is None else [images[(k + 1) * count // val - 1] for k in range(val)]}
    held_out = {id(image) for image in chosen["val"]}
    chosen["train"] = [image for image in images if id(image) not in held_out]
    made: Parts = {}
    for part, some in chosen.items():
        ids = {image.get("id") for image in some}
        made[part] = content | {"images": some, "annotations": [one for one in content["annotations"] if one.get("image_id") in ids]}
    return made
