"""People in folders of images and videos, for training without labels: their boxes, without those who teach nothing.

What is found waits in a folder:
- people.json: the boxes, which `semipose.data.sources.media` reads;
- media: a link to the user's files;
- frames: those of videos that show somebody, as PNGs.

A search that was killed goes on behind the last file that it had finished.
"""

import hashlib
import json
import math
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import PIL
from PIL import Image

from semipose.config.data import Media
from semipose.data import alike, blur, pixels
from semipose.data import names as file_names
from semipose.data.alike import Distinct, contrast, thumbnail
from semipose.data.packing.writing import check_broken
from semipose.data.pixels import Exif
from semipose.inference import boxes, finder, found, media, videos
from semipose.inference.boxes import Boxes
from semipose.inference.finder import Finder
from semipose.inference.found import Found, encoded
from semipose.inference.media import BrokenMedium, Picture, is_video
from semipose.utils.errors import InputError
from semipose.utils.files import replacing, write_text
from semipose.utils.progress import Progress

PEOPLE, KEY, JOURNAL = "people.json", "key", "found.jsonl"
MODULES = (alike, blur, file_names, pixels, boxes, finder, found, media, videos)
"""Their code decides who is found."""


@dataclass(frozen=True)
class Search:
    """Where to find people, and how.

    Attributes:
        root: Folder of images and videos.
        media: Section `data.unlabelled.media` of the parameters.
        boxes: A file of boxes, as `finder.by_boxes` reads it; None: `media.detector` finds people,
            or else a picture is one person.
        score: Lowest score of a box of that file.
        weights: Weight file of the detector; None: download it once.
        exif: As `read_image` takes it.
        side: Longer side (px) of the network's input, in which people are as blurred as training
            sees them.
        max_broken: Largest number of broken files.
        device: torch's name of the detector's device.
    """

    root: Path
    media: Media
    boxes: Path | None
    score: float
    weights: Path | None
    exif: Exif | None
    side: int
    max_broken: int
    device: str = "cpu"


def find_people(search: Search, folder: Path) -> dict[str, Any]:
    """Search all images and videos for people, and write who was found.

    Who was found there before is not searched for again.

    Args:
        search: Where and how.
        folder: Where people.json and the frames go. It is emptied if it is of another search.

    Returns:
        The content of people.json. people: file_name (below `folder`), width, height, bbox, score;
        and of (image or video), frame, time, blur. left_out: how many people, by reason. broken,
        cut_off: files, and why. others: number of files of other kinds.

    Raises:
        InputError: There is nothing to search, too many files are broken, the boxes are wrong, or
            nobody is left.
    """
    names, others = media.listing(search.root, search.media.folders)
    _begin(folder, _key(search, names), search.root)
    if not (folder / PEOPLE).exists():
        known = _searched(search, names, folder)
        if not known.people:
            raise finder.nobody_left(search.root, known.left_out)
        content = {"left_out": known.left_out, "broken": known.broken, "cut_off": known.cut_off, "others": others, "people": known.people}
        write_text(folder / PEOPLE, json.dumps(content, indent=1) + "\n")
    return dict(json.loads((folder / PEOPLE).read_text(encoding="utf-8")))


def _searched(search: Search, names: list[str], folder: Path) -> Found:
    moving = any(map(is_video, names))
    if moving:
        videos.library()  # if it is not installed, no video is broken
    people_finder = _finder(search, names)
    known, distinct = Found(folder / JOURNAL), Distinct(search.media.near)
    for thumb in known.thumbs():
        distinct.add(thumb)
    check_broken(search.root, known.broken, search.max_broken, len(names))  # it may have ended an earlier search
    with Progress(None if moving else len(names), "pictures", done=known.pictures) as progress:
        for name in names[known.files :]:
            record = found.record()
            try:
                for picture in _pictures(search, name, people_finder, record):
                    _record_people(search, picture, people_finder.find(picture), distinct, folder, record)
                    progress.advance()
                _check_shown(search, name, people_finder, record)
            except BrokenMedium as error:
                record["broken"][name] = str(error)
            known.add(record)
            check_broken(search.root, known.broken, search.max_broken, len(names))
    return known


