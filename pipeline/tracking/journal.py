"""The journal of a tracked run: what a stage logged, on disk until MLflow has it.

`<root>/.semipose/track/<fingerprint>-<time in ns>/` belongs to one process of a stage.
No other process continues it.
`log` has a JSON line for everything logged, `files/` the artifacts, `trouble` the reason why
nothing gets through.
The stage and its uploader share the lock beside it.
A process that can take that lock finds both dead, and may upload and remove the journal.
"""

import fcntl
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

Line = dict[str, Any]
TRACK = Path(".semipose/track")


@dataclass(frozen=True)
class Journal:
    folder: Path

    @property
    def fingerprint(self) -> str:
        return self.folder.name.rpartition("-")[0]

    def append(self, kind: str, **content: Any) -> None:
        """Append one line with the time in ms.

        Raises:
            OSError: The disk is full.
        """
        line = {"kind": kind, "time": int(time.time() * 1000)} | content
        with (self.folder / "log").open("a") as file:
            file.write(json.dumps(line, default=str) + "\n")

    def read(self, start: int = 0) -> tuple[list[Line], int]:
        """Read the complete lines from byte `start`.

        A line that a kill or a full disk damaged is left out.

        Returns:
            The lines, and the byte at which they end.
        """
        lines: list[Line] = []
        with suppress(FileNotFoundError), (self.folder / "log").open("rb") as file:
            file.seek(start)
            for data in file:
                if not data.endswith(b"\n"):  # still being written
                    break
                start += len(data)
                with suppress(ValueError):
                    lines.append(json.loads(data))
        return lines, start

    @contextmanager
    def locked(self, wait: bool = False) -> Iterator[IO[str]]:
        """Hold the lock, which is shared with processes that inherit the file.

        Raises:
            BlockingIOError: Another process holds it, and `wait` is false.
        """
        with self.folder.with_suffix(".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield lock

    def remove(self) -> None:
        """Remove the journal; the caller holds the lock. The log
        goes first, so no log names a missing file.
        """
        (self.folder / "log").unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.with_suffix(".lock").unlink(missing_ok=True)


def journals(root: Path) -> list[Journal]:
    """All journals; those of one fingerprint in the order of their start."""
    return [Journal(path) for path in sorted((root / TRACK).glob("*-*")) if path.is_dir()]


@contextmanager
def new_journal(root: Path, fingerprint: str) -> Iterator[tuple[Journal, IO[str]]]:
    """A journal for this process, and its lock, which is held before the folder exists."""
    journal = Journal(root / TRACK / f"{fingerprint}-{time.time_ns()}")
    journal.folder.parent.mkdir(parents=True, exist_ok=True)
    with journal.locked() as lock:
        journal.folder.mkdir()
        yield journal, lock
