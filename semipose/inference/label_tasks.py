"""Suggested people as work for labelling tools: the network's poses are the first labels."""

import html
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from semipose.data.schema import PERSON
from semipose.inference.predict import SURE
from semipose.pose.skeleton import Skeleton
from semipose.utils.files import write_text


class Task(NamedTuple):
    """A person to label; px are those of the image.

    Attributes:
        file_name: Of the image.
        size: Width and height of the image, px.
        box: xywh px, [4].
        points: [K, 2] px.
        confidence: [K].
    """

    file_name: str
    size: tuple[int, int]
    box: NDArray[np.floating]
    points: NDArray[np.floating]
    confidence: NDArray[np.floating]


def coco_set(tasks: Sequence[Task], skeleton: Skeleton) -> dict[str, Any]:
    """A set in COCO's keypoint format, as CVAT imports it. A joint of whose place the network is not sure has visibility 1, any other 2."""
    names = list(dict.fromkeys(task.file_name for task in tasks))
    sizes = {task.file_name: task.size for task in tasks}
    images = [{"id": k, "file_name": name, "width": sizes[name][0], "height": sizes[name][1]} for k, name in enumerate(names, start=1)]
    annotations = [
        {
            "id": k,
            "image_id": names.index(task.file_name) + 1,
            "category_id": PERSON,
            "iscrowd": 0,
            "bbox": task.box.tolist(),
            "area": float(np.prod(task.box[2:])),
            "num_keypoints": len(skeleton.joints),
            "keypoints": np.column_stack([task.points, np.where(task.confidence > SURE, 2, 1)]).ravel().tolist(),
        }
        for k, task in enumerate(tasks, start=1)
    ]
    limbs = [[a + 1, b + 1] for a, b in skeleton.limbs]
    category = {"id": PERSON, "name": "person", "keypoints": list(skeleton.joints), "skeleton": limbs}
    return {"images": images, "annotations": annotations, "categories": [category]}


def label_studio_tasks(tasks: Sequence[Task], skeleton: Skeleton) -> list[dict[str, Any]]:
    """Label Studio's tasks, one an image, with predictions: boxes with their key points, in percent of the image."""
    by_image: dict[str, list[dict[str, Any]]] = {}
    for number, task in enumerate(tasks, start=1):
        results, (width, height) = by_image.setdefault(task.file_name, []), task.size
        common = {"original_width": width, "original_height": height, "image_rotation": 0, "to_name": "image"}
        percent = np.array([100 / width, 100 / height])
        x, y, w, h = (task.box.reshape(2, 2) * percent).ravel().tolist()
        person = f"person{number}"
        box = {"x": x, "y": y, "width": w, "height": h, "rotation": 0, "rectanglelabels": ["person"]}
        results.append(common | {"id": person, "from_name": "box", "type": "rectanglelabels", "value": box})
        for joint, (x, y), score in zip(skeleton.joints, (task.points * percent).tolist(), task.confidence.tolist(), strict=True):
            value = {"x": x, "y": y, "width": 0.5, "keypointlabels": [joint]}
            one = {"id": f"{person}-{joint}", "parentID": person, "from_name": "joint", "type": "keypointlabels", "value": value}
            results.append(common | one | {"score": score})
    return [
        {"data": {"image": f"/data/local-files/?d={quote(name)}"}, "predictions": [{"model_version": "semipose", "result": results}]}
        for name, results in by_image.items()
    ]


def label_studio_interface(skeleton: Skeleton) -> str:
    """The labelling interface that the tasks belong to."""
    joints = "".join(f'\n    <Label value="{html.escape(joint)}"/>' for joint in skeleton.joints)
    return (
        '<View>\n  <RectangleLabels name="box" toName="image">\n    <Label value="person"/>\n  </RectangleLabels>\n'
        f'  <KeyPointLabels name="joint" toName="image">{joints}\n  </KeyPointLabels>\n  <Image name="image" value="$image"/>\n</View>\n'
    )


def write_tasks(tasks: Sequence[Task], skeleton: Skeleton, folder: Path) -> None:
    """Write coco.json, label_studio.json and label_studio.xml."""
    write_text(folder / "coco.json", json.dumps(coco_set(tasks, skeleton), indent=1) + "\n")
    write_text(folder / "label_studio.json", json.dumps(label_studio_tasks(tasks, skeleton), indent=1) + "\n")
    write_text(folder / "label_studio.xml", label_studio_interface(skeleton))