def _finder(search: Search, names: list[str]) -> Finder:
    how = search.media
    if search.boxes:
        return finder.by_boxes(search.boxes, search.root, names)
    if how.detector:
        return finder.by_detector(how.detector, search.weights, how.score, search.device, how.every)
    return finder.whole(how.every)


def _pictures(search: Search, name: str, people_finder: Finder, record: dict[str, Any]) -> Iterator[Picture]:
    if search.boxes and not people_finder.rows[name]:
        return
    if is_video(name):
        yield from media.of_video(search.root, name, people_finder.wanted(name), record["cut_off"])
    else:
        yield media.of_image(search.root, name, search.exif)


def _record_people(search: Search, picture: Picture, people: Boxes, distinct: Distinct, folder: Path, record: dict[str, Any]) -> None:
    """Note the people of a picture who are sharp, and unlike all before them; the others are counted. Of a video the frame is kept."""
    image, grey = picture.image, picture.image.convert("L")
    about = {"file_name": f"media/{picture.name}", "width": image.width, "height": image.height, "of": picture.name}
    if picture.frame:
        about |= {"file_name": f"frames/{picture.name}/{picture.frame:06d}.png", "frame": picture.frame, "time": picture.time}
    before = len(record["people"])
    for (x, y, width, height), score in zip(people.xywh.tolist(), people.scores.tolist(), strict=True):
        right, lower = min(grey.width, math.ceil(x + width)), min(grey.height, math.ceil(y + height))
        person = _shrunk(grey.crop((max(0, math.floor(x)), max(0, math.floor(y)), right, lower)), search.side)
        thumb, blurred = thumbnail(person), blur.blur(person)
        if score < search.score:
            record["left_out"]["low score"] += 1
        elif blurred > search.media.blur:
            record["left_out"]["blurred"] += 1
        elif contrast(thumb) < search.media.near:
            record["left_out"]["flat"] += 1
        elif not distinct.add(thumb):
            record["left_out"]["near-duplicate"] += 1
        else:
            box = [round(value, 2) for value in (x, y, width, height)]
            record["people"].append(about | {"bbox": box, "score": round(score, 4), "blur": round(blurred, 3)})
            record["thumbs"].append(encoded(thumb))
    record["pictures"] += 1
    if picture.frame and len(record["people"]) > before:
        with replacing(folder / str(about["file_name"])) as temporary:
            image.save(temporary, "PNG", compress_level=1)


def _shrunk(grey: Image.Image, side: int) -> Image.Image:
    """Reduced to a longer side of `side` px, if it is longer."""
    scale = side / max(grey.size)
    width, height = (max(1, round(length * scale)) for length in grey.size)
    return grey.resize((width, height), Image.Resampling.BILINEAR) if scale < 1 else grey


def _check_shown(search: Search, name: str, people_finder: Finder, record: dict[str, Any]) -> None:
    """Boxes of frames behind the end of a video: it is cut off, or they are of another one."""
    rows = people_finder.rows.get(name, {})
    behind = sorted(rows)[record["pictures"] :]
    if behind and name not in record["cut_off"]:
        raise InputError(f"{search.boxes}: has a box in frame {behind[0]} of {name}, which ends before; bring the boxes of this video")
    if behind:
        record["left_out"]["behind the end"] += sum(len(rows[frame]) for frame in behind)


def _key(search: Search, names: list[str]) -> str:
    """A digest of all that decides about who is found, the code included."""
    files = [(name, about.st_size, about.st_mtime_ns) for name in names for about in [(search.root / name).stat()]]
    code = [Path(str(module.__file__)).read_text(encoding="utf-8") for module in MODULES]
    code.append(Path(__file__).read_text(encoding="utf-8"))
    given = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (search.boxes, search.weights) if path]
    how = {key: str(value) for key, value in asdict(search).items() if key not in ("media", "max_broken", "device")}
    decides = [files, search.media.model_dump(), how, PIL.__version__, code, given]
    return hashlib.sha256(json.dumps(decides).encode(errors="surrogateescape")).hexdigest()


def _begin(folder: Path, key: str, root: Path) -> None:
    """An empty folder, unless what is there was found with this key."""
    known = folder / KEY
    if known.is_file() and known.read_text(encoding="utf-8") == key:
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "media").symlink_to(root.resolve(), target_is_directory=True)
    write_text(known, key)
