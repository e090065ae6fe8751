"""The truth that predictions are compared with, in COCO's format, as pycocotools reads it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from semipose.data.annotations import annotations_of, measured_by
from semipose.data.coco_file import read_set
from semipose.data.people import People
from semipose.pose.skeleton import COCO17

if TYPE_CHECKING:
    from semipose.config.data import Custom


def ground_truth(source: str, root: Path, people: People, custom: "Custom | None" = None) -> dict[str, Any]:
    """Read or make the annotations that predictions of validation people are compared with, in COCO's format.

    They are the data set's own if those are in COCO's format, else the person annotations.
    The data set's own contain crowds and people without keypoints: results on those are ignored
    instead of counted as wrong.
    Outlines are left out, because no metric needs them.
    The category says how its joints are evaluated (sigmas, torso).

    Args:
        source: `data.source`.
        root: Folder of the data set.
        people: The validation people in the crop pack; anybody else, such as on a broken image, becomes a
            crowd and is ignored.
        custom: For the user's own set: where and what it is.

    Returns:
        Content of a COCO annotation file with one category.

    Raises:
        InputError: The annotation file is missing or wrong.
    """
    if custom is None and source not in ("coco", "demo"):
        return annotations_of(people)
    if custom is not None:
        path, category = root / custom.val.annotations, custom.category
    else:
        path, category = root / "annotations" / "person_keypoints_val2017.json", "person"
    truth = read_set(path, str(path), category, () if custom else COCO17.joints).checked().truth()
    truth["categories"][0] |= measured_by(people.skeleton)
    there = set(people.ids.tolist())
    for one in truth["annotations"]:
        one["iscrowd"] = one["iscrowd"] or (one["num_keypoints"] > 0 and one["id"] not in there)
    return truth


def image_folder(source: str, custom: "Custom | None" = None) -> str:
    """Folder of the `file_name`s of `ground_truth`, relative to
    the data root; empty if they contain it.
    """
    if custom is not None:
        return custom.val.images
    return "val2017" if source in ("coco", "demo") else ""
