"""`python -m pipeline.lockfile`: repair the files that DVC was writing when it was killed.

DVC writes two files in place and refuses a truncated one.
A dvc.lock is cut back to its last complete stage.
That costs no training, because DVC's run cache still has the outputs.
.dvc/tmp/rwlock, DVC's list of current readers and writers, is removed.
It names processes that were running; DVC itself removes those that have ended.
"""

import json
import re
import sys
from contextlib import suppress
from pathlib import Path

from ruamel.yaml import YAML, YAMLError

from semipose.utils.files import write_text

BEGIN = "schema: '2.0'\nstages:\n"
EMPTY = "schema: '2.0'\nstages: {}\n"
STAGE = re.compile(r"^  \S.*:$", re.MULTILINE)  # a stage's name, alone on its line


def readable(text: str) -> bool:
    """Whether DVC could read it."""
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA  # a slow import
    from voluptuous import Invalid

    try:
        COMPILED_LOCKFILE_SCHEMA(YAML(typ="safe").load(text))
    except (YAMLError, Invalid):
        return False
    return True


def mend(path: Path) -> str | None:
    """Repair the file; return what was done or cannot be done, or None if it is whole."""
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else EMPTY
    if readable(text):
        return None
    starts = [found.start() for found in STAGE.finditer(text)]
    # Without the stage in which it was cut off.
    left = text[: starts[-1]] if len(starts) > 1 else EMPTY if BEGIN.startswith(text[: len(BEGIN)]) else text
    if not readable(left):
        return (
            f"{path} is not a lock file that DVC can read, and not a truncated one: run `git checkout {path}` to restore the committed file"
        )
    write_text(path, left)
    return f"{path} was truncated while DVC wrote it: the stages before that were kept, and DVC's run cache has the outputs of the others"


def forget(path: Path) -> str | None:
    """Remove a list of readers and writers that is not JSON; return a note, or None if it is whole."""
    with suppress(FileNotFoundError):
        try:
            json.loads(path.read_text(encoding="utf-8"))
        except ValueError:  # of JSON, or of UTF-8
            path.unlink()
            return f"{path} was truncated while DVC wrote it; a new one is started"
    return None


if __name__ == "__main__":
    from dvc.lock import make_lock
    from dvc.repo import Repo

    said, lock, users = [], Path("dvc.lock"), Path(".dvc/tmp/rwlock")
    if lock.exists() and not readable(lock.read_text(encoding="utf-8", errors="replace")):
        with Repo().lock:  # no process is writing it now
            said.append(mend(lock))
    if users.exists():
        with make_lock(f"{users}.lock", tmp_dir=str(users.parent), wait=True):  # the lock that DVC takes to read or write the list
            said.append(forget(users))
    for line in filter(None, said):
        print(f"semipose: {line}", file=sys.stderr)
