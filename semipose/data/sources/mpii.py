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

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter
from scipy.io.matlab import mat_struct
from typing_extensions import TypedDict

from semipose.data.annotations import HEAD_SHARE
from semipose.data.people import People
from semipose.data.pixels import Exif
from semipose.data.schema import Listed, Number
from semipose.data.sources.matlab import read_matlab
from semipose.data.sources.reading import BRING, image_numbers, image_sizes, kept
from semipose.pose.skeleton import MPII16
from semipose.utils.errors import InputError
from semipose.utils.validation import read_valid

JOINTS = len(MPII16.joints)


def head_sizes(boxes: NDArray[np.floating]) -> NDArray[np.float64]:
    """0.6 times the diagonal [N] of head boxes [N, 4] (x1, y1, x2, y2 px); NaN for a box without extent, or of NaN."""
    diagonals = np.linalg.norm(boxes[:, 2:].astype(np.float64) - boxes[:, :2], axis=1)
    return np.where(diagonals > 0, HEAD_SHARE * diagonals, np.nan)


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


@dataclass(eq=False)
class _Rows:
    """M people as their file has them.

    Attributes:
        images: Names of the images.
        centres: [M, 2] px, counted from 1.
        scales: [M].
        joints: [M, 16, 2] px, counted from 1.
        visibility: [M, 16], 0-2.
        heads: Head sizes, [M] px; NaN if unknown.
    """

    images: list[str]
    centres: NDArray[np.float64]
    scales: NDArray[np.float64]
    joints: NDArray[np.float64]
    visibility: NDArray[np.int64]
    heads: NDArray[np.float64]


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
        rows, videos = _read_release(path)
        chosen = _part(videos, part, validation, path)
    else:
        names = " or ".join(name for name, _ in CONVERSIONS[part])
        raise InputError(f"{root}: neither {names} is there{'' if converted else f', nor {RELEASES[0]}'}; {BRING}")
    return _people(root, rows, chosen, path, exif)


def _people(root: Path, rows: _Rows, chosen: NDArray[np.int64], path: Path, exif: Exif | None) -> People:
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


def _read_conversion(path: Path, heads: Path | None) -> _Rows:
    people: list[Person] = read_valid(PEOPLE, path, str(path), f"repair that entry, or {BRING}")
    joints, seen = np.array([one["joints"] for one in people]), np.array([one["joints_vis"] for one in people]) > 0
    centres, scales = np.array([one["center"] for one in people]), np.array([one["scale"] for one in people])
    images = [one["image"] for one in people]
    rows = _Rows(images, centres, scales, joints, 2 * seen.astype(np.int64), _sizes_by_neck(joints, seen))
    if heads is not None and heads.exists():
        _take_truth(rows, heads, path)
    return rows


def _sizes_by_neck(joints: NDArray[np.float64], seen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Head sizes [M] by the line between upper neck and head top."""
    ends = [MPII16.joints.index("upper_neck"), MPII16.joints.index("head_top")]
    lines = np.linalg.norm(np.diff(joints[:, ends], axis=1)[:, 0], axis=1)
    return np.where(seen[:, ends].all(axis=1) & (lines > 0), HEAD_SHARE / NECK_SHARE * lines, np.nan)


def _take_truth(rows: _Rows, path: Path, people: Path) -> None:
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


def _read_release(path: Path) -> tuple[_Rows, list[Any]]:
    """People of the training images, whom alone the release has joints of, and the video of each one (its image where none is named)."""
    release = read_matlab(path, squeeze_me=True).get("RELEASE")
    if not isinstance(release, mat_struct) or not hasattr(release, "annolist") or not hasattr(release, "img_train"):
        raise InputError(f"{path}: no RELEASE with annolist and img_train is in it; {BRING}")
    images, training = _structs(release.annolist), np.atleast_1d(release.img_train)
    if len(images) != len(training):
        raise InputError(f"{path}: RELEASE has {len(images)} images in annolist and {len(training)} in img_train; {BRING}")
    names, videos, people = [], [], []
    for k in np.flatnonzero(training):
        image = images[k]
        for number, person in enumerate(_structs(getattr(image, "annorect", None)), start=1):
            if _structs(getattr(person, "annopoints", None)):
                name = getattr(getattr(image, "image", None), "name", None)
                if not isinstance(name, str) or not name:
                    raise InputError(f"{path}: annolist({k + 1}) has no image.name; {BRING}")
                names.append(name)
                videos.append(_number(image, "vididx") or _number(image, "vidx") or names[-1])
                people.append(_person(person, f"{path}: annolist({k + 1}).annorect({number})"))
    if not people:
        raise InputError(f"{path}: no person with annopoints is in a training image; {BRING}")
    centres, scales, joints, visibility, heads = (np.array(part) for part in zip(*people, strict=True))
    return _Rows(names, centres, scales, joints, visibility, head_sizes(heads)), videos


def _person(person: mat_struct, where: str) -> tuple[list[float], float, NDArray[np.float64], NDArray[np.int64], list[float]]:
    """Centre, scale, joints [16, 2], visibility [16] and head box (x1, y1, x2, y2; NaN if there is none)."""
    joints, visibility = np.zeros((JOINTS, 2)), np.zeros(JOINTS, np.int64)
    for point in _structs(getattr(_structs(person.annopoints)[0], "point", None)):
        joint, x, y = (_number(point, name) for name in ("id", "x", "y"))
        if joint is None or joint not in range(JOINTS) or x is None or y is None:
            raise InputError(f"{where}: a point has id {joint}, x {x}, y {y}; wanted are a joint of 0 to {JOINTS - 1} and px; {BRING}")
        joints[int(joint)] = x, y
        visibility[int(joint)] = 1 if _number(point, "is_visible") == 0 else 2  # neck and head top come without a word
    place, scale = _structs(getattr(person, "objpos", None)), _number(person, "scale")
    x, y = (_number(place[0], name) for name in "xy") if place and scale and scale > 0 else (None, None)
    centre = [-1.0, -1.0] if x is None or y is None else [x, y]
    corners = [_number(person, name) for name in ("x1", "y1", "x2", "y2")]
    return centre, scale or 1.0, joints, visibility, [np.nan if corner is None else corner for corner in corners]


def _part(videos: list[Any], part: str, validation: int, path: Path) -> NDArray[np.int64]:
    """Which of the release's people belong to a part: frames of one video look alike, so none is in both."""
    if not 0 < validation < len(videos):
        raise InputError(
            f"data.validation_people: videos with {validation} people are to be the validation set, but {path} has {len(videos)}; "
            f"choose 1 to {len(videos) - 1}"
        )
    size, held, people = Counter(videos), set(), 0
    for video in dict.fromkeys(reversed(videos)):
        if people >= validation:
            break
        held.add(video)
        people += size[video]
    if people == len(videos):
        raise InputError(f"data.validation_people: {validation} leaves no video of {path} to train on; choose fewer")
    return np.flatnonzero([(video in held) == (part == "val") for video in videos])


def _structs(value: Any) -> list[Any]:
    """The structs of an array of them; scipy gives a single one bare, and none as an empty array of numbers."""
    return [one for one in np.atleast_1d(value) if isinstance(one, mat_struct)]


def _number(struct: mat_struct, name: str) -> float | None:
    """A field that is one finite number, or the text of one."""
    try:
        value = float(getattr(struct, name))
    except (AttributeError, TypeError, ValueError):
        return None
    return value if np.isfinite(value) else None
