"""A person's own images, and boxes of people in them, for `semipose predict`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NotRequired

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from pydantic import TypeAdapter
from typing_extensions import TypedDict

from semipose.data.schema import Box, Id, Number
from semipose.utils.errors import InputError
from semipose.utils.validation import read_valid

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")


class GivenBox(TypedDict):
    """A box of a person in one of the photos."""

    file_name: NotRequired[str]
    image_id: NotRequired[Id]
    category_id: NotRequired[Literal[1]]
    bbox: Box
    score: NotRequired[Number]


GIVEN = TypeAdapter(list[GivenBox])


@dataclass(frozen=True)
class Photo:
    """An image file and the id that it has in the results."""

    path: Path
    image_id: int

    def read(self) -> Image.Image:
        """RGB, upright as its EXIF orientation says: points and boxes are in px of the image as viewers show it."""
        with _opened(self.path) as image:
            return ImageOps.exif_transpose(image).convert("RGB")


@dataclass(frozen=True, eq=False)
class Boxes:
    """The boxes of one image: xywh [N, 4] px, scores [N]."""

    xywh: NDArray[np.float32]
    scores: NDArray[np.float64]


def find_photos(paths: Sequence[Path]) -> list[Photo]:
    """The image files named, and those in the folders named (not in folders within), sorted by name in each folder.

    image_id is the number that the file is named by, as in COCO, if every file has such a name; else 1, 2, 3 ...
    Raises InputError: no such file, no image in a folder, not an image.
    """
    found: list[Path] = []
    for path in paths:
        inside = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES) if path.is_dir() else [path]
        if not inside:
            raise InputError(f"{path}: no image in this folder (looked for {', '.join(SUFFIXES)})")
        found += inside
    for path in found:
        with _opened(path):
            pass
    stems = [path.stem for path in found]
    named = all(stem.isascii() and stem.isdigit() for stem in stems) and len({int(stem) for stem in stems}) == len(stems)
    return [Photo(path, int(path.stem) if named else number) for number, path in enumerate(found, start=1)]


def overlay_names(photos: Sequence[Photo], out: Path) -> list[str]:
    """File names of the overlays: those of the photos, .png for what is no JPEG. Raises InputError where two would be
    one file, or where the folder holds photos, which must not be overwritten."""
    owners: dict[str, Path] = {}
    for photo in photos:
        if photo.path.parent.resolve() == out.resolve():
            raise InputError(f"--out {out} holds {photo.path.name}, which an overlay would replace; name another folder")
        jpeg = photo.path.suffix.lower() in (".jpg", ".jpeg")
        name = photo.path.name if jpeg else photo.path.stem + ".png"
        if name in owners:
            raise InputError(f"{owners[name]} and {photo.path} both make the overlay {name}; predict them apart")
        owners[name] = photo.path
    return list(owners)


def read_boxes(path: Path, photos: Sequence[Photo]) -> dict[Path, Boxes]:
    """The boxes of each photo, from a JSON list of {image_id or file_name, bbox [x, y, width, height] px, score
    (default 1)}.

    `category_id`, if given, must be 1 (person). Raises InputError naming the file, the entry and the field; also for a
    box that belongs to none of the photos.
    """
    rows: dict[Path, list[list[float]]] = {photo.path: [] for photo in photos}
    entries = read_valid(GIVEN, path, str(path))
    by_name, by_id = ({photo.path.name: photo for photo in photos}, {photo.image_id: photo for photo in photos})
    for index, entry in enumerate(entries):
        place = f"{path}: [{index}]"
        if "file_name" in entry:
            what, owner = f"file_name {entry['file_name']!r}", by_name.get(Path(entry["file_name"]).name)
        elif "image_id" in entry:
            what, owner = f"image_id {entry['image_id']}", by_id.get(entry["image_id"])
        else:
            raise InputError(f"{place}: has neither file_name nor image_id")
        if owner is None:
            some = ", ".join(f"{photo.path.name} (image_id {photo.image_id})" for photo in photos[:3])
            raise InputError(f"{place}: {what} is none of the {len(photos)} images given: {some}{' ...' if photos[3:] else ''}")
        if min(entry["bbox"][2:]) <= 0:
            raise InputError(f"{place}: bbox: {entry['bbox']}, must be x, y, width, height with width and height above 0")
        rows[owner.path].append([*entry["bbox"], entry.get("score", 1.0)])
    tables = {name: np.array(row, np.float64).reshape(-1, 5) for name, row in rows.items()}
    return {name: Boxes(table[:, :4].astype(np.float32), table[:, 4]) for name, table in tables.items()}


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    try:
        with Image.open(path) as image:
            yield image
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{path} cannot be read as an image: {error}") from None
