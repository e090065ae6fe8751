"""Annotations in COCO's format, read for evaluation, and written from person annotations."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from semipose.data.coco_file import read_set
from semipose.data.people import People
from semipose.pose.skeleton import COCO17, Skeleton

HEAD_SHARE = 0.6
"""`head_size` of an annotation is this share of the diagonal of the head's box (MPII's definition)."""


@dataclass(frozen=True)
class Annotations:
    """A COCO annotation file made safe for pycocotools:
    `dataset` has images, one category, annotations.
    """

    dataset: dict[str, Any]
    joints: tuple[str, ...]
    label: str  # name of the source in messages: the path, or "annotations"
    category_ids: tuple[int, ...]  # ids of all categories of the file
    understood: dict[str, int] = field(default_factory=dict)  # entries that are not written as COCO writes them, and how many

    @property
    def image_ids(self) -> list[int]:
        """Sorted, as COCOeval orders images."""
        return sorted(image["id"] for image in self.dataset["images"])


def read_annotations(source: Path | dict[str, Any] | Annotations, category: str | None = None) -> Annotations:
    """Read person keypoint annotations in COCO's format, as training does (`coco_file.read_set`).

    Without names of joints, they are COCO's 17.
    Annotations of other categories are left out.
    Ids are numbered again from 1, because COCOeval takes a match with id 0 for no match.

    Args:
        source: A file, or its content, which is not changed; or what was read before.
        category: Name of the category that counts; None: the only one, or the only one with
            `keypoints` (joint names).

    Raises:
        InputError: Names the file, the annotation and the field.
    """
    if isinstance(source, Annotations):
        return source
    label = str(source) if isinstance(source, Path) else "annotations"
    reading = read_set(source, label, category, joints=COCO17.joints, sized=False).checked()
    dataset = reading.truth()
    dataset["annotations"] = [one | {"id": number} for number, one in enumerate(dataset["annotations"], start=1)]
    return Annotations(dataset, reading.joints, label, reading.category_ids, dict(reading.understood))


def annotations_of(people: People) -> dict[str, Any]:
    """Person annotations in COCO's format, for pycocotools; with `head_size` (px, null if unknown)
    if there are head sizes.
    """
    first = {int(image): k for k, image in reversed(list(enumerate(people.image_ids)))}
    keypoints = np.concatenate([people.points, people.visibility[..., None]], axis=2).astype(np.float64)
    keypoints[people.visibility == 0] = 0
    heads = None if people.head_sizes is None else [size if np.isfinite(size) else None for size in people.head_sizes.tolist()]
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
                **({} if heads is None else {"head_size": heads[k]}),
            }
            for k in range(len(people))
        ],
        "categories": [
            {
                "id": 1,
                "name": "person",
                "keypoints": list(people.skeleton.joints),
                "skeleton": [[a + 1, b + 1] for a, b in people.skeleton.limbs],
                **measured_by(people.skeleton),
            }
        ],
    }


def measured_by(skeleton: Skeleton) -> dict[str, Any]:
    """Fields of a category beside COCO's own: `sigmas` and `torso`, if the skeleton has them."""
    torso = {"torso": list(skeleton.torso)} if skeleton.torso[0] else {}
    return ({"sigmas": list(skeleton.sigmas)} if skeleton.sigmas else {}) | torso
