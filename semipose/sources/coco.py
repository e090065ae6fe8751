"""People in the official COCO 2017 layout: annotations/person_keypoints_<part>2017.json and <part>2017/*.jpg."""

import gc
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semipose.errors import InputError
from semipose.people import People
from semipose.skeleton import COCO17

JOINTS = len(COCO17.joints)
LARGEST = 1e9  # a coordinate or an area beyond this is no number of pixels
REPAIR = "repair that entry, or bring the official file again with `dvc repro download`"

Entries = list[dict[str, Any]]


def read_coco(root: Path, part: str) -> People:
    """All people of one part ("train" or "val") that have a visible or occluded keypoint.

    The order is the peers' index, so that "the first n" are the same people: images in file order, inside an image the
    annotations as pycocotools' API returns them (file order). Left out, and counted in `People.dropped` by the first
    reason that holds: other category, crowd, no keypoint, area <= 0, degenerate box (no width or height once clamped).
    Boxes are clamped into the image as the peers do, which makes each 1 px narrower and lower than annotated. Areas are
    the segment areas, points with visibility 0 are (0, 0). Raises InputError naming file, annotation, field and remedy.
    """
    path = Path(root) / "annotations" / f"person_keypoints_{part}2017.json"
    images, annotations, category = _load(path, part)
    annotations, rows, dropped = _in_order(images, annotations, category, path)
    keypoints = _numbers(annotations, "keypoints", 3 * JOINTS, f"{path}: annotation").reshape(-1, JOINTS, 3)
    areas = _numbers(annotations, "area", 1, f"{path}: annotation")[:, 0]
    boxes = _numbers(annotations, "bbox", 4, f"{path}: annotation")
    sizes = np.hstack([_numbers(images, field, 1, f"{path}: image") for field in ("width", "height")])[rows]
    _check_values(annotations, keypoints[..., 2], boxes, sizes, path)

    boxes = clamp(boxes, sizes)
    small = areas <= 0
    degenerate = ~small & (boxes[:, 2:] <= 0).any(axis=1)
    dropped |= {"area <= 0": int(small.sum()), "degenerate box": int(degenerate.sum())}
    keep = np.flatnonzero(~small & ~degenerate)
    if not len(keep):
        raise InputError(f"{path}: nobody with keypoints is left (dropped: {dropped}); {REPAIR}")
    return People(
        skeleton=COCO17,
        ids=np.array([annotations[i]["id"] for i in keep], dtype=np.int64),
        image_ids=np.array([annotations[i]["image_id"] for i in keep], dtype=np.int64),
        images=[f"{part}2017/{images[row]['file_name']}" for row in rows[keep]],
        sizes=sizes[keep].astype(np.int64),
        boxes=boxes[keep].astype(np.float32),
        areas=areas[keep].astype(np.float32),
        points=np.where(keypoints[keep, :, 2:] > 0, keypoints[keep, :, :2], 0).astype(np.float32),
        visibility=keypoints[keep, :, 2].astype(np.uint8),
        dropped={reason: count for reason, count in dropped.items() if count},
    )


def clamp(boxes: NDArray[np.float64], sizes: NDArray[np.float64]) -> NDArray[np.float64]:
    """xywh boxes [N, 4] inside their images of sizes [N, 2] (px), by the peers' rule: the corner moves into the image
    first, the far side is corner + extent - 1, at most the last pixel. Width or height <= 0 means: nothing is left."""
    near = np.maximum(boxes[:, :2], 0)
    far = np.minimum(sizes - 1, near + np.maximum(boxes[:, 2:] - 1, 0))
    return np.hstack([near, far - near])


