"""A part of a data set read as training reads it, past every entry that would stop it."""

import json
import re
import tempfile
from pathlib import Path
from typing import Any

from semipose.data.checks.finding import Finding
from semipose.data.checks.layout import Layout
from semipose.data.people import People
from semipose.data.sources import read_people
from semipose.utils.errors import InputError
from semipose.utils.files import read_json

MOST = 30  # faults told apart before the reading is given up


def read(root: Path, layout: Layout, part: str, validation: int) -> tuple[People | None, list[Finding]]:
    """The people, and what would have stopped `dvc repro` before it had them; None where they cannot be read at all.

    A COCO-format file is read again without the entry that a message names, until nothing stops the reading: the messages are the ones
    that `dvc repro` would give one at a time. Other formats are read once.
    """
    name = layout.annotations(part)
    try:
        content = read_json(root / name) if name else None
    except InputError as error:
        return None, [Finding("stops", part, str(error))]
    faults: list[Finding] = []
    with tempfile.TemporaryDirectory() as scratch:
        while True:
            try:
                people = read_people(layout.source, root if not faults else Path(scratch), part, validation, layout.custom)
                return people, faults
            except InputError as error:
                message = str(error).replace(scratch, str(root))
                faults.append(Finding("stops", part, message))
            if name is None or content is None or not _without(content, message):
                return None, faults
            if len(faults) == MOST:
                return None, [*faults, Finding("stops", part, f"and more: the reading was given up after {MOST} of these")]
            copy = Path(scratch) / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(json.dumps(content), encoding="utf-8")


def _without(content: Any, message: str) -> bool:
    """Take the entry that a reader's message names out of a COCO-format file's content; False where it names none."""
    if by_place := re.search(r": (images|annotations)\[(\d+)\]", message):
        del content[by_place[1]][int(by_place[2])]
        return True
    return False
