"""`python -m pipeline.lockfile`: what a kill cut off while DVC wrote it is mended: a dvc.lock is brought back to its last whole stage, and
.dvc/tmp/rwlock, DVC's list of who reads and writes what at the moment, begun anew.

DVC writes these files in place and refuses a part of one. What is lost with the end of a dvc.lock costs no training: DVC's run cache still
has the outputs. The list names processes that were running; DVC itself strikes off those that have ended.
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
    """Would DVC read it?"""
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA  # takes a while to come
    from voluptuous import Invalid

    try:
        COMPILED_LOCKFILE_SCHEMA(YAML(typ="safe").load(text))
    except (YAMLError, Invalid):
        return False
    return True


def mend(path: Path) -> str | None:
    """Bring it back, and say what was done or cannot be done; None where nothing was to do."""
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else EMPTY
    if readable(text):
        return None
    starts = [found.start() for found in STAGE.finditer(text)]
    # Without the stage in which it was cut off.
    left = text[: starts[-1]] if len(starts) > 1 else EMPTY if BEGIN.startswith(text[: len(BEGIN)]) else text
    if not readable(left):
        return (
            f"{path} is no lock file that DVC can read, and not one that was cut off: `git checkout {path}` brings the committed one back"
        )
    write_text(path, left)
    return f"{path} was cut off while DVC wrote it: the stages before that were kept, DVC's run cache has the outputs of the others"


def forget(path: Path) -> str | None:
    """Remove a list of readers and writers that is no JSON, and say so; None where nothing was to do."""
    with suppress(FileNotFoundError):
        try:
            json.loads(path.read_text(encoding="utf-8"))
        except ValueError:  # of JSON, or of UTF-8
            path.unlink()
            return f"{path} was cut off while DVC wrote it, and is begun anew"
    return None


if __name__ == "__main__":
    from dvc.lock import make_lock
    from dvc.repo import Repo

    said, lock, users = [], Path("dvc.lock"), Path(".dvc/tmp/rwlock")
    if lock.exists() and not readable(lock.read_text(encoding="utf-8", errors="replace")):
        with Repo().lock:  # nobody is writing it at this moment
            said.append(mend(lock))
    if users.exists():
        with make_lock(f"{users}.lock", tmp_dir=str(users.parent), wait=True):  # DVC takes it to read or write the list
            said.append(forget(users))
    for line in filter(None, said):
        print(f"semipose: {line}", file=sys.stderr)
