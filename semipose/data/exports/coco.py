"""COCO-format files of annotation tools, whose file names
are addresses, or paths of another machine.
"""

from pathlib import Path
from typing import Any

from semipose.data.exports.content import Parts
from semipose.data.exports.stock import Stock, files
from semipose.utils.errors import InputError
from semipose.utils.files import read_json


def part_of(path: Path) -> str:
    """Whether a file is "train", "val" or "test" by its name, else by its folder's; `path` is
    relative to the set.
    """
    for name in (path.stem.lower(), path.parent.name.lower()):
        for part in ("train", "val", "test"):
            if part in name:
                return part
    return "train"


def read(root: Path, images: Path | None = None) -> Parts:
    """Read the files whose categories name joints, with the path of each image.

    Args:
        root: The folder of the files, or one file.
        images: Folder below which the images are; None: `root`, or that of the file.

    Raises:
        InputError: Names file and entry.
    """
    folder = root if root.is_dir() else root.parent
    stock, found = Stock(images or folder), {}
    for path in files(root, "**/*.json"):
        try:
            content: Any = read_json(path)
        except InputError:
            continue
        if isinstance(content, dict) and any(isinstance(one, dict) and one.get("keypoints") for one in content.get("categories") or []):
            part = part_of(path.relative_to(folder))
            if part in found:
                raise InputError(f"{path}: is the second file of the part {part}; keep only one in the folder")
            for number, image in enumerate(content.get("images") or []):
                where = f"{path}: images[{number}]"
                if not isinstance(image, dict) or not isinstance(image.get("file_name"), str):
                    raise InputError(f"{where}: file_name: is missing; export the set again")
                image["path"] = stock.find(image.pop("file_name"), where)
            found[part] = content
    if not found:
        raise InputError(
            f"{root}: not an export of CVAT, Label Studio, Ultralytics or DeepLabCut, and no JSON in COCO's format with "
            "joints; name the folder or the file of the export"
        )
    val = found.get("val") or found.get("test")
    if "train" not in found:
        return {"train": found.popitem()[1]}
    return {"train": found["train"]} | ({"val": val} if val else {})
