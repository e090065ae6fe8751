"""An unfinished crop pack: the crops written so far and their
digests, from which a killed writer continues.
"""

import errno
import json
import math
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from semipose.data.loading.pack import PACK, digest_of
from semipose.data.packing.cutting import Cutout
from semipose.utils.files import DIGEST, digest


class Unfinished:
    """A folder with the crops [N, S, S, 3] of `shape` (crops.npy), or their JPEGs (crops.jpg,
    index.npy), and digests.npy.

    A row of zeros in digests.npy is a crop that is not cut yet.
    What was written with another `key` is removed.
    Rows of this key are kept if their bytes still have their digests;
    of JPEGs, those before the first damaged one.
    The pack is finished when its pack.json is written, the last of its files.
    """

    KEY = "key"

    def __init__(self, folder: Path, key: str, shape: tuple[int, int, int, int], jpeg: bool) -> None:
        self.folder, self.crops = folder, folder / ("crops.jpg" if jpeg else "crops.npy")
        known = folder / self.KEY
        mine = known.is_file() and known.read_bytes() == key.encode()
        self.finished = mine and _is_finished(folder)
        if self.finished:
            return
        kinds: dict[str, tuple[tuple[int, ...], DTypeLike]] = {"digests.npy": ((shape[0], DIGEST), np.uint8)}
        kinds |= {"index.npy": ((shape[0], 2), np.int64)} if jpeg else {"crops.npy": (shape, np.uint8)}
        # Of another size: damaged, or killed while rows of broken images were left out.
        if (folder / PACK).exists() or not mine or not all(_is_array(folder / name, *kind) for name, kind in kinds.items()):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            for name, kind in kinds.items():
                _allocate(folder / name, *kind)
            known.write_text(key)
        self.tables: dict[str, NDArray[Any]] = {name: np.load(folder / name, mmap_mode="r+") for name in kinds}
        self.jpegs = self.crops.open("a+b") if jpeg else None
        self._forget_damaged()

    @property
    def cut(self) -> Any:
        """Which rows are written, [N] bool."""
        return self.tables["digests.npy"].any(axis=1)

    def add(self, made: Cutout) -> None:
        """Record the crops of an image, and write its JPEGs."""
        if self.jpegs:
            for row, content in zip(made.rows, made.jpegs, strict=True):
                self.tables["index.npy"][row] = self.jpegs.tell(), len(content)
                self.jpegs.write(content)
            self.jpegs.flush()
        self.tables["digests.npy"][made.rows] = np.frombuffer(b"".join(made.digests), np.uint8).reshape(-1, DIGEST)

    def keep(self, kept: NDArray[np.int64]) -> None:
        """Leave out all rows except these (ascending)."""
        for name, table in self.tables.items():
            if len(kept) < len(table):
                _keep_rows(self.folder / name, kept)

    def _forget_damaged(self) -> None:
        digests, rows = self.tables["digests.npy"], np.flatnonzero(self.cut)
        if self.jpegs is None:
            for row in rows:
                if digest(self.tables["crops.npy"][row].data) != digests[row].tobytes():
                    digests[row] = 0
            return
        index, end = self.tables["index.npy"], 0
        for row in rows[np.argsort(index[rows, 0])]:
            start, length = index[row].tolist()
            self.jpegs.seek(end)
            if start == end and length > 0 and digest(self.jpegs.read(length)) == digests[row].tobytes():
                end += length
            else:
                digests[row] = 0
        self.jpegs.truncate(end)


def _is_finished(folder: Path) -> bool:
    """Whether pack.json is there, and the tables are those for which it was written."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        record = json.loads((folder / PACK).read_bytes())
        return bool(record["digest"] == digest_of(folder, record))
    return False


def _is_array(path: Path, shape: tuple[int, ...], dtype: DTypeLike) -> bool:
    """Whether an .npy of this kind is there; its content is not checked."""
    with suppress(Exception):  # numpy raises a dozen kinds of errors for a damaged header, tokenize.TokenError among them
        array = np.load(path, mmap_mode="r")
        return bool((array.shape, array.dtype, array.offset + array.nbytes) == (shape, np.dtype(dtype), path.stat().st_size))
    return False


def _allocate(target: Path, shape: tuple[int, ...], dtype: DTypeLike) -> None:
    """Make an .npy of zeros with all its blocks on disk: writing to a full disk through a memory
    map would kill the process.
    """
    needed, free = math.prod(shape) * np.dtype(dtype).itemsize, shutil.disk_usage(target.parent).free
    if needed > free:
        raise OSError(errno.ENOSPC, f"{needed:,} bytes are needed, {free:,} are free", str(target))
    np.lib.format.open_memmap(target, "w+", dtype, shape)
    with target.open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, target.stat().st_size)


def _keep_rows(target: Path, kept: NDArray[np.int64]) -> None:
    """Move these rows (ascending) of an .npy to its front, and truncate the file behind them."""
    rows = np.load(target, mmap_mode="r+")
    for start in range(0, len(kept), 256):
        some = kept[start : start + 256]
        rows[start : start + len(some)] = rows[some]  # every row moves forward, so none is overwritten before it is read
    rows.flush()
    left = rows[: len(kept)]
    with target.open("r+b") as file:
        np.lib.format.write_array_header_1_0(
            file, np.lib.format.header_data_from_array_1_0(left)
        )  # numpy pads it: N does not change its length
        file.truncate(rows.offset + left.nbytes)
