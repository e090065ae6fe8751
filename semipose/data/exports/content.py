"""An export as the content of COCO-format files, and writing it."""

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


def write(parts: Parts, root: Path, out: Path) -> None:
    """Write train.json, val.json and images/ (linked if the file system allows it, else copied).

    An image without a size gets the one that viewers show.
    If there is only one part, every fifth image is held out for validation.

    Args:
        parts: Content by part; its images lose their `path`.
        root: Folder of the export; images keep their paths below it, or below the folder that they
            share if some are elsewhere.
        out: A new or empty folder.

    Raises:
        InputError: The folder is not empty, or an image cannot be read.
    """
    if out.exists() and any(out.iterdir()):
        raise InputError(f"{out} is not empty; name a new folder")
    paths = [Path(image["path"]) for content in parts.values() for image in content["images"]]
    if not all(path.is_relative_to(root) for path in paths):  # an Ultralytics YAML may name folders anywhere
        root = Path(os.path.commonpath([path.parent for path in paths]))
    for part, content in _held_out(parts).items():
        for image in content["images"]:
            path = Path(image.pop("path"))
            name = path.relative_to(root).as_posix()
            target = out / "images" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists():
                _place(path, target)
            try:
                width, height = image_size(path, "apply")
            except BrokenImage as error:
                raise InputError(f"{path}: {error}; replace it, or remove it from the export") from None
            image |= {"file_name": name} | {"width": width, "height": height} | {k: image[k] for k in ("width", "height") if k in image}
        write_text(out / f"{part}.json", json.dumps(content))


def _place(path: Path, target: Path) -> None:
    try:
        os.link(path, target)
    except OSError:  # another disk, or one without links
        shutil.copyfile(path, target)


def _held_out(parts: Parts) -> Parts:
    """Add a validation part if there is only one part: every fifth image of it."""
    content, *others = (parts[part] for part in ("train", "", "val") if part in parts)
    if others:
        return {"train": content, "val": others[-1]}
    if len(content["images"]) < 2:
        raise InputError("the export has one image; a set needs one to train on and one to validate on")
    images = sorted(content["images"], key=lambda image: str(image["path"]))
    chosen = {"val": images[HELD_OUT - 1 :: HELD_OUT] or images[-1:]}
    chosen["train"] = [image for image in images if image not in chosen["val"]]
    made: Parts = {}
    for part, some in chosen.items():
        ids = {image.get("id") for image in some}
        made[part] = content | {"images": some, "annotations": [one for one in content["annotations"] if one.get("image_id") in ids]}
    return made
