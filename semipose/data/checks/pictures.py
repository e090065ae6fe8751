"""The image files of a data set: whether each can be decoded, and which show the same."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from PIL import Image

from semipose.data.alike import Thumbnail, difference, thumbnail
from semipose.data.pixels import BrokenImage, Exif, read_image
from semipose.utils.errors import InputError
from semipose.utils.files import is_file

BANDS = 8  # of 8 bits each: two hashes of 64 bits that differ in fewer bits than there are bands agree in one band
NEAR = 4.0  # mean difference of the thumbnails' grey levels, 0-255, below which two images show the same


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded image.

    Attributes:
        size: Width, height in px.
        thumb: Of `semipose.data.alike`.
        digest: Digest of the file.
    """

    size: tuple[int, int]
    thumb: Thumbnail
    digest: bytes


def inspect(
    root: Path, sizes: Mapping[str, tuple[int, int]], exif: Exif | None, threads: int
) -> Iterator[tuple[str, Picture | BrokenImage | InputError | None]]:
    """Decode every image as `prepare` does.

    Args:
        root: Folder that the names are relative to.
        sizes: For each image by name, its annotated width and height (px); 0 if unknown.
        exif: As `read_image` takes it.
        threads: Number of threads.

    Yields:
        Its name, and its Picture, or why it cannot be read; None if it is missing.
    """

    def one(name: str) -> tuple[str, Picture | BrokenImage | InputError | None]:
        path = root / name
        if not is_file(path):
            return name, None
        try:
            image = read_image(path, sizes[name], exif)
        except (BrokenImage, InputError) as error:
            return name, error
        return name, Picture(image.size, thumbnail(image), hashlib.sha256(path.read_bytes()).digest())

    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(one, sizes)


def same(pictures: Mapping[str, Picture]) -> list[tuple[str, str]]:
    """Pairs of images that show the same: the same file, or one that was saved or scaled again.

    Images of one colour are compared only by their files.
    """
    names, every = list(pictures), list(pictures.values())
    found: dict[tuple[int, int], None] = {}
    files: dict[bytes, list[int]] = defaultdict(list)
    for k, one in enumerate(every):
        files[one.digest].append(k)
    for alike in files.values():
        found |= dict.fromkeys(combinations(alike, 2))
    shown = [k for k, one in enumerate(every) if shows_something(one.thumb)]
    hashes = np.array([_hash(every[k].thumb) for k in shown], np.uint64)
    bands = hashes.view(np.uint8).reshape(-1, BANDS)
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    for place, row in enumerate(bands.tolist()):
        for band, bits in enumerate(row):
            groups[band, bits].append(place)
    for group in groups.values():
        members = np.array(group)
        for first, place in enumerate(group[:-1]):
            others = members[first + 1 :]
            near = others[np.bitwise_count(hashes[others] ^ hashes[place]) < BANDS]
            pairs = ((shown[place], shown[other]) for other in near)
            found |= dict.fromkeys(pair for pair in pairs if difference(*(every[k].thumb for k in pair)) < NEAR)
    return [(names[one], names[other]) for one, other in sorted(found)]


def shows_something(thumb: Thumbnail) -> bool:
    """Whether an image has more than about one colour: images of one colour are all alike."""
    return bool(thumb.std() > 2 * NEAR)


def _hash(thumb: Thumbnail) -> int:
    """64 bits: whether each of 8 x 8 patches is brighter than
    the one to its right (difference hash).
    """
    patches = np.asarray(Image.fromarray(thumb).resize((9, 8), Image.Resampling.BOX)).astype(np.int16)
    return int.from_bytes(np.packbits(patches[:, 1:] > patches[:, :-1]).tobytes())
