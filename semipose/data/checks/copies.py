"""Unlabelled pictures that show what labelled images show: the same, saved or scaled again, or a frame that differs by little."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from semipose.data.alike import Distinct, Thumbnail
from semipose.data.checks.pictures import NEAR, Picture, inspect, shows_something
from semipose.data.people import People
from semipose.data.pixels import Exif

SHOWN = 3  # pictures that a sentence names
PARTS = {
    "train": "training images: {}; a labelled person may be an unlabelled one too",
    "val": "validation images: {}; take them out of data.unlabelled.root, so that no training sees validation people",
}


class Images(NamedTuple):
    """The images of people, below `root`; `exif` as `read_image` takes it."""

    people: People
    root: Path
    exif: Exif | None


def copies(unlabelled: Images, labelled: Mapping[str, Images], threads: int) -> list[str]:
    """Say which unlabelled pictures show a labelled image.

    Args:
        unlabelled: People that `read_media` read.
        labelled: "train" and "val".
        threads: Number of threads that decode images.

    Returns:
        A sentence for each part of which there are some.
    """
    pictures = _thumbnails(unlabelled, threads)
    told = []
    for part, what in PARTS.items():
        known = Distinct(NEAR)
        names: list[str] = []
        for name, thumb in _thumbnails(labelled[part], threads).items():
            if known.add(thumb):
                names.append(name)
        found = {name: known.like(thumb) for name, thumb in pictures.items()}
        again = [f"{_own(name)} = {names[k]}" for name, k in found.items() if k is not None]
        if again:
            some = ", ".join(again[:SHOWN]) + (" ..." if again[SHOWN:] else "")
            told.append(f"{len(again):,} of {len(pictures):,} unlabelled pictures show {what.format(some)}")
    return told


def _thumbnails(images: Images, threads: int) -> dict[str, Thumbnail]:
    """Of the images that can be read and show something."""
    people = images.people
    sizes = {name: (width, height) for name, (width, height) in zip(people.images, people.sizes.tolist(), strict=True)}
    found = inspect(images.root, sizes, images.exif, threads)
    return {name: one.thumb for name, one in found if isinstance(one, Picture) and shows_something(one.thumb)}


def _own(name: str) -> str:
    """The user's name of a picture that a search for people found."""
    return name.removeprefix("media/").removeprefix("frames/")
