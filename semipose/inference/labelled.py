"""Images that have labels already: where they are, and which of the images to choose from they are."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from semipose.data.coco_file import read_set
from semipose.data.names import base_name
from semipose.inference.boxes import Asked, of_set
from semipose.utils.errors import InputError
from semipose.utils.files import digest, is_file


class Labelled(NamedTuple):
    """The labelled people of a set.

    Attributes:
        asked: The images that have labelled people, with these.
        given: The given images that are one of them, by their bytes.
        renamed: Number of these that have another name than in the set.
        missing: Number of images of the set that were not found.
    """

    asked: Asked
    given: set[Path]
    renamed: int
    missing: int


def find_labelled(
    annotations: Path, paths: Sequence[Path], folders: Sequence[Path], clamped: bool, category: str | None = None
) -> Labelled:
    """Find the images of a labelled set: in these folders, beside its file, in `images/` there, or among the given images.

    A given image is one of the set if it has its bytes, whatever its name.

    Args:
        annotations: A file in COCO's format.
        paths: The given images.
        folders: Where else the set's images may be.
        clamped: As `of_set` takes it.
        category: As `of_set` takes it.

    Raises:
        InputError: The file is wrong, or none of its images is found.
    """
    images = list(read_set(annotations, str(annotations), category).checked().images.values())
    places = [*folders, annotations.parent, annotations.parent / "images"]
    own: dict[str, Path] = {}  # by the name in the set
    for image in images:
        name = image["file_name"].replace("\\", "/")
        if found := next((place / name for place in places if is_file(place / name)), None):
            own[name] = found
    at_home = {base_name(name) for name in own}
    candidates = [*own.values(), *(path for path in paths if base_name(path.name) not in at_home)]
    if not {base_name(image["file_name"]) for image in images} & {base_name(path.name) for path in candidates}:
        some = ", ".join(image["file_name"] for image in images[:3])
        raise InputError(
            f"{annotations}: none of its {len(images)} images ({some} ...) is in {', '.join(map(str, places))}, or among the given "
            "images; name their folder: --labelled-images DIR"
        )
    asked = of_set(candidates, annotations, clamped, category=category)
    assert asked.boxes is not None
    photos = [photo for photo in asked.photos if len(asked.boxes[photo.path].xywh)]
    given = alike(paths, [photo.path for photo in photos if is_file(photo.path)])
    renamed = len(given) - sum(path.name in given[path] for path in given)
    return Labelled(replace(asked, photos=photos), set(given), renamed, len(images) - len(asked.photos))


def alike(paths: Sequence[Path], labelled: Sequence[Path]) -> dict[Path, set[str]]:
    """The paths whose files have the bytes of one of the labelled ones, each with the names of those."""
    sizes = {path.stat().st_size for path in labelled}
    names: dict[bytes, set[str]] = {}
    for path in labelled:
        names.setdefault(digest(path.read_bytes()), set()).add(path.name)
    same = ((path, digest(path.read_bytes())) for path in paths if is_file(path) and path.stat().st_size in sizes)
    return {path: names[content] for path, content in same if content in names}
