"""Which tool exported a folder, and its conversion to the user's own set."""

from pathlib import Path

from semipose.data.exports import coco, cvat, deeplabcut, label_studio, ultralytics
from semipose.data.exports.content import Parts, write
from semipose.utils.errors import InputError

SLEAP = "run `import sleap_io; sleap_io.save_ultralytics(sleap_io.load_slp(FILE), FOLDER)` in Python and convert that folder"
CLOSED = {
    ".slp": f"a project of SLEAP, which cannot be read: {SLEAP}",
    ".h5": f"an HDF5 file, which cannot be read: for DeepLabCut, use the CollectedData_*.csv beside it; for SLEAP, {SLEAP}",
}
"""Files with labels that cannot be read, by their suffix, and what to use instead."""


def exporter(root: Path) -> str | None:
    """The tool whose export is in a folder; None if it is not known.

    Raises:
        InputError: The export cannot be read; says which one to use instead.
    """
    found = {"Ultralytics": ultralytics.find, "DeepLabCut": deeplabcut.find, "CVAT": cvat.find, "Label Studio": label_studio.find}
    for name, find in found.items():
        if find(root):
            return name
    for suffix, about in CLOSED.items():
        if path := next(iter(sorted(root.rglob(f"*{suffix}"))), None):
            raise InputError(f"{path}: is {about}")
    return None


def convert(root: Path, out: Path) -> None:
    """Convert an export to COCO's format: out/train.json, out/val.json and out/images/.

    Raises:
        InputError: Names the file and the entry; or the folder has no export.
    """
    tool = exporter(root)
    if tool == "Ultralytics":
        parts: Parts = ultralytics.read(ultralytics.find(root) or root)
    elif tool == "DeepLabCut":
        parts = deeplabcut.read(deeplabcut.find(root), root)
    elif tool == "CVAT":
        parts = cvat.read(cvat.find(root) or root)
    elif tool == "Label Studio":
        parts = label_studio.read(label_studio.find(root) or root)
    else:
        parts = coco.read(root)
    write(parts, root, out)
