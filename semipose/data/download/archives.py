"""Unpack zip and tar files from elsewhere: inside their folder, and completely or not at all."""

import errno
import json
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from semipose.data.download.fetch import checksums
from semipose.utils.errors import InputError
from semipose.utils.files import write_text
from semipose.utils.progress import followed

DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, KeyError, RuntimeError, ValueError)


class Member(NamedTuple):
    """A member of an archive; plain: a file or a folder, not a link or a device; folder: a folder."""

    path: PurePosixPath
    size: int
    plain: bool
    folder: bool


def unpack(archive: Path, folder: Path, sha256: str | None = None) -> None:
    """Unpack a .zip, .tar or .tar.gz, beside what other archives have put into the folder.

    Nothing happens if this archive was unpacked here before and its files are still there (see
    `unpacked`).
    All members are checked first: an absolute path, `..`, a link or a device refuses the whole
    archive.
    It is then unpacked beside its place, and moved there when it is complete.

    Args:
        archive: The archive.
        folder: Where its members go; made if it is missing.
        sha256: Of the archive; None: it is computed.

    Raises:
        InputError: The archive is unsafe, damaged or of an unknown kind, or the disk is full.
    """
    record = {"bytes": archive.stat().st_size, "sha256": sha256 or checksums(archive)["sha256"]}
    if unpacked(archive.name, folder) == record:
        return
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{archive.name}.unpacking"
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        with _open(archive) as opened:
            members = _members(opened)
            _check(archive, members, folder)
            temporary.mkdir()
            if isinstance(opened, tarfile.TarFile):
                opened.extraction_filter = tarfile.data_filter
            entries = opened.infolist() if isinstance(opened, zipfile.ZipFile) else opened.getmembers()
            opened.extractall(temporary, followed(entries, len(members), "files", f"unpacking {archive.name}"))  # type: ignore[arg-type]
        shutil.copytree(temporary, folder, dirs_exist_ok=True, copy_function=os.replace)
    except InputError:
        raise
    except DAMAGED as error:  # ValueError: for example a name that no file can have
        raise InputError(f"{archive}: damaged ({error}); remove it and download it again") from error
    except OSError as error:
        raise InputError(
            f"{archive}: cannot be unpacked into {folder} ({error}); make room there, make that folder writable and "
            "remove files that are in the way, or set data.root to another disk"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    files = Counter(str(path.parent) for path in {member.path for member in members if not member.folder})
    write_text(_mark(archive.name, folder), json.dumps(record | {"files": dict(sorted(files.items()))}))


def unpacked(name: str, folder: Path) -> dict[str, Any] | None:
    """Look for an archive that was unpacked before.

    Returns:
        {"bytes", "sha256"} of the archive of this name, if all folders that it filled still have as
        many files; else None.
    """
    try:
        mark = json.loads(_mark(name, folder).read_text())
        for place, count in mark["files"].items():
            with os.scandir(folder / place) as entries:
                if sum(not entry.is_dir() for entry in entries) < count:
                    return None
        return {"bytes": mark["bytes"], "sha256": mark["sha256"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _mark(name: str, folder: Path) -> Path:
    return folder / f".{name}.json"


def _open(archive: Path) -> zipfile.ZipFile | tarfile.TarFile:
    if zipfile.is_zipfile(archive):
        return zipfile.ZipFile(archive)
    if not tarfile.is_tarfile(archive):
        raise InputError(f"{archive}: not a zip or tar file, or damaged; remove it and download it again")
    return tarfile.open(archive)


def _members(opened: zipfile.ZipFile | tarfile.TarFile) -> list[Member]:
    if isinstance(opened, tarfile.TarFile):
        return [Member(PurePosixPath(one.name), one.size, one.isreg() or one.isdir(), one.isdir()) for one in opened.getmembers()]
    plain = (0, stat.S_IFREG, stat.S_IFDIR)  # the kind of file, in the upper half of the attributes; 0 if unknown
    return [
        Member(PurePosixPath(one.filename), one.file_size, stat.S_IFMT(one.external_attr >> 16) in plain, one.is_dir())
        for one in opened.infolist()
    ]


def _check(archive: Path, members: list[Member], folder: Path) -> None:
    """Refuse the archive if a member could write or point outside the folder.

    No data set needs links, which could lead there through one another.
    """
    for path, _, plain, _ in members:
        outside = path.is_absolute() or ".." in path.parts
        if outside or not plain:
            reason = "leads out of the folder" if outside else "is neither a file nor a folder"
            raise InputError(
                f"{archive}: its member {str(path)!r} {reason}; nothing was unpacked; get the archive from its official address"
            )
    needed = sum(member.size for member in members)
    if needed > shutil.disk_usage(folder).free:
        raise OSError(errno.ENOSPC, f"{needed} bytes needed")
