"""What a network looks at, one picture at a time: images of files, frames of a video or webcam."""

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
    """A picture with its people; `boxes` None: it is one person. `stem` begins the names of its heatmaps, `more` goes into its results,
    `keep` writes its overlay."""

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
    """Every photo that can be read; `broken` learns of each other one why not. exif: as `Photo.read` takes it. names: of their overlays in
    the folder `out`.

    Raises:
        InputError: A box does not lie on its image; `Photo.read` does; a photo cannot be read, and `broken` is None.
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
    """The frames of a video or webcam, at most `limit`, and the video itself. They are numbered from 1; image_id and `frame` say which,
    `time` when (seconds from the first).

    Raises:
        InputError: It cannot be opened or decoded, or its overlay would replace it.
    """
    name = f"webcam{source}" if source.isdigit() else Path(source).name
    stem = Path(name).stem
    target = out / f"{stem}.mp4"
    if target.resolve() == Path(source).resolve():
        raise InputError(f"--out {out} holds {name}, which the overlay would replace; name another folder")
    with opened(source) as video, written(target, video.rate) as add:

        def shots() -> Iterator[Shot]:
            for frame in islice(video.frames, limit):
                more = {"file_name": name, "frame": frame.number, "time": round(frame.time, 6)}
                boxes = find(frame.image) if find else None
                yield Shot(frame.image, boxes, frame.number, f"{stem}_{frame.number:06d}", more, partial(add, time=frame.time))

        yield shots(), video


def save(path: Path, picture: Image.Image) -> None:
    """Write a picture, as its suffix says."""
    with replacing(path) as temporary:
        picture.save(temporary, "PNG" if path.suffix == ".png" else "JPEG", quality=92)
