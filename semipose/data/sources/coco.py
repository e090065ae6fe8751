"""People in COCO's keypoint format: the official layout of COCO 2017, and sets of the user's own with joints of their own."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semipose.data.people import People
from semipose.data.sources.reading import BRING, numbers
from semipose.pose.skeleton import COCO17, Skeleton, custom
from semipose.utils.errors import InputError
from semipose.utils.files import read_json

JOINTS = len(COCO17.joints)
REPAIR = "repair that entry, or bring the file again (`dvc repro download` brings the official ones)"

Entries = list[dict[str, Any]]


def read_coco(root: Path, part: str) -> People:
    """All people of one part ("train" or "val") of COCO 2017: annotations/person_keypoints_<part>2017.json and <part>2017/*.jpg.

    The order is the peers' index, so that "the first n" are the same people: images in file order, inside an image the
    annotations as pycocotools' API returns them (file order). Left out, and counted in `People.dropped` by the first
    reason that holds: other category, crowd, no keypoint, area <= 0, degenerate box (no width or height once clamped).
    Boxes are clamped into the image as the peers do, which makes each 1 px narrower and lower than annotated. Areas are
    the segment areas, points with visibility 0 are (0, 0). Raises InputError naming file, annotation, field and remedy.
    """
    path = Path(root) / "annotations" / f"person_keypoints_{part}2017.json"
    data = _load(path)
    wanted = f"put person_keypoints_{part}2017.json of annotations_trainval2017.zip there"
    person = next((category for category in data["categories"] if category["name"] == "person"), None)
    if person is None:
        raise InputError(f"{path}: `categories` has no category named person; {wanted}")
    if not any("keypoints" in annotation for annotation in data["annotations"]):
        raise InputError(
            f"{path}: none of its {len(data['annotations'])} annotations has the field `keypoints`, as in "
            f"instances_{part}2017.json; {wanted}"
        )
    if person.get("keypoints", list(COCO17.joints)) != list(COCO17.joints):
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
    data = _load(path)
    known = find_category(data["categories"], category, path)
    limbs = known.get("skeleton") or []
    joints = known["keypoints"]
    for limb in limbs if isinstance(limbs, list) else [limbs]:
        if not isinstance(limb, list) or len(limb) != 2 or not all(type(end) is int and 1 <= end <= len(joints) for end in limb):
            raise InputError(
                f"{path}: category {known['name']}: `skeleton` has {limb!r}, not two joint numbers of 1 to {len(joints)}; repair that entry"
            )
    zero_based = [[end - 1 for end in limb] for limb in limbs]
    try:
        skeleton = custom(joints, zero_based, pairs, sigmas, torso, name=known["name"])
    except InputError as error:
        raise InputError(f"{path}: category {error}") from None
    return _people(path, data, known["id"], skeleton, images)


def find_category(categories: Entries, name: str | None, path: Path) -> dict[str, Any]:
    """The category of this name (None: the only one there is) among those that have joints. Raises InputError."""
    with_joints = [category for category in categories if isinstance(category.get("keypoints"), list) and category["keypoints"]]
    found = [category for category in with_joints if name in (None, category.get("name"))]
    if len(found) != 1:
        names = ", ".join(str(category.get("name")) for category in with_joints) or "none"
        raise InputError(
            f"{path}: {len(found)} categories with `keypoints` (the joints' names) {'' if name is None else f'are named {name!r} '}"
            f"where one is wanted; those with `keypoints`: {names}; name one of them as the category"
        )
    return found[0]


def clamp(boxes: NDArray[np.float64], sizes: NDArray[np.float64]) -> NDArray[np.float64]:
    """xywh boxes [N, 4] inside their images of sizes [N, 2] (px), by the peers' rule: the corner moves into the image
    first, the far side is corner + extent - 1, at most the last pixel. Width or height <= 0 means: nothing is left."""
    near = np.maximum(boxes[:, :2], 0)
    far = np.minimum(sizes - 1, near + np.maximum(boxes[:, 2:] - 1, 0))
    return np.hstack([near, far - near])


def _people(path: Path, data: dict[str, Entries], category: int, skeleton: Skeleton, folder: str) -> People:
    images, joints = data["images"], len(skeleton.joints)
    annotations, rows, dropped = _in_order(images, data["annotations"], category, joints, path)
    keypoints = _numbers(annotations, "keypoints", (3 * joints,), f"{path}: annotation").reshape(-1, joints, 3)
    areas = _numbers(annotations, "area", (), f"{path}: annotation")
    boxes = _numbers(annotations, "bbox", (4,), f"{path}: annotation")
    sizes = np.stack([_numbers(images, field, (), f"{path}: image") for field in ("width", "height")], axis=1)[rows]
    _check_values(annotations, keypoints[..., 2], boxes, sizes, path)

    boxes = clamp(boxes, sizes)
    small = areas <= 0
    degenerate = ~small & (boxes[:, 2:] <= 0).any(axis=1)
    dropped |= {"area <= 0": int(small.sum()), "degenerate box": int(degenerate.sum())}
    keep = np.flatnonzero(~small & ~degenerate)
    if not len(keep):
        raise InputError(f"{path}: nobody with keypoints is left (dropped: {dropped}); {REPAIR}")
    return People(
        skeleton=skeleton,
        ids=np.array([annotations[i]["id"] for i in keep], dtype=np.int64),
        image_ids=np.array([annotations[i]["image_id"] for i in keep], dtype=np.int64),
        images=[(PurePosixPath(folder) / images[row]["file_name"]).as_posix() for row in rows[keep]],
        sizes=sizes[keep].astype(np.int64),
        boxes=boxes[keep].astype(np.float32),
        areas=areas[keep].astype(np.float32),
        points=np.where(keypoints[keep, :, 2:] > 0, keypoints[keep, :, :2], 0).astype(np.float32),
        visibility=keypoints[keep, :, 2].astype(np.uint8),
        dropped={reason: count for reason, count in dropped.items() if count},
    )


def _load(path: Path) -> dict[str, Entries]:
    """The three lists of the file, whose entries have what connects them."""
    data = read_json(path, BRING)
    for field in ("images", "annotations", "categories"):
        if not isinstance(data, dict) or not isinstance(data.get(field), list):
            raise InputError(f"{path}: the list `{field}` is missing, so this is no COCO annotation file; {REPAIR}")
    _check_entries(data, "categories", {"id": int, "name": str}, path)
    _check_entries(data, "images", {"id": int, "file_name": str}, path)
    _check_entries(data, "annotations", {"id": int, "image_id": int, "category_id": int}, path)
    return data


def _check_entries(data: dict[str, Any], field: str, wanted: dict[str, type], path: Path) -> None:
    """All entries of one list of the file have the wanted fields in the right type, and no id occurs twice."""
    seen = set()
    for position, entry in enumerate(data[field]):
        for name, kind in wanted.items():
            if not isinstance(entry, dict) or type(entry.get(name)) is not kind:
                raise InputError(f"{path}: {field}[{position}]: `{name}` is missing or not {kind.__name__}; {REPAIR}")
        if entry["id"] in seen:
            raise InputError(f"{path}: {field}[{position}]: the `id` {entry['id']} occurs twice; {REPAIR}")
        seen.add(entry["id"])


def _in_order(
    images: Entries, annotations: Entries, category: int, joints: int, path: Path
) -> tuple[Entries, NDArray[np.int64], dict[str, int]]:
    """The annotations to keep in the order of the images, the row of each one's image, and the dropped by reason."""
    place = {image["id"]: row for row, image in enumerate(images)}
    reasons: Counter[str] = Counter()
    kept, rows = [], []
    for annotation in annotations:
        row = place.get(annotation["image_id"])
        if row is None:
            raise InputError(
                f"{path}: annotation {annotation['id']}: `image_id` {annotation['image_id']} is not the id of one of "
                f"the {len(images)} images; {REPAIR}"
            )
        reason = _reason(annotation, category, joints, path)
        if reason:
            reasons[reason] += 1
        else:
            kept.append(annotation)
            rows.append(row)
    order = np.argsort(np.array(rows, dtype=np.int64), kind="stable")
    return [kept[i] for i in order], np.array(rows, dtype=np.int64)[order], dict(sorted(reasons.items()))


def _reason(annotation: dict[str, Any], category: int, joints: int, path: Path) -> str | None:
    """Why this annotation is nobody to learn from, as far as that is known before its numbers are looked at."""
    if annotation["category_id"] != category:
        return "other category"
    if annotation.get("iscrowd"):
        return "crowd"
    if "keypoints" not in annotation:
        raise InputError(f"{path}: annotation {annotation['id']}: the field `keypoints` is missing; {REPAIR}")
    keypoints = annotation["keypoints"]
    if keypoints in ([], None):
        return "no keypoint"
    if not isinstance(keypoints, list) or len(keypoints) != 3 * joints:
        length = f"{len(keypoints)} values" if isinstance(keypoints, list) else f"no list but {keypoints!r}"
        raise InputError(f"{path}: annotation {annotation['id']}: `keypoints` has {length}, not {3 * joints} numbers; {REPAIR}")
    return None if any(keypoints[2::3]) else "no keypoint"


def _numbers(entries: Entries, field: str, shape: tuple[int, ...], where: str) -> NDArray[np.float64]:
    """[N, *shape]: one field of every entry."""
    return numbers([entry.get(field) for entry in entries], shape, lambda i: f"{where} {entries[i]['id']}: `{field}`", REPAIR)


def _check_values(
    annotations: Entries,
    visibility: NDArray[np.float64],
    boxes: NDArray[np.float64],
    sizes: NDArray[np.float64],
    path: Path,
) -> None:
    """Raise InputError for an image without extent, an unknown visibility, a box wholly outside its image."""
    empty = ((sizes < 1) | (sizes % 1 != 0)).any(axis=1)
    unknown = ~np.isin(visibility, (0, 1, 2)).all(axis=1)
    outside = ((boxes[:, :2] >= sizes) | (boxes[:, :2] + np.maximum(boxes[:, 2:], 0) < 0)).any(axis=1)
    for wrong, message in (
        (empty, "`width` and `height` of its image must be whole numbers of at least 1 px"),
        (unknown, "`keypoints` has a visibility that is not 0, 1 or 2"),
        (outside, "`bbox` lies wholly outside the image"),
    ):
        for i in np.flatnonzero(wrong)[:1]:
            width, height = sizes[i]
            raise InputError(
                f"{path}: annotation {annotations[i]['id']}: {message} (bbox {annotations[i]['bbox']}, "
                f"image {annotations[i]['image_id']} of {width:g} x {height:g} px); {REPAIR}"
            )
