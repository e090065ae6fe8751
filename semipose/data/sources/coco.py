"""People in COCO's keypoint format: the official layout of COCO 2017, and sets of the user's own with joints of their own."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semipose.data.people import People
from semipose.data.schema import TRAINED, SizedImage, find_category, of_category, read_content
from semipose.data.sources.reading import BRING, kept
from semipose.pose.skeleton import COCO17, Skeleton, custom
from semipose.utils.errors import InputError

JOINTS = len(COCO17.joints)
REPAIR = "repair that entry"

Content = dict[str, list[Any]]


def read_coco(root: Path, part: str) -> People:
    """All people of one part ("train" or "val") of COCO 2017: annotations/person_keypoints_<part>2017.json and <part>2017/*.jpg.

    The order is the peers' index, so that "the first n" are the same people: images in file order, inside an image the
    annotations as pycocotools' API returns them (file order). Left out, and counted in `People.dropped` by the first
    reason that holds: other category, crowd, no keypoint, area <= 0, degenerate box (no width or height once clamped).
    Boxes are clamped into the image as the peers do, which makes each 1 px narrower and lower than annotated. Areas are
    the segment areas, points with visibility 0 are (0, 0). Raises InputError naming file, annotation, field and remedy.
    """
    path = Path(root) / "annotations" / f"person_keypoints_{part}2017.json"
    data = read_content(TRAINED, path, str(path), BRING)
    wanted = f"put person_keypoints_{part}2017.json of annotations_trainval2017.zip there"
    person = next((category for category in data["categories"] if category.get("name") == "person"), None)
    if person is None:
        raise InputError(f"{path}: `categories` has no category named person; {wanted}")
    if not any("keypoints" in annotation for annotation in data["annotations"]):
        raise InputError(
            f"{path}: none of its {len(data['annotations'])} annotations has the field `keypoints`, as in "
            f"instances_{part}2017.json; {wanted}"
        )
    if (person.get("keypoints") or list(COCO17.joints)) != list(COCO17.joints):
        raise InputError(
            f"{path}: category person: `keypoints` are not COCO's {JOINTS} in their order ({', '.join(COCO17.joints)}); {wanted}"
        )
    return _people(path, data, person["id"], COCO17, f"{part}2017")


def read_custom(
    root: Path,
    annotations: str,
    images: str,
    category: str | None = None,
    pairs: Sequence[Sequence[str]] | None = None,
    sigmas: Sequence[float] | None = None,
    torso: Sequence[str] | None = None,
) -> People:
    """All animals, hands or people of one category of a COCO-format file of the user's own, in the order and by the rules of `read_coco`.

    annotations: the file, images: the folder that its `file_name`s are in, both relative to `root`. category: its name; None: the only
    one that has `keypoints`. The joints are those of the category, the limbs its `skeleton` (pairs of joint numbers from 1; may be
    missing). pairs, sigmas, torso: as `skeleton.custom` takes them. Raises InputError naming file, entry, field and remedy.
    """
    path = Path(root) / annotations
    data = read_content(TRAINED, path, str(path), BRING)
    known = find_category(data["categories"], category, str(path))
    joints = known["keypoints"] or []
    limbs = known.get("skeleton") or []
    for limb in limbs:
        if max(limb) > len(joints):
            raise InputError(f"{path}: category {known.get('name')}: `skeleton` has {limb!r}, but there are {len(joints)} joints; {REPAIR}")
    zero_based = [[end - 1 for end in limb] for limb in limbs]
    try:
        skeleton = custom(joints, zero_based, pairs, sigmas, torso, name=known.get("name", "custom"))
    except InputError as error:
        raise InputError(f"{path}: category {error}") from None
    return _people(path, data, known["id"], skeleton, images)


def read_annotated(path: Path, clamped: bool) -> tuple[People, list[SizedImage], int]:
    """The people of an annotation file that training would take, whose images lie anywhere; its images; and the id of its one category with
    `keypoints`. clamped: whether boxes are clamped into the image, by `clamp`.

    Raises:
        InputError: Names file, entry, field and remedy.
    """
    data = read_content(TRAINED, path, str(path))
    known = find_category(data["categories"], None, str(path))
    skeleton = Skeleton(known.get("name", "custom"), tuple(known["keypoints"] or []), (), (), ("", ""), ())
    people = _people(path, data, known["id"], skeleton, "", clamped)
    return people, data["images"], known["id"]


def clamp(boxes: NDArray[np.float64], sizes: NDArray[np.float64]) -> NDArray[np.float64]:
    """xywh boxes [N, 4] inside their images of sizes [N, 2] (px), by the peers' rule: the corner moves into the image
    first, the far side is corner + extent - 1, at most the last pixel. Width or height <= 0 means: nothing is left."""
    near = np.maximum(boxes[:, :2], 0)
    far = np.minimum(sizes - 1, near + np.maximum(boxes[:, 2:] - 1, 0))
    return np.hstack([near, far - near])


def _people(path: Path, data: Content, category: int, skeleton: Skeleton, folder: str, clamped: bool = True) -> People:
    images, joints = data["images"], len(skeleton.joints)
    row = {image["id"]: k for k, image in enumerate(images)}
    found = sorted(of_category(data, category, joints, str(path)), key=lambda one: row[one[1]["image_id"]])
    named = [one for one in found if not one[1]["iscrowd"] and any(one[1]["keypoints"][2::3])]
    crowds = sum(one["iscrowd"] for _, one in found)
    dropped = {"other category": len(data["annotations"]) - len(found), "crowd": crowds, "no keypoint": len(found) - len(named) - crowds}

    def array(field: str, *shape: int) -> NDArray[np.float64]:
        return np.array([one[field] for _, one in named], np.float64).reshape(-1, *shape)

    keypoints, areas, boxes = array("keypoints", joints, 3), array("area"), array("bbox", 4)
    rows = np.array([row[one["image_id"]] for _, one in named], np.int64)
    sizes = np.array([(image["width"], image["height"]) for image in images], np.float64).reshape(-1, 2)[rows]
    unknown = ~np.isin(keypoints[..., 2], (0, 1, 2)).all(axis=1)
    outside = ((boxes[:, :2] >= sizes) | (boxes[:, :2] + np.maximum(boxes[:, 2:], 0) < 0)).any(axis=1)
    for wrong, message in (
        (unknown, "keypoints: has a visibility that is not 0, 1 or 2"),
        (outside, "bbox: lies wholly outside the image"),
    ):
        for k in np.flatnonzero(wrong)[:1]:
            index, one = named[k]
            about = f"(bbox {one['bbox']}, image {one['image_id']} of {sizes[k][0]:g} x {sizes[k][1]:g} px)"
            raise InputError(f"{path}: annotations[{index}]: {message} {about}; {REPAIR}")

    boxes = clamp(boxes, sizes) if clamped else boxes
    keep, unusable = kept(path, {"area <= 0": areas <= 0, "degenerate box": (boxes[:, 2:] <= 0).any(axis=1)})
    return People(
        skeleton=skeleton,
        ids=np.array([named[k][1]["id"] for k in keep]),
        image_ids=np.array([named[k][1]["image_id"] for k in keep]),
        images=[(PurePosixPath(folder) / images[k]["file_name"]).as_posix() for k in rows[keep]],
        sizes=sizes[keep],
        boxes=boxes[keep],
        areas=areas[keep],
        points=np.where(keypoints[keep, :, 2:] > 0, keypoints[keep, :, :2], 0),
        visibility=keypoints[keep, :, 2],
        dropped={reason: count for reason, count in dropped.items() if count} | unusable,
    )
