"""People that a detector found: boxes from a JSON in the layout of COCO's detection results, no keypoints."""

from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from semipose.data.people import People
from semipose.data.sources.reading import BRING, image_sizes, numbers
from semipose.pose.skeleton import Skeleton
from semipose.utils.errors import InputError
from semipose.utils.files import read_json

PERSON = 1  # COCO's category


def read_images(path: Path) -> list[dict[str, Any]]:
    """The list `images` (id, file_name) of a file in COCO's layout that has no annotations. Raises InputError."""
    content = read_json(path, BRING)
    images = content.get("images") if isinstance(content, dict) else None
    if not isinstance(images, list) or not all(_is_image(image) for image in images):
        raise InputError(f"{path}: no list `images` of objects with id and file_name; {BRING}")
    return images


def _is_image(entry: Any) -> bool:
    return isinstance(entry, dict) and type(entry.get("id")) is int and type(entry.get("file_name")) is str


def read_detections(path: Path, root: Path, images: list[dict[str, Any]], folder: str, skeleton: Skeleton, score: float = 0.0) -> People:
    """Every box of a person with at least this score, in file order; images without one have nobody.

    `images` is the list of the annotation file that the detector was run on (id, file_name), `folder` their place under `root`. Boxes
    are xywh px and not clamped (methods.md 1.1); areas are theirs. ids number the boxes from 1. Left out and counted in
    `People.dropped`: a lower score, degenerate box (no extent, or off its image).
    Raises InputError naming file, entry and field; also where a box lies in an image that is not among `images`.
    """
    entries = read_json(path, BRING)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f"{path}: not a list of objects; detections have image_id, category_id, bbox and score, as COCO's results")
    known = {image["id"]: image["file_name"] for image in images}
    for index, entry in enumerate(entries):
        if type(entry.get("image_id")) is not int or entry["image_id"] not in known:
            raise InputError(
                f"{path}: [{index}]: image_id {entry.get('image_id')!r} is not one of the {len(known)} images of this part: "
                "give the detections of these images"
            )
    people = [(index, entry) for index, entry in enumerate(entries) if entry.get("category_id") == PERSON]
    repair = "repair that entry"
    scores = numbers([entry.get("score") for _, entry in people], (), lambda i: f"{path}: [{people[i][0]}]: score", repair)
    boxes = numbers([entry.get("bbox") for _, entry in people], (4,), lambda i: f"{path}: [{people[i][0]}]: bbox", repair)
    names = [(PurePosixPath(folder) / known[entry["image_id"]]).as_posix() for _, entry in people]
    sizes = image_sizes(root, names, path.name)
    low = scores < score
    off = ((boxes[:, :2] >= sizes) | (boxes[:, :2] + boxes[:, 2:] <= 0)).any(axis=1) & (sizes > 0).all(axis=1)
    degenerate = ~low & ((boxes[:, 2:] <= 0).any(axis=1) | off)
    keep = np.flatnonzero(~low & ~degenerate)
    if not len(keep):
        raise InputError(f"{path}: none of {len(entries)} entries is a person's box with a score of at least {score}")
    dropped = {"low score": int(low.sum()), "degenerate box": int(degenerate.sum())}
    joints = len(skeleton.joints)
    return People(
        skeleton=skeleton,
        ids=keep + 1,
        image_ids=np.array([people[i][1]["image_id"] for i in keep], np.int64),
        images=[names[i] for i in keep],
        sizes=sizes[keep],
        boxes=boxes[keep].astype(np.float32),
        areas=boxes[keep, 2:].prod(axis=1).astype(np.float32),
        points=np.zeros((len(keep), joints, 2), np.float32),
        visibility=np.zeros((len(keep), joints), np.uint8),
        dropped={reason: count for reason, count in dropped.items() if count},
        scores=scores[keep].astype(np.float32),
    )
