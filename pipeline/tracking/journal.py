"""The journal of a tracked run: what a stage logged, on disk until MLflow has it.

`<root>/.semipose/track/<fingerprint>-<time in ns>/` belongs to one process of a stage and is never taken up by another: `log` has a JSON
line for everything logged, `files/` the artifacts, `trouble` why nothing gets through. The stage and its uploader share the lock beside
it; whoever can take that lock finds both dead, and may upload the journal and remove it.
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
        """Add one line, stamped with the time in ms. Raises OSError on a full disk."""
        line = {"kind": kind, "time": int(time.time() * 1000)} | content
        with (self.folder / "log").open("a") as file:
            file.write(json.dumps(line, default=str) + "\n")

    def read(self, start: int = 0) -> tuple[list[Line], int]:
        """The whole lines from byte `start`, and the byte at which they end. A line that a kill or a full disk spoiled is left out."""
        lines: list[Line] = []
        with suppress(FileNotFoundError), (self.folder / "log").open("rb") as file:
            file.seek(start)
            for data in file:
                if not data.endswith(b"\n"):  # being written
                    break
                start += len(data)
                with suppress(ValueError):
                    lines.append(json.loads(data))
        return lines, start

    @contextmanager
    def locked(self, wait: bool = False) -> Iterator[IO[str]]:
        """Hold the lock, which processes that inherit the file share. Raises BlockingIOError where it is taken, unless it may wait."""
        with self.folder.with_suffix(".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield lock

    def remove(self) -> None:
        """Remove what is there, by the holder of the lock. The log goes first: after a kill, no log names a file that is gone."""
        (self.folder / "log").unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.with_suffix(".lock").unlink(missing_ok=True)


def journals(root: Path) -> list[Journal]:
    """All journals; those of one fingerprint in the order in which they were begun."""
    return [Journal(path) for path in sorted((root / TRACK).glob("*-*")) if path.is_dir()]


@contextmanager
def new_journal(root: Path, fingerprint: str) -> Iterator[tuple[Journal, IO[str]]]:
    """A journal for the process that begins here, and its lock, held before there is a folder that somebody could find."""
    journal = Journal(root / TRACK / f"{fingerprint}-{time.time_ns()}")
    journal.folder.parent.mkdir(parents=True, exist_ok=True)
    with journal.locked() as lock:
        journal.folder.mkdir()
        yield journal, lock
