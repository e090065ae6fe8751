"""The image files of a command: their order, their ids, the names of their overlays."""

import os
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
from semipose.inference import videos
from semipose.utils.errors import InputError, InputWarning
from semipose.utils.files import COMPANION

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
UNREAD = (
    ".gif", ".apng", ".heic", ".heif", ".hif", ".avif", ".jxl", ".jp2", ".jfif", ".jpe", ".svg", ".psd", ".tga", ".ppm", ".pgm", ".pbm",
    ".exr", ".hdr", ".dng", ".raw", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".dcm",
)  # fmt: skip
"""Suffixes of other images: those in a folder are passed over, and counted."""
SHOWN = 3  # files or folders that a message names


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


def find_photos(paths: Iterable[Path], clips: bool = False) -> list[Path]:
    """Find the named image files, and those in the named folders (not in subfolders), in natural
    order: img2 before img10.

    InputWarnings say what else is in the folders: images of other kinds (UNREAD), videos, folders with images.

    Args:
        paths: Files and folders.
        clips: Whether videos are found, too.

    Raises:
        InputError: There is no such file, or it is a video that is not asked for, or there is nothing of use in a folder;
            a name is not UTF-8.
    """
    found: list[Path] = []
    others: list[Path] = []
    for path in paths:
        if not path.exists():
            raise InputError(f"{path}: no such file; check the path")
        if _is_video(path) and not clips:
            raise InputError(f"{path}: is a video, and images are needed; save some of its frames as images")
        inside, beside = _sorted_out(path, clips) if path.is_dir() else ([path], [])
        if not inside:
            what, suffixes = ("image and no video", SUFFIXES + videos.SUFFIXES) if clips else ("image", SUFFIXES)
            raise InputError("; ".join([f"{path}: no {what} in this folder (looked for {', '.join(suffixes)})", *_left_out(beside)]))
        for one in inside:
            check_name(one)
        found += inside
        others += beside
    for sentence in _left_out(others):
        warnings.warn(sentence, InputWarning, stacklevel=2)
    return found


def _sorted_out(folder: Path, clips: bool) -> tuple[list[Path], list[Path]]:
    """The images of a folder (and its videos, for `clips`), and everything else in it but for what macOS leaves, in natural order."""
    inside = sorted((one for one in folder.iterdir() if not one.name.startswith(COMPANION)), key=lambda one: natural(one.name))
    images = dict.fromkeys(one for one in inside if _is_image(one) or (clips and _is_video(one)))
    return [*images], [one for one in inside if one not in images]


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.is_dir()


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in videos.SUFFIXES and not path.is_dir()


def _left_out(others: Iterable[Path]) -> list[str]:
    """Sentences about those of the files and folders that somebody may want poses of, and what to do."""
    unread: Counter[str] = Counter()
    clips: list[Path] = []
    folders: list[Path] = []
    for one in others:
        suffix = one.suffix.lower()
        if one.is_dir():
            folders += [one] if os.access(one, os.R_OK | os.X_OK) and any(map(_is_image, one.iterdir())) else []
        elif suffix in UNREAD:
            unread[suffix] += 1
        elif _is_video(one):
            clips.append(one)
    told = []
    if unread:
        counted = ", ".join(f"{count:,} {suffix}" for suffix, count in sorted(unread.items()))
        told.append(f"{unread.total():,} images of kinds that are not read were passed over: {counted}; convert them to JPEG or PNG")
    if clips:
        told.append(f"{len(clips):,} videos were left out: {_some(clips)}; give each to semipose predict by itself, with its own --out")
    if folders:
        told.append(f"folders with images were left out: {_some(folders)}; to take their images, name them, too")
    return told


def _some(paths: Sequence[Path]) -> str:
    return ", ".join(map(str, paths[:SHOWN])) + (" ..." if paths[SHOWN:] else "")


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
