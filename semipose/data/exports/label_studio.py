"""Label Studio's JSON: a list of tasks, whose results are key points and boxes in percent of the image."""

from collections import defaultdict
from pathlib import Path
from typing import Any

from semipose.data.exports.content import Parts, Person, Photo, content_of
from semipose.data.exports.stock import SUFFIXES, Stock, files, is_image
from semipose.utils.errors import InputError
from semipose.utils.files import read_json

SHOWN = 60  # characters of a field that a message shows


def find(root: Path) -> Path | None:
    """The file with tasks that have key points."""
    for path in files(root, "*.json"):
        try:
            tasks = read_json(path)
        except InputError:
            continue
        if isinstance(tasks, list) and any(isinstance(one, dict) and "data" in one and "annotations" in one for one in tasks):
            return path
    return None


def read(path: Path, images: Path | None = None) -> Parts:
    """Read the tasks; key points belong to the box that is their
    parent, else to the only person of their image.

    Args:
        path: The JSON.
        images: Folder below which the images are; None: that of the JSON.

    Raises:
        InputError: Names the task.
    """
    stock, tasks = Stock(images or path.parent), read_json(path)
    found: list[tuple[Path, list[tuple[dict[str, tuple[float, float, int]], list[float] | None]]]] = []
    joints: list[str] = []
    for number, task in enumerate(tasks):
        where = f"{path}: [{number}]"
        try:
            people, image = _people(task, where), _image(task, where)
        except (KeyError, TypeError, IndexError, ValueError, AttributeError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"{where}: is not a task with key points ({type(error).__name__}: {error}); export the project as JSON"
            ) from None
        joints = list(dict.fromkeys([*joints, *(name for points, _ in people for name in points)]))
        found.append((stock.find(image, where), people))
    if not joints:
        raise InputError(f"{path}: no task has a key point; label people, and export the project as JSON")
    return content_of(
        joints,
        [
            Photo(image, [Person([points.get(name, (0.0, 0.0, 0)) for name in joints], box) for points, box in people])
            for image, people in found
        ],
    )


def _image(task: dict[str, Any], where: str) -> str:
    for value in task["data"].values():
        if isinstance(value, str) and is_image(value):
            return value
    told = ", ".join(f"{name}: {str(value)[:SHOWN]!r}" for name, value in task["data"].items()) or "nothing"
    raise InputError(
        f"{where}: task {task.get('id', 'without id')}: `data` has {told}, but no path or address of an image "
        f"({', '.join(sorted(SUFFIXES))}); add it, or remove the task"
    )


def _people(task: dict[str, Any], where: str) -> list[tuple[dict[str, tuple[float, float, int]], list[float] | None]]:
    kept = [annotation["result"] for annotation in task["annotations"] if not annotation.get("was_cancelled")]
    results: list[dict[str, Any]] = next(filter(None, kept), [])  # the first annotation that has any
    boxes, points = {}, defaultdict(dict)  # type: ignore[var-annotated]
    for one in results:
        if one.get("image_rotation"):  # its coordinates are of the turned image
            turn = one["image_rotation"]
            raise InputError(f"{where}: the image was turned by {turn} degrees in Label Studio; turn the file itself, and label it again")
        value, width, height = one.get("value", {}), one.get("original_width", 0), one.get("original_height", 0)
        if "rectanglelabels" in value:
            sides = zip(("x", "y", "width", "height"), (width, height) * 2, strict=True)
            boxes[one["id"]] = [value[name] / 100 * length for name, length in sides]
    only = next(iter(boxes)) if len(boxes) == 1 else None
    for one in results:
        value = one.get("value", {})
        if "keypointlabels" in value:
            owner, (name, *_) = one.get("parentID") or only, value["keypointlabels"]
            if name in points[owner] or (owner is None and len(boxes) > 1):
                raise InputError(f"{where}: {name!r} belongs to no person; make each key point a child of its person's box")
            points[owner][name] = (value["x"] / 100 * one["original_width"], value["y"] / 100 * one["original_height"], 2)
    return [(named, boxes.get(owner)) for owner, named in points.items()]
