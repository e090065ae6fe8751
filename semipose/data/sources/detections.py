"""People that a detector found: boxes from a JSON in the layout of COCO's detection results, no keypoints."""

from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from semipose.data.given_boxes import check_corners, check_shares
from semipose.data.people import People
from semipose.data.pixels import Exif
from semipose.data.schema import DETECTIONS, IMAGES, PERSON
from semipose.data.sources.reading import BRING, image_sizes, kept
from semipose.pose.skeleton import Skeleton
from semipose.utils.errors import InputError
from semipose.utils.validation import read_valid


def read_images(path: Path) -> list[dict[str, Any]]:
    """Read the list `images` (id, file_name) of a file in COCO's layout that has no annotations.

    Raises:
        InputError: The file is missing or wrong.
    """
    return read_valid(IMAGES, path, str(path), BRING)["images"]  # type: ignore[return-value]


def read_detections(
    path: Path,
    root: Path,
    images: list[dict[str, Any]],
    folder: str,
    skeleton: Skeleton,
    score: float = 0.0,
    exif: Exif | None = None,
) -> People:
    """Read every box of a person with at least a given score, in file order.

    Images without such a box have no people.
    Boxes are xywh px and not clamped (methods.md 1.1); areas are theirs.
    ids number the boxes of people from 1.
    Left out and counted in `People.dropped`: a lower score, degenerate box (no extent, or off its
    image).

    Args:
        path: JSON in the layout of COCO's detection results.
        root: Folder of the data set.
        images: The images that the detector was run on (id, file_name), as their annotation file
            lists them.
        folder: Folder of these images, relative to `root`.
        skeleton: The joints of the training; all get visibility 0.
        score: Lowest score of a box that is kept.
        exif: As `pixels.read_image` takes it.

    Raises:
        InputError: Names file, entry and field; also if a box lies in an image that is not among
            `images`.
    """
    entries = read_valid(DETECTIONS, path, str(path), BRING)
    check_shares((entry["bbox"] for entry in entries), str(path))
    known = {image["id"]: image["file_name"] for image in images}
    for index, entry in enumerate(entries):
        if entry["image_id"] not in known:
            raise InputError(
                f"{path}: [{index}]: image_id: {entry['image_id']} is not one of the {len(known)} images of this part: "
                "give the detections of these images"
            )
    people = [entry for entry in entries if entry["category_id"] == PERSON]
    scores = np.array([entry["score"] for entry in people])
    boxes = np.array([entry["bbox"] for entry in people]).reshape(-1, 4)
    names = [(PurePosixPath(folder) / known[entry["image_id"]]).as_posix() for entry in people]
    sizes = image_sizes(root, names, path.name, exif)
    check_corners(boxes, sizes, str(path))
    off = ((boxes[:, :2] >= sizes) | (boxes[:, :2] + boxes[:, 2:] <= 0)).any(axis=1) & (sizes > 0).all(axis=1)
    keep, dropped = kept(path, {"low score": scores < score, "degenerate box": (boxes[:, 2:] <= 0).any(axis=1) | off})
    joints = len(skeleton.joints)
    return People(
        skeleton=skeleton,
        ids=keep + 1,
        image_ids=np.array([people[i]["image_id"] for i in keep]),
        images=[names[i] for i in keep],
        sizes=sizes[keep],
        boxes=boxes[keep],
        areas=boxes[keep, 2:].prod(axis=1),
        points=np.zeros((len(keep), joints, 2)),
        visibility=np.zeros((len(keep), joints)),
        dropped=dropped,
        scores=scores[keep],
    )
