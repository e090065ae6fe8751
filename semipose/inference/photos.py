"""The image files of `semipose predict`: their order, their ids, the names of their overlays."""

import re
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from semipose.data.names import check_name
from semipose.data.pixels import BrokenImage, Exif, UndecidedExif, read_image
from semipose.utils.errors import InputError, InputWarning
from semipose.utils.files import COMPANION

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
UNREAD = (
    ".gif", ".apng", ".heic", ".heif", ".hif", ".avif", ".jxl", ".jp2", ".jfif", ".jpe", ".svg", ".psd", ".tga", ".ppm", ".pgm", ".pbm",
    ".exr", ".hdr", ".dng", ".raw", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".dcm",
)  # fmt: skip
"""Suffixes of other images: those in a folder are passed over, and counted."""


@dataclass(frozen=True)
class Photo:
    """An image file and its id in the results."""

    path: Path
    image_id: int
    annotated: tuple[int, int] = (0, 0)  # width and height (px) as annotated; 0 if unknown

    def read(self, exif: Exif | None) -> Image.Image:
        """Read the image as RGB; boxes and points are in its px.

        Args:
            exif: None: the annotated size must tell whether the EXIF orientation counts.

        Raises:
            BrokenImage: The file cannot be read as an image; the message is the reason.
            InputError: It has another size than annotated, or it is
                not known whether its EXIF orientation counts.
        """
        try:
            image = read_image(self.path, self.annotated, exif)
        except UndecidedExif:
            raise InputError(
                f"{self.path}: its EXIF orientation turns or mirrors it, and it is not known whether boxes and "
                "annotations were made before or after that. Give --exif apply if they fit the image as viewers show it, "
                "else --exif ignore"
            ) from None
        except InputError:
            raise BrokenImage("it cannot be opened") from None
        if all(self.annotated) and image.size != self.annotated:
            raise InputError(
                f"{self.path}: the image is {image.width} x {image.height} px, but was annotated as {self.annotated[0]} x "
                f"{self.annotated[1]}; give the annotated images{', or no --exif' if exif else ''}"
            )
        return Image.fromarray(np.asarray(image))  # without the EXIF orientation, which would be applied again


def find_photos(paths: Iterable[Path]) -> list[Path]:
    """Find the named image files, and those in the named folders (not in subfolders), in natural
    order: img2 before img10.

    An InputWarning says how many images of other kinds (UNREAD) are passed over in the folders.

    Raises:
        InputError: There is no such file, or no image in a folder; a name is not UTF-8.
    """
    found: list[Path] = []
    others: Counter[str] = Counter()
    for path in paths:
        if not path.exists():
            raise InputError(f"{path}: no such file; check the path")
        inside, unread = [path], Counter[str]()
        if path.is_dir():
            files = [one for one in path.iterdir() if not one.name.startswith(COMPANION) and not one.is_dir()]
            inside = sorted((one for one in files if one.suffix.lower() in SUFFIXES), key=lambda one: natural(one.name))
            unread.update(suffix for one in files if (suffix := one.suffix.lower()) in UNREAD)
        if not inside:
            instead = f"; it has {_counted(unread)}, which are not read: convert them to JPEG or PNG" if unread else ""
            raise InputError(f"{path}: no image in this folder (looked for {', '.join(SUFFIXES)}){instead}")
        for one in inside:
            check_name(one)
        found += inside
        others += unread
    if others:
        warnings.warn(
            f"{others.total():,} images of kinds that are not read were passed over: {_counted(others)}; convert them to JPEG or PNG",
            InputWarning,
            stacklevel=2,
        )
    return found


def _counted(suffixes: Counter[str]) -> str:
    return ", ".join(f"{count:,} {suffix}" for suffix, count in sorted(suffixes.items()))


def named_by_numbers(paths: Sequence[Path]) -> bool:
    """Whether every file's name is a number, all different, as COCO's are: 000000000139.jpg."""
    stems = [path.stem for path in paths]
    return all(stem.isascii() and stem.isdigit() for stem in stems) and len({int(stem) for stem in stems}) == len(stems)


def numbered(paths: Sequence[Path]) -> list[Photo]:
    """Give each file its image_id: its name if all names are
    numbers, else 1, 2, 3 ... in this order.
    """
    by_name = named_by_numbers(paths)
    return [Photo(path, int(path.stem) if by_name else number) for number, path in enumerate(paths, start=1)]


def overlay_names(photos: Sequence[Photo], out: Path) -> list[str]:
    """File names of the overlays: those of the photos, with .png for anything but a JPEG.

    Raises:
        InputError: Two would be one file, or the folder
            contains photos, which must not be overwritten.
    """
    owners: dict[str, Path] = {}
    for photo in photos:
        if photo.path.parent.resolve() == out.resolve():
            raise InputError(f"--out {out} contains {photo.path.name}, which an overlay would replace; name another folder")
        jpeg = photo.path.suffix.lower() in (".jpg", ".jpeg")
        name = photo.path.name if jpeg else photo.path.stem + ".png"
        if name in owners:
            raise InputError(f"{owners[name]} and {photo.path} would both get the overlay {name}; predict them separately")
        owners[name] = photo.path
    return list(owners)


def natural(name: str) -> tuple[list[tuple[str, int]], str]:
    """What names are sorted by: img2 before img10."""
    parts = re.split(r"([0-9]+)", name.lower())
    return [(text, int(number or 0)) for text, number in zip(parts[::2], [*parts[1::2], ""], strict=True)], name
