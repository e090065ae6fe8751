"""The network's inputs, one image at a time: image files, frames of a video or webcam."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from semipose.data.pixels import BrokenImage, Exif
from semipose.inference.boxes import Asked, Boxes, check_boxes
from semipose.inference.videos import Video, opened, written
from semipose.utils.errors import InputError
from semipose.utils.files import replacing

Detect = Callable[[Image.Image], Boxes]


class Shot(NamedTuple):
    """An image with its people.

    Attributes:
        boxes: None: one person fills it.
        stem: Beginning of the names of its heatmaps.
        more: Additional fields of its results.
        keep: Writes its overlay.
    """

    image: Image.Image
    boxes: Boxes | None
    image_id: int
    stem: str
    more: dict[str, Any]
    keep: Callable[[Image.Image], None]

    @property
    def xywh(self) -> NDArray[np.float32] | None:
        return None if self.boxes is None else self.boxes.xywh


def of_photos(
    asked: Asked, exif: Exif | None, names: Sequence[str], find: Detect | None, out: Path, broken: dict[Path, str] | None
) -> Iterator[Shot]:
    """Yield every photo that can be read.

    Args:
        asked: The photos and their people.
        exif: As for `Photo.read`.
        names: Names of the overlays in the folder `out`.
        find: A detector that finds the people; None: those of `asked`.
        out: Folder of the overlays.
        broken: Collects the photos that cannot be read, with the reason; None: the first one
            raises.

    Raises:
        InputError: A box is not on its image; `Photo.read` raises; a photo cannot be read, and
            `broken` is None.
    """
    for photo, name in zip(asked.photos, names, strict=True):
        try:
            image = photo.read(exif)
        except BrokenImage as error:
            if broken is None:
                raise InputError(f"{photo.path} cannot be read as an image: {error}") from None
            broken[photo.path] = str(error)
            continue
        boxes = find(image) if find else asked.boxes[photo.path] if asked.boxes is not None else None
        if boxes is not None:
            check_boxes(boxes.xywh, image.size, f"{photo.path}: ")
        yield Shot(image, boxes, photo.image_id, Path(name).stem, {"file_name": photo.path.name}, partial(save, out / name))


@contextmanager
def of_video(source: str, find: Detect | None, out: Path, limit: int | None) -> Iterator[tuple[Iterator[Shot], Video]]:
    """Open a video or webcam, and a video for its overlay.

    Frames are numbered from 1; image_id and `frame` are that number, `time` is in seconds from the
    first.

    Args:
        source: A file, or the number of a webcam.
        find: A detector that finds the people; None: one person fills each frame.
        out: Folder of the overlay.
        limit: Largest number of frames; None: all.

    Yields:
        The frames, and the video itself.

    Raises:
        InputError: It cannot be opened or decoded, or its overlay would replace it.
    """
    name = f"webcam{source}" if source.isdigit() else Path(source).name
    stem = Path(name).stem
    target = out / f"{stem}.mp4"
    if not source.isdigit() and Path(source).resolve().parent == out.resolve():
        raise InputError(f"--out {out} contains {name}, the video itself; name another folder for its overlay")
    with opened(source) as video, written(target, video.rate) as add:

        def shots() -> Iterator[Shot]:
            for frame in islice(video.frames, limit):
                more = {"file_name": name, "frame": frame.number, "time": round(frame.time, 6)}
                boxes = find(frame.image) if find else None
                yield Shot(frame.image, boxes, frame.number, f"{stem}_{frame.number:06d}", more, partial(add, time=frame.time))

        yield shots(), video


def save(path: Path, picture: Image.Image) -> None:
    """Write an image in the format of its suffix."""
    with replacing(path) as temporary:
        picture.save(temporary, "PNG" if path.suffix == ".png" else "JPEG", quality=92)
