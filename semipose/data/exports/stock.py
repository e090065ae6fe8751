"""The image files of an export, found by their names in the annotations."""

import re
from collections import defaultdict
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

from semipose.data.names import composed
from semipose.utils.errors import InputError
from semipose.utils.files import COMPANION

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}
PREFIX = re.compile(r"^[0-9a-f]{8}-")  # Label Studio puts it before the names of uploaded files


def files(place: Path, pattern: str) -> list[Path]:
    """The files that fit a pattern: `place` itself if it is a file, else those of the folder, sorted."""
    if place.is_file():
        return [place] if fnmatch(place.name, Path(pattern).name) else []
    return sorted(path for path in place.glob(pattern) if path.is_file() and not path.name.startswith(COMPANION))


class Stock:
    """All images below a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.by_name: dict[str, list[Path]] = defaultdict(list)
        self.in_any_case: dict[str, list[Path]] = defaultdict(list)  # by the name in small letters
        for path in sorted(root.rglob("*")):
            if path.suffix.lower() in SUFFIXES and not path.name.startswith(COMPANION):
                for name in _keys(path.name):
                    self.by_name[name].append(path)
                    self.in_any_case[name.casefold()].append(path)

    def find(self, name: str, where: str) -> Path:
        """Find the file of a name: a path, also of Windows or of another folder, or an address.

        A file whose name has other capitals is taken if none has these.

        Args:
            name: The name in the export.
            where: Beginning of the message.

        Raises:
            InputError: There is none, or more than one.
        """
        parts = composed(_path(name)).split("/")
        keys = _keys(parts[-1])
        tables = (*(self.by_name.get(key) for key in keys), *(self.in_any_case.get(key.casefold()) for key in keys))
        known = next(filter(None, tables), [])
        if self.root / _path(name) in known:
            return self.root / _path(name)
        for length in range(len(parts), 0, -1):  # the longer the common path, the better
            found = [path for path in known if composed(path.as_posix()).split("/")[-length:-1] == parts[-length:-1]]
            if len(found) == 1:
                return found[0]
            if found:
                break
        what = f"exists {len(known)} times ({', '.join(str(path) for path in known[:3])})" if known else "is missing"
        raise InputError(f"{where}: the image {name!r} {what}; put each image once below {self.root}, or name its folder with --images")


def _keys(name: str) -> list[str]:
    """The names under which a file is known: its own, and that without Label Studio's prefix."""
    return list(dict.fromkeys((composed(name), PREFIX.sub("", composed(name)))))


def is_image(name: str) -> bool:
    """Whether a path or an address is of an image, by its suffix."""
    return PurePosixPath(_path(name)).suffix.lower() in SUFFIXES


def _path(name: str) -> str:
    """The path in an address (for Label Studio's local files,
    after ?d=), or the name with forward slashes.
    """
    parts = urlsplit(name)
    local = parse_qs(parts.query).get("d")
    if local:
        return local[0]
    return unquote(parts.path) if "://" in name or name.startswith("/data/") else name.replace("\\", "/")
