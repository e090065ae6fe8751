"""Which tool exported a folder, and the set of the user's own that is made of it."""

from pathlib import Path

from semipose.data.exports import coco, cvat, deeplabcut, label_studio, ultralytics
from semipose.data.exports.content import Parts, write
from semipose.utils.errors import InputError

SLEAP = "`import sleap_io; sleap_io.save_ultralytics(sleap_io.load_slp(FILE), FOLDER)` in Python makes a folder that is read"
CLOSED = {
    ".slp": f"a project of SLEAP, which is not read: {SLEAP}",
    ".h5": f"HDF5, which is not read: of DeepLabCut give the CollectedData_*.csv that it saves beside; of a project of SLEAP {SLEAP}",
}
"""Files of people that are not read, by their suffix, and what to use instead."""


def exporter(root: Path) -> str | None:
    """The tool whose export lies in a folder.

    Raises:
        InputError: It is one that is not read; says which export to use instead.
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
    """Make a set of the user's own, in COCO's format, of an export: out/train.json, out/val.json and out/images/.

    Raises:
        InputError: Names the file and the entry; or the folder holds no export.
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
