"""CVAT for images 1.1: an XML with images, in which people are skeletons."""

from pathlib import Path
from xml.etree import ElementTree

from semipose.data.exports.content import Parts, Person, Photo, content_of
from semipose.data.exports.stock import Stock, files
from semipose.utils.errors import InputError

PARTS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "val"}


def find(root: Path) -> Path | None:
    """The XML of the export."""
    return next((path for path in files(root, "*.xml") if b"<annotations>" in path.read_bytes()[:1000]), None)


def read(path: Path, images: Path | None = None) -> Parts:
    """Read the export.

    Args:
        path: The XML.
        images: Folder below which the images are; None: that of the XML.

    Raises:
        InputError: Names the image.
    """
    try:
        tree = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise InputError(f"{path}: is not XML ({error}); export the task again, as `CVAT for images 1.1`") from None
    stock = Stock(images or path.parent)
    joints = list(dict.fromkeys(one.get("label", "") for one in tree.iterfind("image/skeleton/points")))
    if not joints:
        raise InputError(f"{path}: no image has a skeleton; label people as skeletons in CVAT, and export as `CVAT for images 1.1`")
    kinds = list(dict.fromkeys(one.get("label", "") for one in tree.iterfind("image/skeleton")))
    if len(kinds) > 1:
        raise InputError(
            f"{path}: the skeletons are of several labels ({', '.join(kinds)}); export one of them, because a set has one kind of people"
        )
    photos = []
    for image in tree.iterfind("image"):
        where = f"{path}: image {image.get('name')!r}"
        people = []
        for skeleton in image.iterfind("skeleton"):
            points = dict.fromkeys(joints, (0.0, 0.0, 0))
            for one in skeleton.iterfind("points"):
                try:
                    x, y = (float(number) for number in one.get("points", "").split(","))
                except ValueError:
                    raise InputError(
                        f"{where}: {one.get('label')} is at {one.get('points')!r}, must be x,y; export the task again"
                    ) from None
                if one.get("outside") != "1":
                    points[one.get("label", "")] = (x, y, 1 if one.get("occluded") == "1" else 2)
            if any(visible for *_, visible in points.values()):
                people.append(Person(list(points.values())))
        photos.append(Photo(stock.find(image.get("name", ""), where), people, PARTS.get(image.get("subset", "").lower(), "")))
    if len({photo.part for photo in photos}) > 1:  # images without a subset are training images
        photos = [Photo(photo.path, photo.people, photo.part or "train") for photo in photos]
    return content_of(joints, photos)
