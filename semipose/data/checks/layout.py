"""Which data set is in a folder, recognised by its files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semipose.config.data import Custom
from semipose.data.download.datasets import LAYOUTS, is_there
from semipose.data.exports.coco import part_of
from semipose.data.exports.convert import exporter
from semipose.data.pixels import Exif
from semipose.data.sources.flic import Films
from semipose.utils.errors import InputError
from semipose.utils.files import is_file, json_bytes, read_json

DEPTH = 3  # folders below the root in which annotations and images of the user's own set are searched
KNOWN = ("lsp", "flic", "coco", "mpii", "aic")
NOWHERE = {"annotations": "???", "images": "???"}  # a part that is missing
LISTS = ("images", "annotations", "categories")


@dataclass(frozen=True)
class Layout:
    """A data set in a folder.

    Attributes:
        source: As in `data` of params.yaml.
        exif: As in `data` of params.yaml.
        custom: For the user's own set.
        parts: Those that exist, "train" and "val".
        whole_images: Whether whole images are the boxes of `data.unlabelled`.
        films: As `data.flic.split` of params.yaml.
    """

    source: str
    custom: Custom | None = None
    parts: tuple[str, ...] = ("train", "val")
    exif: Exif | None = None
    whole_images: bool = False
    films: Films = "films"


def recognise(root: Path) -> Layout:
    """Recognise a data set.

    Raises:
        InputError: The folder contains no known set.
    """
    if root.is_file():
        raise InputError(f"{root}: is a file; name its folder, or make a set of it: semipose doctor {root} --convert FOLDER")
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; check the path")
    for source in KNOWN:
        files = {entry for layout in LAYOUTS[source] for entry in layout if not entry.endswith("/")}
        if any(is_there(root, entry) for entry in files):
            return Layout(source)
    return _own(root)


def _own(root: Path) -> Layout:
    """The user's own COCO-format set: files with joints, "train" and "val" by their names, each
    with its image folder.
    """
    found = {path: content for path in _below(root, "*.json") if (content := _keypoints(path)) is not None}
    if not found:
        if tool := exporter(root):
            raise InputError(f"{root}: is an export of {tool}; run `semipose doctor {root} --convert FOLDER` to convert it")
        if nameless := next((path for path in _below(root, "*.json") if _has_keypoints(path)), None):
            raise InputError(
                f"{nameless}: has keypoints, but no category that names its joints; add `categories`: "
                '[{"id": 1, "name": "person", "keypoints": [the names of the joints, in their order]}]'
            )
        raise InputError(
            f"{root}: has neither joints.mat (LSP), examples.mat (FLIC), annotations/person_keypoints_train2017.json "
            "(COCO), annot/train.json (MPII), ai_challenger_keypoint_train_* (AI Challenger), nor a JSON in COCO's "
            "format whose category has `keypoints`; name a folder that has one"
        )
    parts: dict[str, list[Path]] = {"train": [], "val": [], "test": []}
    for path in found:
        parts[part_of(path.relative_to(root))].append(path)
    train, val = parts["train"], parts["val"] or parts["test"]
    for part, paths in {"training": train, "validation": val}.items():
        if len(paths) > 1:
            names = ", ".join(path.relative_to(root).as_posix() for path in paths)
            raise InputError(
                f"{root}: {len(paths)} files could be the {part} annotations: {names}; name them in params.yaml, and use --params"
            )
    named = [*train, *val] if train else [val[0]]
    where: list[dict[str, str]] = []
    for path in named:
        images = _images(root, found[path], [one["images"] for one in where])
        where.append({"annotations": path.relative_to(root).as_posix(), "images": images})
    told = {"category": None, "pairs": _pairs(found[named[0]]), "sigmas": None, "torso": None}
    custom = Custom.model_validate({"train": where[0], "val": where[1] if len(where) > 1 else NOWHERE, **told})
    return Layout("custom", custom, ("train", "val") if train and val else ("train",))


def _keypoints(path: Path) -> dict[str, Any] | None:
    """The content of a COCO-format file whose categories name joints; {} if it looks like one but
    cannot be read; else None.
    """
    try:
        content = read_json(path)
    except InputError:
        return {} if path.is_file() and any(f'"{name}"'.encode() in json_bytes(path) for name in LISTS) else None
    if not isinstance(content, dict) or not all(isinstance(content.get(name), list) for name in LISTS):
        return None
    return content if any(isinstance(one, dict) and one.get("keypoints") for one in content["categories"]) else None


def _has_keypoints(path: Path) -> bool:
    """Whether a file has annotations with keypoints, as COCO's do, whatever its categories."""
    try:
        content = read_json(path)
    except InputError:
        return False
    annotations = content.get("annotations") if isinstance(content, dict) else None
    return isinstance(annotations, list) and any(isinstance(one, dict) and one.get("keypoints") for one in annotations)


def _pairs(content: dict[str, Any]) -> list[list[str]] | None:
    """Pairs of joints that a conversion wrote into the only category with joints (`exports.ultralytics`)."""
    categories = [one for one in content.get("categories", []) if isinstance(one, dict) and one.get("keypoints")]
    pairs = categories[0].get("pairs") if len(categories) == 1 else None
    return pairs if isinstance(pairs, list) and all(isinstance(pair, list) and set(map(type, pair)) == {str} for pair in pairs) else None


def _images(root: Path, content: dict[str, Any], taken: list[str]) -> str:
    """The folder with most of the first images of a file, relative to the root; `.` if none is found.

    Of equal ones the first that is not `taken` by another part: their images may have the same names.
    """
    names = [
        str(one["file_name"]).replace("\\", "/") for one in content.get("images", [])[:20] if isinstance(one, dict) and "file_name" in one
    ]
    folders = [root, *(path for path in _below(root, "*") if path.is_dir())]
    counts = {folder.relative_to(root).as_posix(): sum(is_file(folder / name) for name in names) for folder in folders}
    return max(counts, key=lambda folder: (counts[folder], counts[folder] > 0 and folder not in taken))


def _below(root: Path, pattern: str) -> list[Path]:
    return sorted(path for depth in range(DEPTH) for path in root.glob("*/" * depth + pattern))
