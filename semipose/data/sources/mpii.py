"""People of MPII Human Pose (Andriluka et al., CVPR 2014), from the common JSON conversion or from the authors' own release.

    images/*.jpg
    annot/{train,valid}.json and annot/gt_valid.mat   as Simple Baselines, HRNet and the released code have them; or
    annotations/mpii_{train,val}.json, mpii_gt_val.mat   as MMPose has them; or
    mpii_human_pose_v1_u12_2/mpii_human_pose_v1_u12_1.mat   as the authors' archive unpacks.

Published numbers on the validation set need one of the first two: its 2,958 people are a list of others, not the authors'. From the
release alone, whole videos at the end of its training images validate.

Files count pixels from 1, this project from 0.
A person has no box, but a rough centre and a scale s, the height over 200 px.
The released code moves the centre down by 15 s px, grows s by 1.25 and crops a square of 200 s px.
Here the box is that square before it grows, and the 1.25 is `data.crop.padding`, as for every other set.
With 1.25 there, and an input as wide as high, crops are those of the released code.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter
from typing_extensions import TypedDict

from semipose.data.annotations import HEAD_SHARE
from semipose.data.people import People
from semipose.data.pixels import Exif
from semipose.data.schema import Listed, Number
from semipose.data.sources.matlab import read_matlab
from semipose.data.sources.mpii_release import part_of, read_release
from semipose.data.sources.mpii_rows import JOINTS, Rows, head_sizes
from semipose.data.sources.reading import BRING, image_numbers, image_sizes, kept
from semipose.pose.skeleton import MPII16
from semipose.utils.errors import InputError
from semipose.utils.validation import read_valid

PIXEL_STD = 200  # px of person height at scale 1
LOWERED = 15  # px by which the centre moves down at scale 1
NECK_SHARE = 0.8
"""Upper neck and head top are ends of a line of 0.8 times the diagonal of the head's box: seen in the files, and tested on real ones."""
SAME = 2  # px; the joints of one person in two files are no further apart

# The files of each part with the boxes of its heads, where such a file exists; the first that is there is read.
CONVERSIONS = {
    "train": (("annot/train.json", None), ("annotations/mpii_train.json", None)),
    "val": (
        ("annot/valid.json", "annot/gt_valid.mat"),
        ("annot/validation.json", "annot/gt_validation.mat"),
        ("annotations/mpii_val.json", "annotations/mpii_gt_val.mat"),
    ),
}
RELEASES = ("mpii_human_pose_v1_u12_2/mpii_human_pose_v1_u12_1.mat", "mpii_human_pose_v1_u12_1.mat")

Pair = Annotated[list[Number], Field(min_length=2, max_length=2)]
Seen = Annotated[Number, Field(ge=0, le=1, multiple_of=1)]


class Person(TypedDict):
    """An entry of the conversion."""

    image: Annotated[str, Field(min_length=1)]
    center: Pair
    scale: Annotated[Number, Field(gt=0)]
    joints: Annotated[list[Pair], Field(min_length=JOINTS, max_length=JOINTS)]
    joints_vis: Annotated[list[Seen], Field(min_length=JOINTS, max_length=JOINTS)]


PEOPLE = TypeAdapter(Annotated[Listed[Person], Field(min_length=1)])


def read_mpii(root: Path, part: str, validation: int = 0, exif: Exif | None = None) -> People:
    """Read the people of one part in file order.

    ids are positions in the file from 1, image_ids number the images in order.
    `head_sizes` come from the head boxes of the release, or of gt_valid.mat.
    That file then gives the joints as well, since it is what evaluation compares with.
    Without head boxes they come from upper neck and head top, and are NaN if either is missing.
    Visibility in the JSON is 0 or 1: 1 becomes 2.
    areas are those of the boxes.
    Left out and counted in `People.dropped`: no centre, no keypoint.

    Args:
        root: Folder with images/ and the files of CONVERSIONS, or the authors' release (RELEASES).
        part: "train" or "val".
        validation: For the authors' release, which names no validation set: videos from the end of
            its training images with at least this many people are "val", the others "train".
        exif: As `pixels.read_image` takes it.

    Raises:
        InputError: Names file, person, field and remedy.
    """
    root = Path(root)
    found = [(root / name, root / heads if heads else None) for name, heads in CONVERSIONS[part] if (root / name).exists()]
    release = next((root / name for name in RELEASES if (root / name).exists()), None)
    converted = any((root / name).exists() for kind in ("train", "val") for name, _ in CONVERSIONS[kind])
    if found:
        path, heads = found[0]
        rows = _read_conversion(path, heads)
        chosen = np.arange(len(rows.images))
    elif release and not converted:  # a conversion of one part and the release for the other would share people
        path = release
        rows, videos = read_release(path)
        chosen = part_of(videos, part, validation, path)
    else:
        names = " or ".join(name for name, _ in CONVERSIONS[part])
        raise InputError(f"{root}: neither {names} is there{'' if converted else f', nor {RELEASES[0]}'}; {BRING}")
    return _people(root, rows, chosen, path, exif)


