"""The process beside a stage that carries its journal into
MLflow, and then the journals of earlier runs.
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pipeline.tracking.journal import Journal, Line, journals
from pipeline.tracking.store import Store, open_store, reason
from pipeline.tracking.upload import Upload


def sync(root: Path, store: Store) -> Iterator[tuple[Journal, Exception | None]]:
    """Upload, one by one, what dead processes left; yield each journal and its error, or None."""
    for journal in journals(root):
        try:
            with journal.locked():
                _finish(journal, store)
        except BlockingIOError:  # alive
            continue
        except Exception as error:
            yield journal, error
        else:
            yield journal, None


def _finish(journal: Journal, store: Store) -> None:
    """Upload and remove the journal of a dead process."""
    lines, _ = journal.read()
    if lines:
        Upload(journal, store, lines[0]).send(_closed(lines))
    journal.remove()


def _closed(lines: list[Line]) -> list[Line]:
    """The lines of a dead process, with an end added, so that its run does not stay RUNNING."""
    if lines[-1]["kind"] == "end":
        return lines
    said = "ended without a message: killed, or its disk was full"
    return [*lines, {"kind": "end", "time": int(time.time() * 1000), "status": "KILLED", "error": said}]


def follow(journal: Journal, root: Path, stage: int) -> None:
    """Upload a journal while its stage writes it, and remove it when all has arrived.

    In between, upload what others left.
    After a failure it tries again, less and less often, and a last time when the stage has ended.

    Args:
        journal: The journal.
        root: Root of the repository.
        stage: Process id of the stage, the parent of this process.

    Raises:
        Exception: The error of the last try.
    """
    lines: list[Line] = []
    upload, read, wait_s, next_try = None, 0, 0.0, 0.0
    while True:
        dead = os.getppid() != stage  # checked before the journal is read: no line comes after
        new, read = journal.read(read)
        lines += new
        over = dead or lines[-1]["kind"] == "end"
        if over or time.monotonic() >= next_try:
            try:
                if upload is None:
                    store = open_store(root)
                    _finish_earlier(journal, root, store)
                    upload, others = Upload(journal, store, lines[0]), sync(root, store)
                upload.send(_closed(lines) if dead else lines)
                if over:
                    return journal.remove()
                wait_s = 0.0
                next(others, None)
            except Exception as error:
                with suppress(OSError):
                    (journal.folder / "trouble").write_text(reason(error))
                if over:
                    raise
                upload, wait_s = None, min(max(5.0, 2 * wait_s), 60.0)
                next_try = time.monotonic() + wait_s
        time.sleep(0.2)


def _finish_earlier(journal: Journal, root: Path, store: Store) -> None:
    """Upload earlier journals of the same fingerprint first; the
    uploader of a killed process may still work on one.
    """
    for earlier in journals(root):
        if earlier.fingerprint == journal.fingerprint and earlier.folder.name < journal.folder.name:
            with earlier.locked(wait=True):
                _finish(earlier, store)


if __name__ == "__main__":
    follow(Journal(Path(sys.argv[1])), Path(sys.argv[2]), int(sys.argv[3]))
