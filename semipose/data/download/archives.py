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
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from semipose.data.download.fetch import checksums
from semipose.utils.errors import InputError
from semipose.utils.files import replacing
from semipose.utils.progress import followed

DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, KeyError, RuntimeError, NotImplementedError)


@dataclass(frozen=True)
class Member:
    """What an archive wants to write. target: for links, what it points at, relative to its own folder or (hard links)
    to the archive's top."""

    path: PurePosixPath
    kind: str  # file, folder, symlink, hardlink; special: a device, a pipe, a link in a zip
    size: int = 0
    target: str = ""


def unpack(archive: Path, folder: Path, sha256: str | None = None) -> None:
    """Unpack a .zip, .tar or .tar.gz into `folder`, where it joins what other archives brought.

    sha256: of the archive, where it is known already. Nothing is done where this archive was unpacked here before and
    its files are still there (see `unpacked`). All members are looked at first: an absolute path, `..`, a link that
    leaves the folder or a device (in a zip: any link) refuses the archive as a whole. Then it is unpacked beside its
    place and moved there when it is complete. Raises InputError for an unsafe, damaged or unknown archive, and where
    the disk is full.
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
            members = list(_members(opened))
            _check(archive, members, folder)
            temporary.mkdir()
            _extract(opened, temporary, archive.name)
        _merge(temporary, folder)
        _mark(archive.name, folder, record, members)
    except InputError:
        raise
    except (*DAMAGED, ValueError) as error:  # such as a name that no file can have
        raise InputError(f"{archive}: damaged ({error}); remove it and download it again") from error
    except OSError as error:
        raise InputError(f"{archive}: cannot be unpacked into {folder} ({error}); {_advice(error)}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _extract(opened: zipfile.ZipFile | tarfile.TarFile, folder: Path, name: str) -> None:
    if isinstance(opened, tarfile.TarFile):
        every = opened.getmembers()
        opened.extractall(folder, followed(every, len(every), "files", f"unpacking {name}"), filter="data")
    else:
        paths = opened.namelist()
        opened.extractall(folder, followed(paths, len(paths), "files", f"unpacking {name}"))


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


def _members(opened: zipfile.ZipFile | tarfile.TarFile) -> Iterator[Member]:
    if isinstance(opened, zipfile.ZipFile):
        for info in opened.infolist():
            regular = stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG, stat.S_IFDIR)
            kind = "folder" if info.is_dir() else "file"
            yield Member(PurePosixPath(info.filename), kind if regular else "special", info.file_size)
    else:
        kinds = {tarfile.DIRTYPE: "folder", tarfile.SYMTYPE: "symlink", tarfile.LNKTYPE: "hardlink"}
        for member in opened:
            kind = "file" if member.isreg() else kinds.get(member.type, "special")
            yield Member(PurePosixPath(member.name), kind, member.size, member.linkname)


def _check(archive: Path, members: list[Member], folder: Path) -> None:
    """Refuse the archive where one of its members could write or point outside the folder.

    tarfile's own data filter looks at one member at a time on the disk; links that lead through other links are why no
    member may lie below a link, and no link may go up again after it has gone down.
    """
    links = {member.path for member in members if "link" in member.kind}
    for member in members:
        reason = _unsafe(member, links)
        if reason:
            raise InputError(
                f"{archive}: its member {str(member.path)!r} {reason}; nothing was unpacked: get the archive from its official address"
            )
    needed = sum(member.size for member in members)
    if needed > shutil.disk_usage(folder).free:
        raise OSError(errno.ENOSPC, f"{needed} bytes needed")


def _unsafe(member: Member, links: set[PurePosixPath]) -> str | None:
    if member.path.is_absolute():
        return "has an absolute path"
    if ".." in member.path.parts:
        return "has `..` in its path"
    if links.intersection(member.path.parents):
        return "lies below a link"
    if member.kind == "special":
        return "is neither a file nor a folder"
    if "link" in member.kind:
        parts = PurePosixPath(member.target).parts
        ups = next((i for i, part in enumerate(parts) if part != ".."), len(parts))
        depth = len(member.path.parts) - 1 if member.kind == "symlink" else 0
        if not parts or PurePosixPath(member.target).is_absolute() or ups > depth or ".." in parts[ups:]:
            return f"is a link to {member.target!r}, outside the folder"
    return None


def _merge(source: Path, target: Path) -> None:
    """Move everything in `source` to the same place in `target`; a file there is replaced, a folder is joined."""
    for entry in sorted(source.iterdir()):
        place = target / entry.name
        if entry.is_dir() and not entry.is_symlink() and place.is_dir():
            _merge(entry, place)
        else:
            entry.replace(place)


def _mark(name: str, folder: Path, record: dict[str, Any], members: list[Member]) -> None:
    paths = {member.path for member in members if member.kind != "folder"}
    files = Counter(str(path.parent) for path in paths)
    with replacing(folder / f".{name}.json") as temporary:
        temporary.write_text(json.dumps(record | {"files": dict(sorted(files.items()))}))


def _advice(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full: free some space, or set data.root to another disk, and run it again"
    return "make that folder writable, and remove what stands in the way"
