"""A part of a data set read as training reads it, without stopping at the first wrong entry."""

from pathlib import Path

from semipose.data.checks.finding import Finding
from semipose.data.checks.layout import Layout
from semipose.data.packing.writing import check_boxes
from semipose.data.people import People
from semipose.data.sources import read_people
from semipose.utils.errors import InputError

MOST = 30  # faults reported per file


def read(root: Path, layout: Layout, part: str, validation: int) -> tuple[People | None, list[Finding]]:
    """Read the people, and everything that would have stopped training.

    Messages are those of training, which stops at the first one.
    For a COCO-format file all faults are reported, for others the first.

    Args:
        root: Folder of the data set.
        layout: What was recognised there.
        part: "train" or "val".
        validation: As `read_people` takes it.

    Returns:
        The people (None if they cannot be read at all), and the findings.
    """
    faults: list[str] = []
    people = None
    try:
        people = read_people(layout.source, root, part, validation, layout.custom, layout.films, layout.exif, faults=faults)
        check_boxes(people)
    except InputError as error:
        faults.insert(MOST - 1, str(error))
    found = [Finding("stops", part, text) for text in faults[:MOST]]
    if len(faults) > MOST:
        found.append(Finding("stops", part, f"{len(faults) - MOST:,} more entries are refused"))
    return people, found
