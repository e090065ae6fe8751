"""The truth that predictions are held against, in COCO's layout, as pycocotools reads it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from semipose.data.annotations import annotations_of, measured_by
from semipose.data.people import People
from semipose.data.schema import TRAINED, find_category, of_category, read_content
from semipose.pose.skeleton import Skeleton

if TYPE_CHECKING:
    from semipose.config.data import Custom


def ground_truth(source: str, root: Path, part: str, people: People, custom: "Custom | None" = None) -> dict[str, Any]:
    """The data set's own annotations where it has COCO's layout (crowds and people without keypoints among them, because results on
    those are ignored instead of counted as wrong), without the outlines, which no figure needs; else those of the people table."""
    if custom is not None:
        return custom_ground_truth(root / (custom.train if part == "train" else custom.val).annotations, people.skeleton, custom.category)
    if source not in ("coco", "demo"):
        return annotations_of(people)
    path = root / "annotations" / f"person_keypoints_{part}2017.json"
    return read_content(TRAINED, path, str(path))


def image_folder(source: str, part: str, custom: "Custom | None" = None) -> str:
    """Where the `file_name`s of `ground_truth` lie, relative to the data root; empty where they say it themselves."""
    if custom is not None:
        return (custom.train if part == "train" else custom.val).images
    return f"{part}2017" if source in ("coco", "demo") else ""


def custom_ground_truth(path: Path, skeleton: Skeleton, category: str | None = None) -> dict[str, Any]:
    """The same of a file that `sources.coco.read_custom` has read: its one category, and what the skeleton's joints are measured by."""
    content = read_content(TRAINED, path, str(path))
    chosen = find_category(content["categories"], category, str(path))
    found = of_category(content, chosen["id"], len(chosen["keypoints"] or []), str(path))
    return content | {"annotations": [one for _, one in found], "categories": [chosen | measured_by(skeleton)]}
