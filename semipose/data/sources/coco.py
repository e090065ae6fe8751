"""People in COCO's keypoint format: the official layout of COCO 2017, and the user's own sets with their own joints."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from semipose.data.coco_file import CROWD, DEGENERATE, REPAIR, UNLABELLED, Reading, read_set
from semipose.data.coco_person import clamp
from semipose.data.people import People
from semipose.data.sources.reading import BRING, nobody
from semipose.pose.skeleton import COCO17, Skeleton, custom
from semipose.utils.errors import InputError


def read_coco(root: Path, part: str, faults: list[str] | None = None) -> People:
    """Read all people of one part of COCO 2017.

    The files are annotations/person_keypoints_<part>2017.json and <part>2017/*.jpg.
    The order is that of the released code, so that "the first n" are the same people.
    Images are in file order, and so are the annotations of an image, as pycocotools' API returns
    them.
    Left out, and counted in `People.dropped` by the first reason that holds: other category, crowd,
    no keypoint, degenerate box (no width or height once clamped).
    Boxes are clamped into the image as the released code does, which makes each 1 px narrower and
    lower than annotated.
    Areas are the segment areas, points with visibility 0 are (0, 0).

    Args:
        root: Folder with annotations/ and the image folders.
        part: "train" or "val".
        faults: Refused entries are left out, and their messages are appended here. None: the first
            one raises.

    Raises:
        InputError: Names file, annotation, field and remedy.
    """
    path = Path(root) / "annotations" / f"person_keypoints_{part}2017.json"
    data = read_set(path, str(path), "person", COCO17.joints, remedy=BRING)
    if data.joints != COCO17.joints:
        raise InputError(
            f"{path}: category person: `keypoints` are not COCO's {len(COCO17.joints)} in their order ({', '.join(COCO17.joints)}); "
            f"put person_keypoints_{part}2017.json of annotations_trainval2017.zip there"
        )
    return _people(data, COCO17, f"{part}2017", faults)


def read_custom(
    root: Path,
    annotations: str,
    images: str,
    category: str | None = None,
    pairs: Sequence[Sequence[str]] | None = None,
    sigmas: Sequence[float] | None = None,
    torso: Sequence[str] | None = None,
    faults: list[str] | None = None,
) -> People:
    """Read all animals, hands or people of one category of the user's own COCO-format file.

    The order and the rules are those of `read_coco`.
    The joints are those of the category, the limbs its `skeleton` (pairs of joint numbers from 1;
    may be missing).

    Args:
        root: Folder of the data set.
        annotations: The file, relative to `root`.
        images: The folder that its `file_name`s are in, relative to `root`.
        category: Name of the category; None: the only one that has `keypoints`.
        pairs: As `skeleton.custom` takes them.
        sigmas: As `skeleton.custom` takes them.
        torso: As `skeleton.custom` takes it.
        faults: As for `read_coco`.

    Raises:
        InputError: Names file, entry, field and remedy.
    """
    path = Path(root) / annotations
    data = read_set(path, str(path), category, remedy=BRING)
    known = data.category
    limbs = known.get("skeleton") or []
    for limb in limbs:
        if max(limb) > len(data.joints):
            raise InputError(
                f"{path}: category {known.get('name')}: `skeleton` has {limb!r}, but there are {len(data.joints)} joints; {REPAIR}"
            )
    zero_based = [[end - 1 for end in limb] for limb in limbs]
    try:
        skeleton = custom(data.joints, zero_based, pairs, sigmas, torso, name=known.get("name", "custom"))
    except InputError as error:
        raise InputError(f"{path}: category {error}") from None
    return _people(data, skeleton, images, faults)


def annotated_people(data: Reading, clamped: bool) -> People:
    """Make a table of the people of an annotation file that training would take.

    Their images may lie anywhere.

    Args:
        data: The file as `coco_file.read_set` read it, with the sizes of its images.
        clamped: Whether boxes are clamped into the image.

    Raises:
        InputError: Names file, entry, field and remedy.
    """
    skeleton = Skeleton(data.category.get("name", "custom"), data.joints, (), (), ("", ""), ())
    return _people(data, skeleton, "", None, clamped)


def _people(data: Reading, skeleton: Skeleton, folder: str, faults: list[str] | None, clamped: bool = True) -> People:
    if faults is None:
        data.checked()
    else:
        faults += data.messages
    row, joints = {image: k for k, image in enumerate(data.images)}, len(skeleton.joints)
    found = sorted(data.annotations, key=lambda one: row[one[1]["image_id"]])
    places = [place for place, _ in found if place not in data.left_out]
    named = [one for place, one in found if place not in data.left_out]
    dropped = {"other category": data.other} | dict.fromkeys((CROWD, UNLABELLED, DEGENERATE), 0) | Counter(data.left_out.values())
    dropped = {reason: count for reason, count in dropped.items() if count}
    if not named:
        raise nobody(data.label, dropped | ({"refused": len(data.faults)} if data.faults else {}))
    images = [data.images[one["image_id"]] for one in named]
    sizes = np.array([(image["width"], image["height"]) for image in images], np.float64)
    boxes = np.array([one["bbox"] for one in named], np.float64)
    keypoints = np.array([one["keypoints"] for one in named], np.float64).reshape(-1, joints, 3)
    return People(
        skeleton=skeleton,
        ids=np.array([one["id"] for one in named]),
        image_ids=np.array([one["image_id"] for one in named]),
        images=[(PurePosixPath(folder) / image["file_name"]).as_posix() for image in images],
        sizes=sizes,
        boxes=clamp(boxes, sizes) if clamped else boxes,
        areas=np.array([one["area"] for one in named]),
        points=np.where(keypoints[..., 2:] > 0, keypoints[..., :2], 0),
        visibility=keypoints[..., 2],
        dropped=dropped,
        understood=dict(data.understood),
        places=np.array(places),
        written_boxes=boxes,
    )
