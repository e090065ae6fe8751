"""The journal of a tracked run: JSON lines on disk, whole after a kill at any moment.

A run `<fingerprint>-<number>` has these files in the journal's folder, all of them gone once MLflow has everything:
`.jsonl` what was logged, `.files/` the pictures and files, `.mark` how far the upload came, `.writer` the lock of the
living process that logs. `<fingerprint>.upload` is the lock of the one process that uploads.
"""

import errno
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

Line = dict[str, Any]


@dataclass(frozen=True)
class Journal:
    """The files of one tracked run, named by the path of its `.jsonl`."""

    path: Path

    @property
    def fingerprint(self) -> str:
        return self.path.stem.rpartition("-")[0]

    @property
    def number(self) -> int:
        return int(self.path.stem.rpartition("-")[2])

    @property
    def files(self) -> Path:
        return self.path.with_suffix(".files")

    def writing(self) -> FileLock:
        """The lock of the process that logs; while it is held, the run is alive."""
        return FileLock(self.path.with_suffix(".writer"), timeout=0)

    def uploading(self) -> FileLock:
        """The lock of the process that uploads: one per fingerprint, because its journals share a run in MLflow."""
        return FileLock(self.path.with_name(f"{self.fingerprint}.upload"))

    def append(self, kind: str, **content: Any) -> None:
        """Add one line, stamped with the time in ms. Raises OSError, and leaves no half line, on a full disk."""
        line = {"kind": kind, "time": int(time.time() * 1000)} | content
        data = json.dumps(line, default=str).encode() + b"\n"
        with self.path.open("ab", buffering=0) as file:
            start = file.seek(0, os.SEEK_END)
            if file.write(data) != len(data):
                file.truncate(start)
                raise OSError(errno.ENOSPC, "no room for a line of the journal", str(self.path))

    def lines(self, start: int = 0) -> Iterator[tuple[Line, int]]:
        """The whole lines from byte `start`, each with the byte at which it ends."""
        with self.path.open("rb") as file:
            file.seek(start)
            for data in file:
                if not data.endswith(b"\n"):
                    return
                start += len(data)
                try:
                    line = json.loads(data)
                except ValueError:  # bytes that a power cut spoiled; the lines around them still count
                    continue
                yield line, start

    def ended(self) -> bool:
        last = None
        for line, _ in self.lines():
            last = line
        return last is not None and last["kind"] == "end"

    def place(self, name: str) -> Path:
        """Where a picture or file called `name` (a relative path) is kept until it is uploaded."""
        relative = Path(name)
        if relative.is_absolute() or ".." in relative.parts or not relative.name:
            raise ValueError(f"{name!r} does not name an artifact: give a relative path such as overlays/best.png")
        place = self.files / relative
        place.parent.mkdir(parents=True, exist_ok=True)
        return place

    def mark(self) -> dict[str, Any] | None:
        """How far the upload came: `store` (digest of its address), `run` (MLflow's id), `bytes` that were sent."""
        try:
            return json.loads(self.path.with_suffix(".mark").read_text())
        except FileNotFoundError:
            return None

    def set_mark(self, store: str, run: str, sent: int) -> None:
        new = self.path.with_suffix(".mark-new")
        new.write_text(json.dumps({"store": store, "run": run, "bytes": sent}))
        new.replace(self.path.with_suffix(".mark"))

    def remove(self) -> None:
        """Remove all files of the run. The journal goes first: what a kill leaves behind then belongs to no run."""
        self.path.unlink(missing_ok=True)
        self.clear()
        self.path.with_suffix(".writer").unlink(missing_ok=True)
        self.path.with_name(f"{self.fingerprint}.upload").unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove what lies beside the journal, except the locks."""
        shutil.rmtree(self.files, ignore_errors=True)
        for suffix in (".mark", ".mark-new"):
            self.path.with_suffix(suffix).unlink(missing_ok=True)


def leftovers(folder: Path) -> list[Journal]:
    """All journals of a folder; those of one fingerprint in the order in which they were written."""
    return sorted((Journal(path) for path in folder.glob("*-*.jsonl")), key=lambda j: (j.fingerprint, j.number))


def take(folder: Path, fingerprint: str) -> tuple[Journal, FileLock]:
    """The journal to write for a fingerprint, with its writer's lock held.

    It is the one that a killed process left open, else a new one. Raises OSError where the folder cannot be written.
    """
    if not re.fullmatch(r"\w+", fingerprint):
        raise ValueError(f"fingerprint {fingerprint!r} must be letters, digits and underscores")
    folder.mkdir(parents=True, exist_ok=True)
    former = [journal for journal in leftovers(folder) if journal.fingerprint == fingerprint]
    for number in count(former[-1].number if former else 1):
        journal = Journal(folder / f"{fingerprint}-{number}.jsonl")
        lock = journal.writing()
        try:
            lock.acquire()
        except Timeout:  # another process with this fingerprint is alive
            continue
        if not journal.path.exists():
            journal.clear()  # what a kill in the middle of a removal left under this name
            journal.path.touch()
            return journal, lock
        if not journal.ended():
            _drop_half_line(journal.path)
            return journal, lock
        lock.release()
    raise AssertionError("the numbers never end")


def _drop_half_line(path: Path) -> None:
    """Cut off the line at which a kill struck."""
    whole = 0
    for line in path.open("rb"):
        whole += len(line) if line.endswith(b"\n") else 0
    os.truncate(path, whole)
