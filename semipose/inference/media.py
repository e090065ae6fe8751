"""Images and videos in folders: which files they are, and their pictures one by one."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from semipose.data.pixels import BrokenImage, Exif, read_image
from semipose.inference import photos, videos
from semipose.utils.errors import InputError
from semipose.utils.files import COMPANION

Wanted = Callable[[int, float], bool]
"""Whether a frame of a video is wanted, by its number (from 1) and time (s); asked once for each, in their order."""


class Listing(NamedTuple):
    """The images and videos of some folders.

    Attributes:
        names: Relative to the root, in natural order.
        others: Number of files that are neither images nor videos by their suffixes.
    """

    names: list[str]
    others: int


class Picture(NamedTuple):
    """An image, or a frame of a video.

    Attributes:
        image: RGB.
        name: The file that it is of.
        frame: Number of the frame, from 1; 0: it is an image.
        time: Of the frame, in seconds.
    """

    image: Image.Image
    name: str
    frame: int = 0
    time: float = 0.0


class BrokenMedium(Exception):
    """An image or video that cannot be read; the message is the reason."""


def listing(root: Path, folders: Sequence[str]) -> Listing:
    """The images and videos of these folders below `root` and of the folders in them, without what macOS leaves beside them.

    Raises:
        InputError: There is no image and no video in them.
    """
    found: dict[str, None] = {}
    for folder in folders:
        inside = (path for path in (root / folder).rglob("*") if path.is_file() and not path.name.startswith(COMPANION))
        found |= dict.fromkeys(path.relative_to(root).as_posix() for path in inside)
    names = sorted((name for name in found if is_video(name) or _suffix(name) in photos.SUFFIXES), key=photos.natural)
    if not names:
        kinds = ", ".join((*photos.SUFFIXES, *videos.SUFFIXES))
        raise InputError(f"{', '.join(str(root / folder) for folder in folders)}: no image and no video there (looked for {kinds})")
    return Listing(names, len(found) - len(names))


def is_video(name: str) -> bool:
    return _suffix(name) in videos.SUFFIXES


def of_image(root: Path, name: str, exif: Exif | None) -> Picture:
    """Read an image.

    Args:
        root: Folder of images and videos.
        name: The file, relative to `root`.
        exif: As `read_image` takes it.

    Raises:
        BrokenMedium: It cannot be read.
        InputError: As `read_image`.
    """
    try:
        return Picture(read_image(root / name, exif=exif), name)
    except BrokenImage as error:
        raise BrokenMedium(str(error)) from None


def of_video(root: Path, name: str, wanted: Wanted, cut_off: dict[str, str]) -> Iterator[Picture]:
    """Yield the frames of a video that are wanted.

    Args:
        root: Folder of images and videos.
        name: The file, relative to `root`.
        wanted: Whether a frame is wanted, by its number and time.
        cut_off: Gets an entry under `name` if only a part of the video can be read: how much.

    Raises:
        BrokenMedium: Nothing of it can be read.
    """
    path = root / name
    try:
        with videos.opened(str(path)) as video:
            for frame in video.chosen(wanted):
                yield Picture(frame.image, name, frame.number, round(frame.time, 6))
            if shortfall := video.shortfall:
                cut_off[name] = shortfall.removeprefix(f"{path}: ")
    except InputError as error:
        raise BrokenMedium(str(error).removeprefix(f"{path}").lstrip(": ")) from None


def every(seconds: float) -> Wanted:
    """The first frame, then one whenever `seconds` have passed."""
    due = 0

    def wanted(number: int, time: float) -> bool:
        nonlocal due
        if not seconds:
            return True
        step = int(time / seconds + 1e-6)  # times are rounded
        taken = number == 1 or step >= due
        due = step + 1 if taken else due
        return taken

    return wanted


def _suffix(name: str) -> str:
    return Path(name).suffix.lower()
