"""Frames of videos as image files, for tools that know images alone."""

import os
import shutil
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from semipose.inference import media, videos
from semipose.inference.media import BrokenMedium, is_video
from semipose.utils.errors import InputError, InputWarning
from semipose.utils.files import replacing
from semipose.utils.progress import Progress

WAITING = ".frames.tmp"
QUALITY = 95  # of JPEG: labels are drawn on them, and networks learn from them


@contextmanager
def with_frames(paths: Sequence[Path], seconds: float, out: Path) -> Iterator[list[Path]]:
    """Save frames of videos, and name them instead of the videos.

    Args:
        paths: Images and videos.
        seconds: Time between two frames of a video; 0: every frame.
        out: An existing folder. The frames wait in a folder in it, which is removed at the end.

    Yields:
        The images, and instead of each video its frames. What cannot be read is left out, and an InputWarning says so.

    Raises:
        InputError: There is a video, and PyAV is not installed; or no image is left.
    """
    clips = [path for path in paths if is_video(path.name)]
    if not clips:
        yield list(paths)
        return
    videos.library()  # if it is not installed, no video is broken
    waiting, names = out / WAITING, _names(clips)
    shutil.rmtree(waiting, ignore_errors=True)  # a killed run left it
    try:
        with Progress(None, "frames") as progress:
            found = {clip: _saved(clip, seconds, waiting / names[clip], progress) for clip in clips}
        images = [image for path in paths for image in found.get(path, [path])]
        if not images:
            raise InputError(f"{clips[0]}: no frame of the videos can be read; bring others")
        yield images
    finally:
        shutil.rmtree(waiting, ignore_errors=True)


def keep(wanted: Iterable[Path], out: Path, folder: Path) -> Mapping[Path, Path]:
    """Copy frames of `with_frames` to where they stay.

    Args:
        wanted: Images; those that are no frames stay where they are.
        out: As `with_frames` took it.
        folder: Where the frames go, each into a folder named like its video.

    Returns:
        Where each frame is now.
    """
    kept: dict[Path, Path] = {}
    for path in wanted:
        if path.is_relative_to(out / WAITING) and path not in kept:
            kept[path] = folder / path.relative_to(out / WAITING)
            with replacing(kept[path]) as temporary:
                shutil.copyfile(path, temporary)
    return kept


def _names(clips: Sequence[Path]) -> dict[Path, Path]:
    """A folder for each video: its name, below as many of its folders as the videos need to differ."""
    whole = {clip: Path(os.path.abspath(clip)) for clip in clips}  # noqa: PTH100
    common = os.path.commonpath([path.parent for path in whole.values()])
    return {clip: path.relative_to(common) for clip, path in whole.items()}


def _saved(clip: Path, seconds: float, folder: Path, progress: Progress) -> list[Path]:
    saved: list[Path] = []
    cut_off: dict[str, str] = {}
    try:
        for picture in media.of_video(clip.parent, clip.name, media.every(seconds), cut_off):
            path = folder / f"{picture.frame:06d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.image.save(path, "JPEG", quality=QUALITY, subsampling=0)
            saved.append(path)
            progress.advance()
    except BrokenMedium as error:
        warnings.warn(f"{clip} cannot be read and was left out: {error}", InputWarning, stacklevel=2)
    for reason in cut_off.values():
        warnings.warn(f"{clip}: {reason}", InputWarning, stacklevel=2)
    return saved
