"""Unpacking zip and tar files that come from elsewhere: inside their folder, wholly or not at all."""

import errno
import json
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from semipose.data.download.fetch import checksums
from semipose.utils.errors import InputError
from semipose.utils.files import replacing
from semipose.utils.progress import followed

DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, KeyError, RuntimeError, NotImplementedError)
Member = zipfile.ZipInfo | tarfile.TarInfo


def unpack(archive: Path, folder: Path, sha256: str | None = None) -> None:
    """Unpack a .zip, .tar or .tar.gz into `folder`, where it joins what other archives brought.

    sha256: of the archive, where it is known already. Nothing is done where this archive was unpacked here before and
    its files are still there (see `unpacked`). All members are looked at first: an absolute path, `..`, a link or a
    device refuses the archive as a whole. Then it is unpacked beside its place and moved there when it is complete.
    Raises InputError for an unsafe, damaged or unknown archive, and where the disk is full.
    """
    archive, folder = Path(archive), Path(folder)
    if not archive.exists():
        raise InputError(f"{archive}: there is no archive here; download it again")
    record = {"bytes": archive.stat().st_size, "sha256": sha256 or checksums(archive)["sha256"]}
    before = unpacked(archive.name, folder)
    if before is not None and before["sha256"] == record["sha256"]:
        return
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{archive.name}.unpacking"
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        with _open(archive) as opened:
            members: Sequence[Member] = opened.infolist() if isinstance(opened, zipfile.ZipFile) else opened.getmembers()
            _check(archive, members, folder)
            temporary.mkdir()
            if isinstance(opened, zipfile.ZipFile):
                opened.extractall(temporary, followed(opened.namelist(), len(members), "files", f"unpacking {archive.name}"))
            else:
                every = followed(opened.getmembers(), len(members), "files", f"unpacking {archive.name}")
                opened.extractall(temporary, every, filter="data")
        _merge(temporary, folder)
        _mark(archive.name, folder, record, members)
    except InputError:
        raise
    except (*DAMAGED, ValueError) as error:  # such as a name that no file can have
        raise InputError(f"{archive}: damaged ({error}); remove it and download it again") from error
    except OSError as error:
        advice = "make that folder writable, and remove what stands in the way"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            advice = "the disk is full: free some space, or set data.root to another disk, and run it again"
        raise InputError(f"{archive}: cannot be unpacked into {folder} ({error}); {advice}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def unpacked(name: str, folder: Path) -> dict[str, Any] | None:
    """{"bytes", "sha256"} of the archive of this name, if it was unpacked into `folder` and each of the folders that it
    filled still holds as many files; else None."""
    try:
        mark = json.loads((Path(folder) / f".{name}.json").read_text())
        for place, count in mark["files"].items():
            with os.scandir(Path(folder) / place) as entries:
                if sum(not entry.is_dir() for entry in entries) < count:
                    return None
        return {"bytes": mark["bytes"], "sha256": mark["sha256"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _open(archive: Path) -> zipfile.ZipFile | tarfile.TarFile:
    if zipfile.is_zipfile(archive):
        return zipfile.ZipFile(archive)
    if tarfile.is_tarfile(archive):
        return tarfile.open(archive)
    raise InputError(f"{archive}: neither a zip nor a tar file, or damaged; remove it and download it again")


def _check(archive: Path, members: Sequence[Member], folder: Path) -> None:
    """Refuse the archive if one of its members could write or point outside the folder. No data set needs links, which could lead there
    through one another."""
    for member in members:
        path = _path(member)
        reason = None
        if path.is_absolute() or ".." in path.parts:
            reason = "leads out of the folder"
        elif not _is_plain(member):
            reason = "is neither a file nor a folder"
        if reason:
            raise InputError(
                f"{archive}: its member {str(path)!r} {reason}; nothing was unpacked: get the archive from its official address"
            )
    needed = sum(member.file_size if isinstance(member, zipfile.ZipInfo) else member.size for member in members)
    if needed > shutil.disk_usage(folder).free:
        raise OSError(errno.ENOSPC, f"{needed} bytes needed")


def _path(member: Member) -> PurePosixPath:
    return PurePosixPath(member.filename if isinstance(member, zipfile.ZipInfo) else member.name)


def _is_plain(member: Member) -> bool:
    if isinstance(member, zipfile.ZipInfo):
        return stat.S_IFMT(member.external_attr >> 16) in (0, stat.S_IFREG, stat.S_IFDIR)
    return member.isreg() or member.isdir()


def _merge(source: Path, target: Path) -> None:
    """Move everything in `source` to the same place in `target`; a file there is replaced, a folder is joined."""
    for entry in sorted(source.iterdir()):
        place = target / entry.name
        if entry.is_dir() and not entry.is_symlink() and place.is_dir():
            _merge(entry, place)
        else:
            entry.replace(place)


def _mark(name: str, folder: Path, record: dict[str, Any], members: Sequence[Member]) -> None:
    paths = {_path(member) for member in members if not (member.is_dir() if isinstance(member, zipfile.ZipInfo) else member.isdir())}
    files = Counter(str(path.parent) for path in paths)
    with replacing(folder / f".{name}.json") as temporary:
        temporary.write_text(json.dumps(record | {"files": dict(sorted(files.items()))}))
