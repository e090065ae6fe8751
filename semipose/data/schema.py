"""COCO annotation and results files, read and checked, so that a fault in one is a sentence and not a traceback."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from semipose.data.people import People
from semipose.pose.skeleton import COCO17
from semipose.utils.errors import InputError
from semipose.utils.files import read_json
from semipose.utils.json_checks import is_object, number, numbers

if TYPE_CHECKING:
    pass

HEAD_SHARE = 0.6
"""`head_size` of an annotation is this share of the diagonal of the head's box (MPII's definition)."""
LAYOUT = "COCO annotations are an object with the lists images, annotations and categories"
RESULT = "a COCO keypoint result has image_id, category_id, keypoints (x, y, score of every joint) and score"


@dataclass(frozen=True)
class Annotations:
    """A COCO annotation file made safe for pycocotools: `dataset` has images, one category, annotations."""

    dataset: dict[str, Any]
    joints: tuple[str, ...]
    label: str  # what messages call it: the path, or "annotations"

    @property
    def image_ids(self) -> list[int]:
        """Sorted, as COCOeval orders images."""
        return sorted(image["id"] for image in self.dataset["images"])


def read_annotations(source: Path | dict[str, Any]) -> Annotations:
    """Person keypoint annotations in COCO's layout: a file, or what is in one.

    The category is the only one, or the only one with `keypoints` (joint names; where the file has no names: COCO's
    17). Annotations of other categories are left out. `iscrowd` defaults to 0 and `num_keypoints` is counted where it
    is missing; `head_size`, which PCKh alone needs, is kept where there is one. Annotation ids are numbered anew from 1,
    because COCOeval takes a match with id 0 for no match. The source is not changed.

    Raises:
        InputError: names the file, the annotation and the field.
    """
    label, content = (str(source), read_json(source)) if isinstance(source, Path) else ("annotations", source)
    for field in ("images", "annotations", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(field), list):
            raise InputError(f"{label}: no list `{field}`; {LAYOUT}")
    category = _category(content["categories"], label)
    joints = tuple(category.get("keypoints") or COCO17.joints)
    images = _images(content["images"], label)
    chosen: list[dict[str, Any]] = []
    seen: set[int] = set()
    for index, annotation in enumerate(content["annotations"]):
        place = f"{label}: annotations[{index}]"
        is_object(annotation, place)
        if annotation.get("category_id") != category["id"]:
            continue
        if _whole(annotation, "image_id", place) not in images:
            raise InputError(f"{place}: image_id {annotation['image_id']} is not the id of one of `images`")
        if _whole(annotation, "id", place) in seen:
            raise InputError(f"{place}: id {annotation['id']} is there twice; ids must be unique")
        seen.add(annotation["id"])
        numbered = {"id": len(chosen) + 1, "category_id": category["id"]}
        chosen.append(numbered | _annotation(annotation, len(joints), place))
    return Annotations({"images": list(images.values()), "categories": [category], "annotations": chosen}, joints, label)


def read_predictions(source: Path | list[dict[str, Any]], annotations: Annotations) -> list[dict[str, Any]]:
    """Keypoint results in COCO's layout (a file, or the list) for images of the annotations; may be empty.

    `bbox` is kept where every result has one, other fields are dropped. The source is not changed.

    Raises:
        InputError: names the file, the result and the field.
    """
    label, content = (str(source), read_json(source)) if isinstance(source, Path) else ("predictions", source)
    if not isinstance(content, list):
        raise InputError(f"{label}: must be a list of results, is {type(content).__name__}; {RESULT}")
    images, category = set(annotations.image_ids), annotations.dataset["categories"][0]["id"]
    results = []
    for index, result in enumerate(content):
        place = f"{label}: result [{index}]"
        is_object(result, place)
        if _whole(result, "image_id", place) not in images:
            raise InputError(f"{place}: image_id {result['image_id']} is not an image of {annotations.label}; {RESULT}")
        if result.get("category_id") != category:
            raise InputError(f"{place}: category_id {result.get('category_id')!r}, must be {category} (person)")
        checked = {
            "image_id": result["image_id"],
            "category_id": category,
            "keypoints": numbers(result, "keypoints", 3 * len(annotations.joints), place),
            "score": number(result, "score", place),
        }
        results.append(checked | ({"bbox": numbers(result, "bbox", 4, place)} if result.get("bbox") else {}))
    with_box = [index for index, result in enumerate(results) if "bbox" in result]
    if with_box and len(with_box) < len(results):
        without = next(index for index, result in enumerate(results) if "bbox" not in result)
        raise InputError(f"{label}: result [{without}] has no bbox, result [{with_box[0]}] has one; give it to all or to none")
    return results


def _category(categories: list[Any], label: str) -> dict[str, Any]:
    for index, category in enumerate(categories):
        is_object(category, f"{label}: categories[{index}]")
        _whole(category, "id", f"{label}: categories[{index}]")
        names = category.get("keypoints") or []
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise InputError(f"{label}: categories[{index}]: keypoints must be a list of joint names")
    usable = categories if len(categories) == 1 else [category for category in categories if category.get("keypoints")]
    if len(usable) != 1:
        raise InputError(f"{label}: {len(usable)} of {len(categories)} categories have keypoints; exactly one must")
    return usable[0]


def _images(images: list[Any], label: str) -> dict[int, dict[str, Any]]:
    named: dict[int, dict[str, Any]] = {}
    for index, image in enumerate(images):
        is_object(image, f"{label}: images[{index}]")
        if _whole(image, "id", f"{label}: images[{index}]") in named:
            raise InputError(f"{label}: images[{index}]: id {image['id']} is there twice; ids must be unique")
        named[image["id"]] = image
    return named


def _annotation(annotation: dict[str, Any], joints: int, place: str) -> dict[str, Any]:
    keypoints = numbers(annotation, "keypoints", 3 * joints, place)
    area = number(annotation, "area", place)
    if area < 0:
        raise InputError(f"{place}: area {area:g}, must not be negative")
    counted = {"num_keypoints": sum(v > 0 for v in keypoints[2::3])}
    return {
        "image_id": annotation["image_id"],
        "keypoints": keypoints,
        "bbox": numbers(annotation, "bbox", 4, place),
        "area": area,
        "iscrowd": 1 if annotation.get("iscrowd", 0) else 0,
        "num_keypoints": _whole(counted | annotation, "num_keypoints", place),
    } | ({"head_size": _head_size(annotation, place)} if "head_size" in annotation else {})


def _head_size(annotation: dict[str, Any], place: str) -> float | None:
    size = None if annotation["head_size"] is None else number(annotation, "head_size", place)
    if size is not None and size <= 0:
        raise InputError(f"{place}: head_size {size:g}, must be above 0 px, or null where it is not known")
    return size


def _whole(record: dict[str, Any], field: str, place: str) -> int:
    value = record.get(field)
    if not isinstance(value, int) or isinstance(value, bool):
        raise InputError(f"{place}: {field} is {'missing' if value is None else repr(value)}, must be a whole number")
    return value


def annotations_of(people: People) -> dict[str, Any]:
    """A people table in COCO's layout, for pycocotools; with `head_size` (px, null where unknown) where the table has head sizes."""
    first = {int(image): k for k, image in reversed(list(enumerate(people.image_ids)))}
    keypoints = np.concatenate([people.points, people.visibility[..., None]], axis=2).astype(np.float64)
    keypoints[people.visibility == 0] = 0
    return {
        "images": [
            {"id": image, "file_name": people.images[k], "width": int(people.sizes[k, 0]), "height": int(people.sizes[k, 1])}
            for image, k in sorted(first.items())
        ],
        "annotations": [
            {
                "id": int(people.ids[k]),
                "image_id": int(people.image_ids[k]),
                "category_id": 1,
                "iscrowd": 0,
                "bbox": people.boxes[k].astype(float).tolist(),
                "area": float(people.areas[k]),
                "keypoints": keypoints[k].ravel().tolist(),
                "num_keypoints": int((people.visibility[k] > 0).sum()),
                **_head(people, k),
            }
            for k in range(len(people))
        ],
        "categories": [
            {
                "id": 1,
                "name": "person",
                "keypoints": list(people.skeleton.joints),
                "skeleton": [[a + 1, b + 1] for a, b in people.skeleton.limbs],
            }
        ],
    }


def _head(people: People, k: int) -> dict[str, float | None]:
    if people.head_sizes is None:
        return {}
    size = float(people.head_sizes[k])
    return {"head_size": size if np.isfinite(size) else None}
