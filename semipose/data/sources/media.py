"""People without labels in images of the user's own: boxes that `semipose.inference.people` wrote."""

from pathlib import Path

import numpy as np
from pydantic import TypeAdapter
from typing_extensions import TypedDict

from semipose.data.people import People
from semipose.data.schema import Box, Listed, Number, Pixels
from semipose.data.sources.reading import image_numbers
from semipose.pose.skeleton import Skeleton
from semipose.utils.validation import read_valid


class FoundPerson(TypedDict):
    """A person in an image; file_name is relative to the folder of the file."""

    file_name: str
    width: Pixels
    height: Pixels
    bbox: Box
    score: Number


class FoundPeople(TypedDict):
    """left_out: how many people are not here, by reason."""

    people: Listed[FoundPerson]
    left_out: dict[str, int]


LOOSE = 0.5
"""Median share of an image that labelled boxes fill, below which whole images show people much smaller."""
SCHEMA = TypeAdapter(FoundPeople)


def read_media(path: Path, skeleton: Skeleton) -> People:
    """Read every person of a people.json, in its order, without keypoints.

    Boxes are not clamped; areas are theirs.

    Args:
        path: The file; image paths in it are relative to its folder.
        skeleton: The joints of the training; all get visibility 0.

    Raises:
        InputError: The file is missing or wrong.
    """
    content = read_valid(SCHEMA, path, str(path))
    found = content["people"]
    images = [person["file_name"] for person in found]
    boxes = np.array([person["bbox"] for person in found]).reshape(-1, 4)
    return People(
        skeleton=skeleton,
        ids=np.arange(1, len(found) + 1),
        image_ids=image_numbers(images),
        images=images,
        sizes=np.array([[person["width"], person["height"]] for person in found], np.int64).reshape(-1, 2),
        boxes=boxes,
        areas=boxes[:, 2:].prod(axis=1),
        points=np.zeros((len(found), len(skeleton.joints), 2)),
        visibility=np.zeros((len(found), len(skeleton.joints))),
        dropped=content["left_out"],
        scores=np.array([person["score"] for person in found]),
    )


def loose_images(train: People) -> str | None:
    """What to do if whole images show unlabelled people much smaller than their boxes show labelled ones; None if they do not.

    Args:
        train: The labelled people.
    """
    known = train.sizes.min(axis=1) > 0
    shares = train.boxes[known, 2:].prod(axis=1) / train.sizes[known].prod(axis=1)
    if not known.any() or np.median(shares) >= LOOSE:
        return None
    return (
        f"labelled boxes fill {np.median(shares):.0%} of their images (median), but data.unlabelled takes whole images as boxes, "
        "which show people much smaller. Set data.unlabelled.media.detector, or name their boxes in data.unlabelled.detections, or set "
        "each labelled bbox to its image and data.crop.padding to 1.0"
    )
