"""COCO's JSON as a pydantic schema, by which all annotations, detections and results are read.

The models are typed dictionaries: objects would take several times as
long to make, and pycocotools reads dictionaries.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Generic, NotRequired, TypeVar

from pydantic import Field, TypeAdapter
from typing_extensions import TypedDict

from semipose.utils.errors import InputError

LARGEST = 1e9
"""A coordinate or an area beyond this is not a number of pixels."""
PERSON = 1
"""COCO's category of people."""

Number = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-LARGEST, le=LARGEST)]
Pixels = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=1, le=LARGEST, multiple_of=1)]
Id = Annotated[int, Field(strict=True, ge=-(2**63), lt=2**63)]
Box = Annotated[list[Number], Field(min_length=4, max_length=4)]
Joint = Annotated[int, Field(strict=True, ge=1)]
Limb = Annotated[list[Joint], Field(min_length=2, max_length=2)]
Kind = TypeVar("Kind")
Listed = Annotated[list[Kind], Field(fail_fast=True)]


class Image(TypedDict):
    """The fields of an image that evaluation needs."""

    id: Id
    file_name: NotRequired[str]
    width: NotRequired[Number]
    height: NotRequired[Number]


class NamedImage(TypedDict):
    """An image whose file is read."""

    id: Id
    file_name: str


class SizedImage(NamedImage):
    """An image of a training set."""

    width: Pixels
    height: Pixels


class Category(TypedDict):
    """A category.

    Attributes:
        keypoints: The joints' names.
        skeleton: Limbs, pairs of joint numbers from 1.
        sigmas: OKS sigmas; semipose's own field.
        torso: Names of two joints; semipose's own field.
    """

    id: Id
    name: NotRequired[str]
    keypoints: NotRequired[list[str] | None]
    skeleton: NotRequired[list[Limb] | None]
    sigmas: NotRequired[list[Annotated[Number, Field(gt=0)]] | None]
    torso: NotRequired[Annotated[list[str], Field(min_length=2, max_length=2)] | None]


class Annotation(TypedDict):
    """keypoints: x, y, visibility of each joint; null or []: none. `coco_file` checks what a
    person's annotation must have.
    """

    id: Id
    image_id: Id
    category_id: Id
    keypoints: NotRequired[list[Number] | None]
    bbox: NotRequired[list[Number] | None]
    area: NotRequired[Number | None]
    iscrowd: NotRequired[bool | None]
    num_keypoints: NotRequired[Any]
    head_size: NotRequired[Annotated[Number, Field(gt=0)] | None]


class Content(TypedDict, Generic[Kind]):
    """A COCO annotation file."""

    images: Listed[Kind]
    annotations: Listed[Annotation]
    categories: list[Category]


class Images(TypedDict):
    """A file in COCO's format without annotations."""

    images: Listed[NamedImage]


class Detection(TypedDict):
    """A box of a detector."""

    image_id: Id
    category_id: Id
    bbox: Box
    score: Number


class Result(TypedDict):
    """A predicted pose: x, y, score of each joint; file_name: that of
    its image, as `semipose predict` writes it.
    """

    image_id: Id
    category_id: Id
    keypoints: list[Number]
    score: Number
    bbox: NotRequired[Box | None]
    file_name: NotRequired[str | None]


IMAGES = TypeAdapter(Images)
DETECTIONS = TypeAdapter(Listed[Detection])
RESULTS = TypeAdapter(Listed[Result])


def find_category(categories: Sequence[Category], name: str | None, label: str, joints: Sequence[str] = ()) -> Category:
    """Find the category of one name among those that name their joints.

    Args:
        categories: All categories of a file.
        name: Name of the category; None: the only one.
        label: What messages call the file.
        joints: Names for a category without names. With them, the category of this name and the
            only one of a file need no names.

    Raises:
        InputError: There is none, or more than one.
    """
    with_joints = [one for one in categories if one.get("keypoints") or (joints and (len(categories) == 1 or name == one.get("name", "")))]
    found = [category for category in with_joints if name in (None, category.get("name"))]
    if len(found) != 1:
        names = ", ".join(str(category.get("name")) for category in with_joints) or "none"
        raise InputError(
            f"{label}: {len(found)} categories with `keypoints` (the joints' names) "
            f"{'' if name is None else f'are named {name!r} '}instead of one; those with `keypoints`: {names}; name one "
            "of them as the category (--category NAME, or data.custom.category in params.yaml)"
        )
    return found[0]
