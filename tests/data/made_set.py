"""A set of the user's own in COCO's format, small and quick to read; tests spoil it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from semipose.pose.skeleton import COCO17

Change = Callable[[dict[str, Any]], object]


def make_set(root: Path, change: Change = lambda content: None, images: int = 4, people: int = 2) -> Path:
    """Images of 64 x 48 px with people of COCO's joints, in train.json, val.json and images/; `change` spoils the content of each file, in
    place."""
    rng = np.random.default_rng(0)
    (root / "images").mkdir(parents=True, exist_ok=True)
    for part in ("train", "val"):
        content: dict[str, Any] = {"images": [], "annotations": []}
        for number in range(1, images + 1):
            name = f"{part}{number}.png"
            Image.fromarray(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)).save(root / "images" / name)
            content["images"].append({"id": number, "file_name": name, "width": 64, "height": 48})
            for _ in range(people):
                left, top = rng.uniform(14, 30), rng.uniform(8, 16)
                points = np.round(np.column_stack([rng.uniform(left, left + 28, 17), rng.uniform(top, top + 26, 17)]), 1)
                points[:4] = np.round([[left, top], [left + 28, top], [left, top + 26], [left + 28, top + 26]], 1)
                content["annotations"].append(
                    {
                        "id": len(content["annotations"]) + 1,
                        "image_id": number,
                        "category_id": 1,
                        "iscrowd": 0,
                        "bbox": np.round([left - 1, top - 1, 30, 28], 1).tolist(),
                        "area": 400.0,
                        "num_keypoints": 17,
                        "keypoints": np.column_stack([points, np.full(17, 2)]).ravel().tolist(),
                    }
                )
        content["categories"] = [{"id": 1, "name": "person", "keypoints": list(COCO17.joints), "skeleton": [[1, 2]]}]
        change(content)
        (root / f"{part}.json").write_text(json.dumps(content))
    return root
