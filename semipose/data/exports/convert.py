"""Which tool exported a folder, and its conversion to the user's own set."""

from pathlib import Path

from semipose.data.exports import coco, cvat, deeplabcut, label_studio, ultralytics
from semipose.data.exports.content import Parts, write
from semipose.data.exports.join import joined
from semipose.data.exports.stock import files
from semipose.utils.errors import InputError

SLEAP = "run `import sleap_io; sleap_io.save_ultralytics(sleap_io.load_slp(FILE), FOLDER)` in Python and convert that folder"
CLOSED = {
    ".slp": f"a project of SLEAP, which cannot be read: {SLEAP}",
    ".h5": f"an HDF5 file, which cannot be read: for DeepLabCut, use the CollectedData_*.csv beside it; for SLEAP, {SLEAP}",
}
"""Files with labels that cannot be read, by their suffix, and what to use instead."""


def exporter(root: Path) -> str | None:
    """The tool whose export is in a folder, or is a file; None if it is not known.

    Raises:
        InputError: The export cannot be read; says which one to use instead.
    """
    found = {"Ultralytics": ultralytics.find, "DeepLabCut": deeplabcut.find, "CVAT": cvat.find, "Label Studio": label_studio.find}
    for name, find in found.items():
        if find(root):
            return name
    for suffix, about in CLOSED.items():
        if path := next(iter(files(root, f"**/*{suffix}")), None):
            raise InputError(f"{path}: is {about}")
    return None


def convert(export: Path, out: Path, images: Path | None = None, val: int | None = None, join: Path | None = None) -> str:
    """Convert an export to COCO's format: out/train.json, out/val.json and out/images/.

    Args:
        export: The folder of the export, or its file.
        out: A new or empty folder.
        images: Folder below which the images are; None: that of the export.
        val: Number of images held out for validation; None: a fifth.
        join: A set in COCO's format; the people of the export are added to its training part.

    Returns:
        What was joined; empty without `join`.

    Raises:
        InputError: Names the file and the entry; or the folder has no export.
    """
    for place in (export, images, join):
        if place is not None and not place.exists():
            raise InputError(f"{place}: no such file or folder; check the path")
    folder = images or (export if export.is_dir() else export.parent)
    parts, roots, told = _read(export, folder), [folder], ""
    if join:
        parts, told = joined(parts, coco.read(join), join)
        roots.append(join)
    write(parts, roots, out, val)
    return told


def _read(export: Path, images: Path) -> Parts:
    tool = exporter(export)
    if tool == "Ultralytics":
        return ultralytics.read(ultralytics.find(export) or export)
    if tool == "DeepLabCut":
        return deeplabcut.read(deeplabcut.find(export), images)
    if tool == "CVAT":
        return cvat.read(cvat.find(export) or export, images)
    if tool == "Label Studio":
        return label_studio.read(label_studio.find(export) or export, images)
    return coco.read(export, images)
