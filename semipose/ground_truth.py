"""The truth that predictions are held against, in COCO's layout, as pycocotools reads it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from semipose.people import People
from semipose.sources.coco import find_category

if TYPE_CHECKING:
    from semipose.params import Custom


def ground_truth(source: str, root: Path, part: str, people: People, custom: "Custom | None" = None) -> dict[str, Any]:
    """The data set's own annotations where it has COCO's layout (crowds and people without keypoints among them, because results on
    those are ignored instead of counted as wrong), without the outlines, which no figure needs; else those of the people table."""
    if custom is not None:
        return custom_ground_truth(root / (custom.train if part == "train" else custom.val).annotations, custom.category)
    if source not in ("coco", "demo"):
        return annotations_of(people)
    whole = json.loads((root / "annotations" / f"person_keypoints_{part}2017.json").read_text(encoding="utf-8"))
    annotations = [{key: value for key, value in one.items() if key != "segmentation"} for one in whole["annotations"]]
    return {"images": whole["images"], "annotations": annotations, "categories": whole["categories"]}


def image_folder(source: str, part: str, custom: "Custom | None" = None) -> str:
    """Where the `file_name`s of `ground_truth` lie, relative to the data root; empty where they say it themselves."""
    if custom is not None:
        return (custom.train if part == "train" else custom.val).images
    return f"{part}2017" if source in ("coco", "demo") else ""


def custom_ground_truth(path: Path, category: str | None = None) -> dict[str, Any]:
    """The same of a file that `sources.coco.read_custom` has read: its one category, numbered 1 as in results."""
    whole = json.loads(path.read_text(encoding="utf-8"))
    chosen = find_category(whole["categories"], category, path)
    nothing = [0] * 3 * len(chosen["keypoints"])
    annotations = [
        {key: value for key, value in one.items() if key != "segmentation"}
        | {"category_id": 1, "keypoints": one.get("keypoints") or nothing}
        for one in whole["annotations"]
        if one["category_id"] == chosen["id"]
    ]
    return {"images": whole["images"], "annotations": annotations, "categories": [chosen | {"id": 1}]}


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
