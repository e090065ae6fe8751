"""A crop pack in the making: the crops that are written, and a journal of them from which a writer that was killed goes on."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from semipose.data.loading.pack import PACK, digest_of
from semipose.data.packing.cutting import Cutout
from semipose.utils.files import DIGEST, digest


class Unfinished:
    """A folder that holds the crops [N, S, S, 3] of ``shape`` (crops.npy), or their JPEGs one after the other (crops.jpg).

    The journal is a line with the ``key``, then a line for each chunk of images; each begins with its digest. What another key wrote is
    removed; of the chunks of this key those count that still have the bytes that the journal says, up to the first that has not.

    The pack is finished once its pack.json is written, the last of its files.

    records: the broken images of each chunk that was written, and why. cut [N]: the rows that are written.
    """

    JOURNAL = "journal.jsonl"

    def __init__(self, folder: Path, key: str, shape: tuple[int, int, int, int], jpeg: bool) -> None:
        self.folder, self.shape, self.jpeg = folder, shape, jpeg
        self.crops, journal = folder / ("crops.jpg" if jpeg else "crops.npy"), folder / self.JOURNAL
        self.cut = np.zeros(shape[0], bool)
        self.digests = np.zeros((shape[0], DIGEST), np.uint8)
        self.index = np.zeros((shape[0], 2), np.int64)  # where in crops.jpg each begins, and its bytes
        self.end = 0
        self.records: list[dict[str, str]] = []
        lines = journal.read_bytes().splitlines(keepends=True) if journal.exists() and self.crops.exists() else []
        if lines[:1] != [_line({"key": key})]:
            self._begin(journal, key)
        else:
            self._go_on(journal, key, lines)
        self.journal: BinaryIO = journal.open("ab")
        self.blob: BinaryIO = self.crops.open("ab" if jpeg else "rb")

    def __enter__(self) -> "Unfinished":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.journal.close()
        self.blob.close()

    @property
    def finished(self) -> bool:
        """Whether pack.json is there, and the tables are those that it was written for."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            record = json.loads((self.folder / PACK).read_bytes())
            return bool(record["digest"] == digest_of(self.folder, record))
        return False

    def add(self, made: Cutout) -> dict[str, str]:
        """Note a chunk (and write its JPEGs); returns its broken images."""
        if self.jpeg:
            self.blob.writelines(made.content)
            self.blob.flush()
        made.content = []
        self._take(made)
        self.journal.write(_line(asdict(made)))
        self.journal.flush()
        return made.broken

    def keep(self, kept: NDArray[np.int64]) -> None:
        """Leave out all rows but these (ascending), and write the tables of the crops."""
        if not self.jpeg and len(kept) < self.shape[0]:
            _keep_rows(self.crops, kept)
        np.save(self.folder / "digests.npy", self.digests[kept])
        if self.jpeg:
            np.save(self.folder / "index.npy", self.index[kept])

    def _begin(self, journal: Path, key: str) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        if self.jpeg:
            self.crops.touch()
        else:
            _allocate(self.crops, self.shape)
        journal.write_bytes(_line({"key": key}))

    def _go_on(self, journal: Path, key: str, lines: Sequence[bytes]) -> None:
        if (self.folder / PACK).exists():
            if not self.finished:
                self._begin(journal, key)
            return
        crops = None if self.jpeg else _mapped(self.crops)
        if crops is not None and crops.shape != self.shape:  # damaged, or killed while rows of broken images were left out
            return self._begin(journal, key)
        good = len(lines[0])
        with self.crops.open("rb") as blob:
            for line in lines[1:]:
                made = _cutout(line)
                if made is None or not self._is_whole(made, blob, crops):
                    break
                self._take(made)
                self.records.append(made.broken)
                good += len(line)
        os.truncate(journal, good)
        if self.jpeg:
            os.truncate(self.crops, self.end)

    def _is_whole(self, made: Cutout, blob: BinaryIO, crops: NDArray[np.uint8] | None) -> bool:
        for row, length, known in zip(made.rows, made.lengths, made.digests, strict=True):
            if digest(blob.read(length) if crops is None else crops[row].data).hex() != known:
                return False
        return True

    def _take(self, made: Cutout) -> None:
        self.cut[made.rows] = True
        for row, length, known in zip(made.rows, made.lengths, made.digests, strict=True):
            self.digests[row] = np.frombuffer(bytes.fromhex(known), np.uint8)
            self.index[row] = self.end, length
            self.end += length


def _line(content: dict[str, Any]) -> bytes:
    data = json.dumps(content).encode()
    return hashlib.sha256(data).hexdigest().encode() + b" " + data + b"\n"


def _cutout(line: bytes) -> Cutout | None:
    """What ``_line`` wrote; None if it was not written to its end, or has changed since."""
    known, _, data = line.removesuffix(b"\n").partition(b" ")
    whole = line.endswith(b"\n") and hashlib.sha256(data).hexdigest().encode() == known
    return Cutout(**json.loads(data)) if whole else None


def _mapped(path: Path) -> NDArray[np.uint8]:
    """The crops as they are on the disk; none where the file is damaged."""
    try:
        crops: NDArray[np.uint8] = np.load(path, mmap_mode="r")
    except Exception:  # numpy raises a dozen kinds for a damaged file
        return np.empty(0, np.uint8)
    return crops


def _allocate(target: Path, shape: tuple[int, ...]) -> None:
    """An .npy of zeros whose blocks are on the disk: to write through a memory map of a full disk would kill us."""
    needed, free = int(np.prod(shape, dtype=object)), shutil.disk_usage(target.parent).free
    if needed > free:
        raise OSError(errno.ENOSPC, f"{free:,} bytes are free")
    np.lib.format.open_memmap(target, mode="w+", dtype=np.uint8, shape=shape).flush()
    with target.open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, target.stat().st_size)


def _keep_rows(target: Path, kept: NDArray[np.int64]) -> None:
    """Move these rows (ascending) of an .npy to its front, and cut the file off behind them."""
    crops = np.load(target, mmap_mode="r+")
    for start in range(0, len(kept), 256):
        rows = kept[start : start + 256]
        crops[start : start + len(rows)] = crops[rows]  # every row moves forward, so none is overwritten unread
    crops.flush()
    header = {"descr": "|u1", "fortran_order": False, "shape": (len(kept), *crops.shape[1:])}
    with target.open("r+b") as file:
        np.lib.format.write_array_header_1_0(file, header)  # numpy pads it, so its length does not depend on N
        file.truncate(file.tell() + len(kept) * crops[0].size)
