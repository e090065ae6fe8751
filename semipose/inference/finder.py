"""Who is in a picture: whom a file of boxes names, whom a detector finds, or the picture is one person."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from semipose.data.given_boxes import check_corners
from semipose.data.names import base_name, composed
from semipose.data.pixels import BrokenImage, Exif, image_size
from semipose.inference import videos
from semipose.inference.boxes import Boxes, check_boxes, read_given
from semipose.inference.media import BrokenMedium, Picture, Wanted, every, is_video, listing, of_image, of_video
from semipose.utils.errors import InputError

Rows = Mapping[str, Mapping[int, Sequence[Sequence[float]]]]
"""Of each file and frame (0: of an image) the boxes x, y, width, height, score."""


@dataclass(frozen=True)
class Finder:
    """Says who is in a picture.

    Attributes:
        find: Finds the people of a picture.
        wanted: For the name of a file: which of its frames are searched (frame 0 is an image).
        rows: The people who must be there.
    """

    find: Callable[[Picture], Boxes]
    wanted: Callable[[str], Wanted]
    rows: Rows = field(default_factory=dict)


def whole(seconds: float) -> Finder:
    """A picture is one person; `seconds` lie between two frames of a video."""
    return Finder(lambda picture: Boxes.of([[0, 0, *picture.image.size, 1]]), lambda name: every(seconds))


def by_detector(name: Literal["small", "large"], weights: Path | None, score: float, device: str, seconds: float) -> Finder:
    """Find people with a detector of torchvision.

    Args:
        name: As `Detector` takes it.
        weights: As `Detector` takes it.
        score: As `Detector` takes it.
        device: torch's name of the device.
        seconds: Time between two frames of a video that are searched.

    Raises:
        InputError: As `Detector`.
    """
    import torch  # takes seconds

    from semipose.inference.detector import Detector

    detector = Detector(name, weights, score, torch.device(device), "data.unlabelled.media.weights")
    return Finder(lambda picture: detector(picture.image), lambda name: every(seconds))


def by_boxes(path: Path, root: Path, names: Sequence[str]) -> Finder:
    """Find people in a file of boxes.

    Args:
        path: A JSON list of {file_name, frame (of a video, from 1), bbox [x, y, width, height] px,
            score (default 1)}.
        root: Folder of the images and videos.
        names: The images and videos; a box may name one by its last part if no other has it.

    Raises:
        InputError: Names the file, the entry and the field; later also for a box that does not lie
            on its picture.
    """
    known = {composed(name): name for name in names}
    same: dict[str, list[str]] = defaultdict(list)
    for name in names:
        same[base_name(name)].append(name)
    rows: dict[str, dict[int, list[list[float]]]] = {name: defaultdict(list) for name in names}
    for index, entry in enumerate(read_given(path)):
        place = f"{path}: [{index}]"
        if "file_name" not in entry:
            raise InputError(f"{place}: has no file_name; images and videos of your own have no other id")
        name = composed(entry["file_name"].replace("\\", "/"))
        found = [known[name]] if name in known else same.get(name, [])
        if len(found) != 1:
            what = f"may be {found[0]} or {found[1]}" if found else f"is none of the {len(names)} images and videos, such as {names[0]}"
            raise InputError(f"{place}: file_name {name!r} {what}; give its path below data.unlabelled.root")
        frame = entry.get("frame", 0)
        if is_video(found[0]) != bool(frame):
            raise InputError(f"{place}: {name} is {'a video: give `frame`, from 1' if not frame else 'an image, which has no `frame`'}")
        rows[found[0]][frame].append([*entry["bbox"], entry.get("score", 1.0)])

    written = [(row[:4], name) for name, frames in rows.items() for some in frames.values() for row in some]
    sizes = {name: _size(root, name) for _, name in written}
    if written:
        check_corners(np.array([box for box, _ in written]), np.array([sizes[name] for _, name in written]), str(path))

    def find(picture: Picture) -> Boxes:
        boxes = Boxes.of(rows[picture.name][picture.frame])
        check_boxes(boxes.xywh, picture.image.size, f"{path}: {picture.name}{f', frame {picture.frame}' if picture.frame else ''}: ")
        return boxes

    return Finder(find, lambda name: lambda frame, time: frame in rows[name], rows)


def nobody_left(root: Path, left_out: Mapping[str, int]) -> InputError:
    """The error of a search that found nobody.

    Args:
        root: Folder of images and videos.
        left_out: How many people, by reason.
    """
    left = ", ".join(f"{count} {reason}" for reason, count in left_out.items()) or "nobody was found"
    return InputError(f"{root}: nobody is left ({left}); change data.unlabelled.media, or bring other images and videos")


def check_given(path: Path, root: Path, folders: Sequence[str], score: float, exif: Exif | None) -> int:
    """Check a file of boxes as a search for people would, without looking at all frames.

    Boxes in videos are compared with the first frame. Images and videos that cannot be read are passed over.

    Args:
        path: As `by_boxes` takes it.
        root: Folder of images and videos.
        folders: Those below it.
        score: Lowest score of a box that is kept.
        exif: As `read_image` takes it.

    Returns:
        Number of boxes with a lower score.

    Raises:
        InputError: As the search.
    """
    names = listing(root, folders).names
    if any(map(is_video, names)):
        videos.library()  # if it is not installed, no video is broken
    given = by_boxes(path, root, names)
    for name, frames in given.rows.items():
        with suppress(BrokenMedium):
            if frames:
                first = _first(root, name, exif)
                for frame in sorted(frames):
                    given.find(first._replace(frame=frame))
    scores = [row[4] for frames in given.rows.values() for rows in frames.values() for row in rows]
    low = sum(one < score for one in scores)
    if low == len(scores):
        raise nobody_left(root, {"low score": low} if low else {})
    return low


def _size(root: Path, name: str) -> tuple[int, int]:
    """Width and height (px) as viewers show it; 0 if it cannot be read."""
    try:
        return _first(root, name, "apply").image.size if is_video(name) else image_size(root / name, "apply")
    except (BrokenImage, BrokenMedium):
        return 0, 0


def _first(root: Path, name: str, exif: Exif | None) -> Picture:
    """An image, or the first frame of a video."""
    return next(of_video(root, name, every(0), {})) if is_video(name) else of_image(root, name, exif)
