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