def _people(root: Path, rows: Rows, chosen: NDArray[np.int64], path: Path, exif: Exif | None) -> People:
    nowhere = rows.centres[chosen, 0] == -1  # the files' word for "none"
    left, dropped = kept(path, {"no centre": nowhere, "no keypoint": ~rows.visibility[chosen].any(axis=1)})
    keep = chosen[left]
    scales, visible = rows.scales[keep, None], rows.visibility[keep] > 0
    side = PIXEL_STD * scales
    centres = rows.centres[keep] - 1 + np.array([0, LOWERED]) * scales
    images = [f"images/{rows.images[i]}" for i in keep]
    return People(
        skeleton=MPII16,
        ids=keep + 1,
        image_ids=image_numbers(images),
        images=images,
        sizes=image_sizes(root, images, path.name, exif),
        boxes=np.hstack([centres - (side - 1) / 2, side, side]),  # a box covers the pixels x ... x + width - 1
        areas=side[:, 0] ** 2,
        points=np.where(visible[..., None], rows.joints[keep] - 1, 0),
        visibility=rows.visibility[keep],
        dropped=dropped,
        head_sizes=rows.heads[keep],
    )


def _read_conversion(path: Path, heads: Path | None) -> Rows:
    people: list[Person] = read_valid(PEOPLE, path, str(path), f"repair that entry, or {BRING}")
    joints, seen = np.array([one["joints"] for one in people]), np.array([one["joints_vis"] for one in people]) > 0
    centres, scales = np.array([one["center"] for one in people]), np.array([one["scale"] for one in people])
    images = [one["image"] for one in people]
    rows = Rows(images, centres, scales, joints, 2 * seen.astype(np.int64), _sizes_by_neck(joints, seen))
    if heads is not None and heads.exists():
        _take_truth(rows, heads, path)
    return rows


def _sizes_by_neck(joints: NDArray[np.float64], seen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Head sizes [M] by the line between upper neck and head top."""
    ends = [MPII16.joints.index("upper_neck"), MPII16.joints.index("head_top")]
    lines = np.linalg.norm(np.diff(joints[:, ends], axis=1)[:, 0], axis=1)
    return np.where(seen[:, ends].all(axis=1) & (lines > 0), HEAD_SHARE / NECK_SHARE * lines, np.nan)


def _take_truth(rows: Rows, path: Path, people: Path) -> None:
    """Joints and heads of gt_<part>.mat, the truth of the released code's evaluation: headboxes_src [2, 2, M], pos_gt_src [16, 2, M],
    jnt_missing [16, M]."""
    content, count = read_matlab(path, squeeze_me=False), len(rows.images)
    for name, shape in (("headboxes_src", (2, 2, count)), ("pos_gt_src", (JOINTS, 2, count)), ("jnt_missing", (JOINTS, count))):
        found = content.get(name)
        if found is None or np.shape(found) != shape:
            what = "is missing" if found is None else f"has shape {' x '.join(map(str, np.shape(found)))}"
            raise InputError(f"{path}: `{name}` {what}, not {' x '.join(map(str, shape))} as for the {count} people of {people}; {BRING}")
    joints = np.moveaxis(np.asarray(content["pos_gt_src"], np.float64), 2, 0)
    seen = np.asarray(content["jnt_missing"]).T == 0
    both = seen & (rows.visibility > 0)
    near = np.linalg.norm(joints - rows.joints, axis=2) <= SAME
    for i in np.flatnonzero(both.any(axis=1) & ~(both & near).any(axis=1))[:1]:
        raise InputError(f"{path}: person {i + 1} is somebody else in {people}: all joints differ; bring both files of one source")
    rows.joints, rows.visibility = joints, 2 * seen.astype(np.int64)
    rows.heads = head_sizes(np.moveaxis(np.asarray(content["headboxes_src"], np.float64), 2, 0).reshape(count, 4))
