"""Keypoint results in COCO's format, read and compared with the
set: same images, same category, same joints.
"""

import warnings
from pathlib import Path
from typing import Any

from semipose.data.annotations import Annotations
from semipose.data.names import base_name
from semipose.data.schema import PERSON, RESULTS
from semipose.utils.errors import InputError, InputWarning
from semipose.utils.validation import read_valid


def read_predictions(source: Path | list[dict[str, Any]], annotations: Annotations) -> list[dict[str, Any]]:
    """Read keypoint results for images of the annotations; there may be none.

    `bbox` is kept if every result has one; other fields are left out.
    Results of category 1, as they are made without the set, count as
    the set's category if the set has no category 1.
    An InputWarning says so, and also if more than half of the images with people have no result.

    Args:
        source: A file, or a list of results, which is not changed.
        annotations: The set that the results belong to.

    Raises:
        InputError: Names the file, the result and the field; also if a result's `file_name` is not
            that of its `image_id` in the set.
    """
    label = str(source) if isinstance(source, Path) else "predictions"
    results: list[dict[str, Any]] = read_valid(RESULTS, source, label)  # type: ignore[arg-type]
    names = {image["id"]: base_name(image.get("file_name") or "") for image in annotations.dataset["images"]}
    category = annotations.dataset["categories"][0]
    _take_category(results, annotations, label)
    values = 3 * len(annotations.joints)
    with_box = next((index for index, result in enumerate(results) if result.get("bbox")), None)
    for index, result in enumerate(results):
        fault, name = None, base_name(result.pop("file_name", None) or "")
        image_id = result["image_id"]
        if image_id not in names:
            fault = f"image_id: {image_id} is not an image of {annotations.label}"
        elif name and names[image_id] and name != names[image_id]:
            fault = (
                f"image_id: {image_id} is {names[image_id]} in {annotations.label}, but file_name is {name}; predict "
                "again with --annotations, which takes the ids from the set"
            )
        elif result["category_id"] != category["id"]:
            fault = f"category_id: {result['category_id']}, must be {category['id']} ({category.get('name', 'the only one')})"
        elif len(result["keypoints"]) != values:
            fault = f"keypoints: has {len(result['keypoints'])} numbers, must have {values} (3 for each of {values // 3} joints)"
        elif with_box is not None and not result.get("bbox"):
            fault = f"bbox: is missing, but [{with_box}] has one; give it to all or to none"
        if fault:
            raise InputError(f"{label}: [{index}]: {fault}")
        if with_box is None:
            result.pop("bbox", None)
    if _are_shares(results, annotations):
        raise InputError(f"{label}: [0]: keypoints: x and y of all results are within 0 to 1, shares of the images; give px")
    _warn_of_the_unpredicted(results, annotations, label)
    return results


def _are_shares(results: list[dict[str, Any]], annotations: Annotations) -> bool:
    """Whether three or more results lie in the first pixel of images in which other pixels are labelled."""
    images = {result["image_id"] for result in results}
    labelled = [one for one in annotations.dataset["annotations"] if one["image_id"] in images and not one["iscrowd"]]
    elsewhere = {one["image_id"] for one in labelled if _farthest(one) > 1}
    return len(results) > 2 and images == elsewhere and max(map(_farthest, results)) <= 1


def _farthest(person: dict[str, Any]) -> float:
    """The largest coordinate of keypoints that are labelled, or predicted, in px."""
    points = zip(*(iter(person["keypoints"]),) * 3, strict=True)
    return max((max(x, y) for x, y, visible in points if visible > 0), default=0.0)


def _take_category(results: list[dict[str, Any]], annotations: Annotations, label: str) -> None:
    category = annotations.dataset["categories"][0]
    if PERSON in annotations.category_ids or {result["category_id"] for result in results} != {PERSON}:
        return
    for result in results:
        result["category_id"] = category["id"]
    text = f"{label}: category_id {PERSON} is read as {category['id']}, the category of {annotations.label}"
    warnings.warn(text, InputWarning, stacklevel=3)


def _warn_of_the_unpredicted(results: list[dict[str, Any]], annotations: Annotations, label: str) -> None:
    people = annotations.dataset["annotations"]
    wanted = {one["image_id"] for one in people if not one["iscrowd"] and one["num_keypoints"] > 0}
    missing = wanted - {result["image_id"] for result in results}
    if 2 * len(missing) > len(wanted):
        text = f"{label}: {len(missing)} of {len(wanted)} images with people have no prediction; their people count as missed"
        warnings.warn(text, InputWarning, stacklevel=3)