def _load(path: Path, part: str) -> tuple[Entries, Entries, int]:
    """The images, the annotations, and the id of the category `person`."""
    data = _json(path)
    wanted = f"put person_keypoints_{part}2017.json of annotations_trainval2017.zip there"
    categories = _entries(data, "categories", {"id": int, "name": str}, path)
    images = _entries(data, "images", {"id": int, "file_name": str}, path)
    annotations = _entries(data, "annotations", {"id": int, "image_id": int, "category_id": int}, path)
    person = next((category for category in categories if category["name"] == "person"), None)
    if person is None:
        raise InputError(f"{path}: `categories` has no category named person; {wanted}")
    if not any("keypoints" in annotation for annotation in annotations):
        raise InputError(
            f"{path}: none of its {len(annotations)} annotations has the field `keypoints`, as in instances_{part}2017.json; {wanted}"
        )
    if tuple(person.get("keypoints", COCO17.joints)) != COCO17.joints:
        raise InputError(
            f"{path}: category person: `keypoints` are not COCO's {JOINTS} in their order ({', '.join(COCO17.joints)}); {wanted}"
        )
    return images, annotations, person["id"]


def _json(path: Path) -> dict[str, Any]:
    collecting = gc.isenabled()
    gc.disable()  # millions of small lists, none of them garbage: looking through them again and again costs seconds
    try:
        data = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise InputError(
            f"{path}: not there; run `dvc repro download`, or set data.root in params.yaml to the folder that has it"
        ) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({error}); bring it again with `dvc repro download`") from error
    finally:
        if collecting:
            gc.enable()
    for field in ("images", "annotations", "categories"):
        if not isinstance(data, dict) or not isinstance(data.get(field), list):
            raise InputError(f"{path}: the list `{field}` is missing, so this is no COCO annotation file; {REPAIR}")
    return data


def _entries(data: dict[str, Any], field: str, wanted: dict[str, type], path: Path) -> Entries:
    """The entries of one list of the file: all with the wanted fields in the right type, and no id twice."""
    entries, seen = data[field], set()
    for position, entry in enumerate(entries):
        for name, kind in wanted.items():
            if not isinstance(entry, dict) or type(entry.get(name)) is not kind:
                raise InputError(f"{path}: {field}[{position}]: `{name}` is missing or not {kind.__name__}; {REPAIR}")
        if entry["id"] in seen:
            raise InputError(f"{path}: {field}[{position}]: the `id` {entry['id']} occurs twice; {REPAIR}")
        seen.add(entry["id"])
    return entries


def _in_order(images: Entries, annotations: Entries, category: int, path: Path) -> tuple[Entries, NDArray[np.int64], dict[str, int]]:
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
        reason = _reason(annotation, category, path)
        if reason:
            reasons[reason] += 1
        else:
            kept.append(annotation)
            rows.append(row)
    order = np.argsort(np.array(rows, dtype=np.int64), kind="stable")
    return [kept[i] for i in order], np.array(rows, dtype=np.int64)[order], dict(sorted(reasons.items()))


def _reason(annotation: dict[str, Any], category: int, path: Path) -> str | None:
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
    if not isinstance(keypoints, list) or len(keypoints) != 3 * JOINTS:
        length = f"{len(keypoints)} values" if isinstance(keypoints, list) else f"no list but {keypoints!r}"
        raise InputError(f"{path}: annotation {annotation['id']}: `keypoints` has {length}, not {3 * JOINTS} numbers; {REPAIR}")
    return None if any(keypoints[2::3]) else "no keypoint"


def _numbers(entries: Entries, field: str, length: int, where: str) -> NDArray[np.float64]:
    """[N, length]: one field of every entry, a list of numbers (length 1: a number), all of them finite."""
    try:
        array = np.array([entry[field] for entry in entries], dtype=np.float64).reshape(len(entries), length)
        if (np.abs(array) <= LARGEST).all():
            return array
    except (KeyError, ValueError, TypeError, OverflowError):
        pass  # which entry it is, is looked for below
    for entry in entries:
        value: Any = entry.get(field)
        values: list[Any] = value if isinstance(value, list) and length > 1 else [value]
        right = len(values) == length and all(type(v) in (int, float) and abs(v) <= LARGEST for v in values)
        if not right:
            what = "a finite number" if length == 1 else f"{length} finite numbers"
            shown = repr(value) if len(repr(value)) < 100 else f"{repr(value)[:100]}..."
            raise InputError(f"{where} {entry['id']}: `{field}` is {shown}, not {what}; {REPAIR}")
    raise InputError(f"{where}: `{field}` does not hold the same kind of numbers everywhere; {REPAIR}")


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
