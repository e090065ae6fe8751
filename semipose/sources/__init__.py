"""Where people come from: data sets as users have them, and people that the project draws itself."""

from pathlib import Path

from semipose.errors import InputError
from semipose.people import People
from semipose.sources.coco import read_coco
from semipose.sources.lsp import read_lsp

SOURCES = ("demo", "coco", "lsp")


def read_people(source: str, root: Path, part: str, validation: int = 0) -> People:
    """The people of one part ("train" or "val") of the data set `source` that lies under `root`.

    validation: for "lsp", whose authors give no split: the last so many people of its file are "val"; else not used.
    Raises InputError where source or part is unknown, or where the files are missing or wrong.
    """
    if source not in SOURCES:
        raise InputError(f"data.source: {source!r} is unknown; choose one of {', '.join(SOURCES)}")
    if part not in ("train", "val"):
        raise InputError(f"part: {part!r} is unknown; choose train or val")
    if source == "lsp":
        return read_lsp(root, part, validation)
    return read_coco(root, part)  # the demo's people are drawn into COCO's layout
