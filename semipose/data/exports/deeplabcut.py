"""DeepLabCut: labeled-data/<video>/CollectedData_<scorer>.csv, with header rows scorer, (individuals,) bodyparts, coords."""

import csv
import math
from pathlib import Path

from semipose.data.exports.content import Parts, Person, Photo, content_of
from semipose.data.exports.stock import Stock, files
from semipose.utils.errors import InputError

HEADS = ("scorer", "individuals", "bodyparts", "coords")


def find(root: Path) -> list[Path]:
    """The CSV files of a project, or of one folder of it."""
    return files(root, "**/CollectedData_*.csv")


def read(paths: list[Path], root: Path) -> Parts:
    """Read the CSV files.

    Args:
        paths: What `find` returned.
        root: Folder below which the images are.

    Raises:
        InputError: Names file, line and remedy.
    """
    stock = Stock(root)
    joints: list[str] = []
    photos: list[Photo] = []
    for path in paths:
        rows = list(csv.reader(path.read_text(encoding="utf-8-sig", errors="replace").splitlines()))
        heads = {row[0]: row for row in rows[:4] if row and row[0] in HEADS}
        if "bodyparts" not in heads or "x" not in heads.get("coords", ()):
            raise InputError(f"{path}: has no header rows bodyparts and coords; save the labels again in DeepLabCut")
        body, coords = heads["bodyparts"], heads["coords"]
        first = next(k for k, word in enumerate(coords) if word == "x")  # columns before that name the image
        whose = heads.get("individuals", [""] * len(body))
        joints = list(dict.fromkeys([*joints, *body[first:]]))
        columns = {(whose[k], body[k], coords[k]): k for k in range(first, len(coords))}
        animals = list(dict.fromkeys(whose[first:]))
        for line, row in enumerate(rows[len(heads) :], start=len(heads) + 1):
            try:
                people = [[_point(row, columns, animal, joint) for joint in joints] for animal in animals]
            except (ValueError, IndexError):
                raise InputError(f"{path}: line {line}: a coordinate is not a number; repair it") from None
            image = stock.find("/".join(word for word in row[:first] if word), f"{path}: line {line}")
            photos.append(Photo(image, [Person(points) for points in people if any(visible for *_, visible in points)]))
    whole = [Photo(one.path, [Person([*p.points, *[(0.0, 0.0, 0)] * (len(joints) - len(p.points))]) for p in one.people]) for one in photos]
    return content_of(joints, whole)


def _point(row: list[str], columns: dict[tuple[str, str, str], int], animal: str, joint: str) -> tuple[float, float, int]:
    places = [columns.get((animal, joint, axis)) for axis in "xy"]
    x, y = (float(row[place]) if place is not None and row[place].strip() else math.nan for place in places)
    return (0.0, 0.0, 0) if math.isnan(x) or math.isnan(y) else (x, y, 2)
