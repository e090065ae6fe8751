"""Ultralytics' pose format: a YAML with `kpt_shape`, and folders or lists of images; beside each folder
`images`, a folder `labels` with one .txt per image.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from semipose.data.exports.content import Parts, Person, Photo, content_of
from semipose.data.exports.stock import SUFFIXES, files
from semipose.data.names import check_name
from semipose.data.pixels import BrokenImage, image_size
from semipose.pose.skeleton import named_pairs
from semipose.utils.errors import InputError
from semipose.utils.files import COMPANION, is_file


def find(root: Path) -> Path | None:
    """The YAML of the set."""
    for path in dict.fromkeys([*files(root, "*.y*ml"), *files(root, "*/*.y*ml")]):
        if "kpt_shape" in path.read_text(encoding="utf-8", errors="replace"):
            return path
    return None


def read(path: Path) -> Parts:
    """Read the set.

    Pairs of joints that `flip_idx` swaps beyond those that the names tell become `pairs` of the category.

    Raises:
        InputError: Names file, line and remedy.
    """
    try:
        told: dict[str, Any] = YAML(typ="safe").load(path)
        count, values = (int(one) for one in told["kpt_shape"])
        names = told.get("kpt_names") or told.get("node_names")  # the second as SLEAP writes it
        names = names or [f"joint_{k}" for k in range(1, count + 1)]
        joints = [str(name) for name in (next(iter(names.values())) if isinstance(names, dict) else names)]
        folders = [(part, folder) for part in ("train", "val") for folder in _listed(told.get(part))]
        if values not in (2, 3) or len(joints) != count:
            raise ValueError(f"kpt_shape {told['kpt_shape']} with {len(joints)} names")
    except (YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: is not a YAML of a pose set ({error}); it needs kpt_shape: [joints, 2 or 3], train and val") from None
    pairs = _pairs(path, told, joints)
    above = path.parent
    base = next((base for base in (above / str(told.get("path") or "."), above) if base.is_dir()), above)
    photos, classes = [], set[float]()
    for part, folder in folders:
        photos += [Photo(image, [*_people(image, count, values, classes)], part) for image in _images(path, base, part, folder)]
    if not photos:
        raise InputError(f"{path}: there is no image in the folders of train and val; correct `path`, `train` and `val`")
    for part in dict.fromkeys(photo.part for photo in photos):
        own = [photo for photo in photos if photo.part == part]
        if not any(photo.people for photo in own):
            first = _label(own[0].path)
            raise InputError(f"{path}: {part}: none of the {len(own)} images has labelled people; labels of the first must be in {first}")
    if len(classes) > 1:
        numbers = ", ".join(f"{one:g}" for one in sorted(classes))
        raise InputError(
            f"{path}: the labels are of several classes ({numbers}); keep the lines of one, because a set has one kind of people"
        )
    parts = content_of(joints, photos)
    for content in parts.values():
        content["categories"] = [category | ({"pairs": pairs} if pairs else {}) for category in content["categories"]]
    return parts


def _pairs(path: Path, told: dict[str, Any], joints: list[str]) -> list[list[str]] | None:
    """The pairs of joints that `flip_idx` swaps; None if there is none, or if the names tell the same.

    Raises:
        InputError: `flip_idx` is not a list of partners, or lacks a pair that the names tell.
    """
    flip = told.get("flip_idx")
    if flip is None:
        return None
    numbers = range(len(joints))
    whole = isinstance(flip, list) and all(type(one) is int for one in flip)
    if not whole or sorted(flip) != [*numbers] or any(flip[flip[k]] != k for k in numbers):
        raise InputError(
            f"{path}: flip_idx {flip} must name the partner of each of the {len(joints)} joints, from 0 (itself if it has none); correct it"
        )
    swapped = {frozenset((k, flip[k])) for k in numbers if flip[k] != k}
    try:
        by_name = {frozenset(pair) for pair in named_pairs(tuple(joints))}
    except InputError:  # a joint with a side has no partner by its name
        by_name = set()
    if missing := by_name - swapped:
        left, right = (joints[k] for k in sorted(min(missing, key=sorted)))
        raise InputError(f"{path}: flip_idx does not swap {left} and {right}, but their names do; correct flip_idx, or rename the joints")
    return [[joints[k], joints[flip[k]]] for k in numbers if k < flip[k]] if swapped != by_name else None


def _listed(value: Any) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else [str(value)] if value else []


def _images(path: Path, base: Path, part: str, named: str) -> list[Path]:
    """The images of a part: below a folder, or of a list of paths.

    Roboflow names the folder `train/images` beside the YAML `../train/images`.
    """
    beside = Path(*(one for one in Path(named).parts if one != ".."))
    places = (base / named, path.parent / named, path.parent / beside, path.parent / beside.name)
    place = next((one for one in places if one.is_dir() or (one.suffix == ".txt" and one.is_file())), None)
    if place is None:
        raise InputError(f"{path}: {part}: there is no folder or list {named} below {base}; correct `path` and `{part}`")
    if place.is_dir():
        return [image for image in sorted(place.rglob("*")) if image.suffix.lower() in SUFFIXES and not image.name.startswith(COMPANION)]
    images = []
    for line, text in enumerate(place.read_text(encoding="utf-8-sig").splitlines(), start=1):
        if text.strip():
            found = next((one for one in (place.parent / text.strip(), base / text.strip()) if is_file(one)), None)
            if found is None:
                raise InputError(f"{place}: line {line}: there is no image {text.strip()}; correct the list")
            images.append(found)
    return images


def _label(image: Path) -> Path:
    """The label file of an image: in `labels` instead of the last folder `images` of its path."""
    parts = list(image.parts)
    for place in range(len(parts) - 1, -1, -1):
        if parts[place] == "images":
            parts[place] = "labels"
            break
    return Path(*parts).with_suffix(".txt")


def _people(image: Path, count: int, values: int, classes: set[float]) -> Iterator[Person]:
    check_name(image)
    label = _label(image)
    if not label.is_file():
        return  # an image without people
    try:
        width, height = image_size(image, "apply")
    except BrokenImage as error:
        raise InputError(f"{image}: {error}; replace it, or remove it") from None
    for line, text in enumerate(label.read_text(encoding="utf-8-sig", errors="replace").splitlines(), start=1):
        if not text.strip():
            continue
        try:
            kind, x, y, w, h, *rest = (float(one) for one in text.split())
            if not np.isfinite([x, y, w, h, *rest]).all():
                raise ValueError
        except ValueError:
            raise InputError(f"{label}: line {line}: must be numbers: class, box, joints; repair it") from None
        if len(rest) != count * values:
            raise InputError(f"{label}: line {line}: has {len(rest)} numbers after the box, must have {count * values}; repair it")
        classes.add(kind)
        points = []
        for k in range(0, len(rest), values):
            visible = rest[k + 2] if values == 3 else 2 * bool(rest[k] or rest[k + 1])
            if visible not in (0, 1, 2):
                raise InputError(
                    f"{label}: line {line}: joint {k // values + 1} has the visibility {visible:g}, must be 0, 1 or 2; "
                    "write these, or take labels instead of predictions, which have confidences there"
                )
            points.append((rest[k] * width, rest[k + 1] * height, int(visible)))
        yield Person(points, [(x - w / 2) * width, (y - h / 2) * height, w * width, h * height])
