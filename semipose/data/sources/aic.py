"""People of AI Challenger, Human Skeletal System Keypoints Detection (Wu et al., 2017), as its archives unpack:

    ai_challenger_keypoint_train_*/keypoint_train_annotations_*.json and keypoint_train_images_*/*.jpg
    ai_challenger_keypoint_validation_*/keypoint_validation_annotations_*.json and keypoint_validation_images_*/*.jpg

The stars are dates, which differ between copies.
The file is a list of images, each with three fields:
- `image_id`;
- `human_annotations`, {human1: [x1, y1, x2, y2]};
- `keypoint_annotations`, {human1: 14 times x, y, v}; v = 1 is visible, 2 occluded, 3 absent.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field, TypeAdapter
from typing_extensions import TypedDict

from semipose.data.people import People
from semipose.data.pixels import Exif
from semipose.data.schema import Box, Listed, Number
from semipose.data.sources.reading import BRING, image_numbers, image_sizes, kept
from semipose.pose.skeleton import AIC14
from semipose.utils.errors import InputError
from semipose.utils.validation import read_valid

JOINTS = len(AIC14.joints)
NAMES = {"train": "train", "val": "validation"}
VISIBILITY = np.array([0, 2, 1, 0])  # theirs -> ours


class Image(TypedDict):
    """An image and its people by their names in it."""

    image_id: str
    human_annotations: dict[str, Box]
    keypoint_annotations: dict[str, Annotated[list[Number], Field(min_length=3 * JOINTS, max_length=3 * JOINTS)]]


IMAGES = TypeAdapter(Listed[Image])


def read_aic(root: Path, part: str, exif: Exif | None = None, labelled: bool = True) -> People:
    """Read all people of one part in file order, inside an image as the file has them.

    Boxes are the human boxes, not clamped (as the released code), areas are theirs, as in the
    official evaluation.
    That one scores visible joints only, while here occluded ones (visibility 1) count too, as in
    COCO.
    ids number the people, image_ids the images, from 1, in order.
    Left out and counted in `People.dropped`: no keypoint, degenerate box (no extent, or off its
    image).

    Args:
        root: Folder with what the archives unpack.
        part: "train" or "val".
        exif: As `pixels.read_image` takes it.
        labelled: Leave out people without a keypoint; False: keep them, since a box is all that
            unlabelled data needs.

    Raises:
        InputError: Names file, image, person, field and remedy.
    """
    root = Path(root)
    path = _one(root, f"ai_challenger_keypoint_{NAMES[part]}_*/keypoint_{NAMES[part]}_annotations_*.json")
    folder = _one(path.parent, f"keypoint_{NAMES[part]}_images_*").relative_to(root).as_posix()
    entries: list[Image] = read_valid(IMAGES, path, str(path), f"repair that entry, or {BRING}")
    images, corner_list, keypoint_list = [], [], []
    for index, image in enumerate(entries):
        boxes, found = image["human_annotations"], image["keypoint_annotations"]
        if boxes.keys() != found.keys():
            raise InputError(f"{path}: [{index}]: human_annotations and keypoint_annotations must be of the same people; repair that entry")
        for name, box in boxes.items():
            if not {*found[name][2::3]} <= {1, 2, 3}:
                raise InputError(f"{path}: [{index}]: keypoint_annotations: {name}: a visibility is not 1, 2 or 3; repair that entry")
            images.append(f"{folder}/{image['image_id']}.jpg")
            corner_list.append(box)
            keypoint_list.append(found[name])
    corners, keypoints = np.array(corner_list).reshape(-1, 4), np.array(keypoint_list).reshape(-1, JOINTS, 3)
    visibility = VISIBILITY[keypoints[..., 2].astype(np.int64)]
    sizes = image_sizes(root, images, path.name, exif)
    extents = corners[:, 2:] - corners[:, :2]
    off = ((corners[:, 2:] <= 0) | (corners[:, :2] >= sizes)).any(axis=1) & (sizes > 0).all(axis=1)
    degenerate = (extents <= 0).any(axis=1) | off
    keep, dropped = kept(path, {"no keypoint": ~visibility.any(axis=1) & labelled, "degenerate box": degenerate})
    return People(
        skeleton=AIC14,
        ids=keep + 1,
        image_ids=image_numbers(images)[keep],
        images=[images[i] for i in keep],
        sizes=sizes[keep],
        boxes=np.hstack([corners[:, :2], extents])[keep],
        areas=extents[keep].prod(axis=1),
        points=np.where(visibility[keep, :, None] > 0, keypoints[keep, :, :2], 0),
        visibility=visibility[keep],
        dropped=dropped,
    )


def _one(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        what = "is not there" if not found else f"is there {len(found)} times ({', '.join(path.name for path in found)}), wanted is one"
        raise InputError(f"{folder / pattern} {what}; {BRING}")
    return found[0]
