"""What every stage does around its work: check the parameters, know its fingerprint, hold its lock, keep MLflow informed."""

import errno
import hashlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pipeline.runtime.declared import reads, summary
from pipeline.tracking import track
from pipeline.tracking.origin import repo_root
from semipose.config.load import load
from semipose.config.tree import Params, fingerprint
from semipose.utils.errors import DOWNLOAD_AGAIN, PACK_AGAIN, SPLIT_AGAIN, Everywhere, InputError, Stopped
from semipose.utils.progress import shown

DISK = dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "Make room on that disk")
DISK |= dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM), "Make that folder writable")
GOES_ON = "A training goes on from its last checkpoint."
COMMANDS = {  # the library's messages know no DVC
    DOWNLOAD_AGAIN: "dvc repro --force download",
    PACK_AGAIN: "dvc repro --force --single-item prepare",
    SPLIT_AGAIN: "dvc repro split",
}
STOPPED = 75  # exit code of a stage that was asked to stop and is to be run again (EX_TEMPFAIL of sysexits.h)


@dataclass(frozen=True)
class Stage:
    """One stage cell: `item` holds what its matrix calls it by (method, labels, seed), `cell` is its name in paths and reports."""

    name: str
    cell: str
    item: dict[str, str]
    params: Params
    fingerprint: str
    listed: dict[str, Any]
    root: Path
    first: bool  # of the processes that train together: it alone locks, logs and writes

    @property
    def state(self) -> Path:
        """Where a killed run of this very fingerprint left its checkpoint."""
        return self.root / ".semipose" / "state" / self.fingerprint

    def forget(self, fingerprint: str) -> None:
        """Remove the checkpoint of a stage that came before: now that this one runs, DVC has recorded what that wrote. (A stage that
        removed its own would begin anew if it were killed while DVC takes note.) Another experiment that is at the same work keeps it."""
        state, lock = self.root / ".semipose" / "state" / fingerprint, FileLock(self.root / ".semipose" / "locks" / fingerprint)
        if self.first and state.exists():
            with suppress(Timeout), lock.acquire(timeout=0):
                shutil.rmtree(state, ignore_errors=True)


@contextmanager
def opened(name: str, cell: str, item: dict[str, str]) -> Iterator[tuple[Stage, track.Tracker]]:
    """Check the whole of params.yaml, take the locks of this work in this folder and of its fingerprint in any (a second process waits)
    and follow the work in MLflow."""
    params = load()
    root = repo_root()
    listed, deps = reads(name, item, params)
    digest = fingerprint(stage=name, item=item, params=listed, deps={path: content_digest(Path(path)) for path in deps})
    first = params.machine.devices * params.machine.nodes == 1 or _is_first_process()  # a SLURM job may hold trainings that are one process
    stage = Stage(name, cell, item, params, digest, listed, root, first)
    if not first:
        with _told_by_the_first():
            yield stage, track.Tracker(root)
        return
    named = f"{params.data.source}-{cell}" if item else cell
    tags = {"data": params.data.source} | item
    locks, what = root / ".semipose" / "locks", f"{name} {cell}"
    here = fingerprint(folder=str(Path.cwd()), work=what)  # with other parameters it writes the same files
    with (
        _alone(locks / here, what),
        _alone(locks / digest, what),
        track.run(stage=name, cell=named, fingerprint=digest, params=listed, tags=tags) as tracker,
        shown(name if cell == name else f"{name} {cell}"),
    ):
        begun = time.monotonic()
        yield stage, tracker
    print(summary(name, cell, item, params, time.monotonic() - begun), flush=True)


@contextmanager
def _told_by_the_first() -> Iterator[None]:
    """What all processes are ended by, the first one tells; another code than 0 would have Lightning end that one, which still writes."""
    try:
        yield
    except (Stopped, Everywhere):
        raise SystemExit(0) from None


@contextmanager
def _alone(path: Path, what: str) -> Iterator[None]:
    """Hold the lock; say so where another process has to come to its end first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        held = lock.acquire(timeout=0)
    except Timeout:
        sys.stderr.write(f"semipose: another process is at {what} in this folder: waiting for its end\n")
        held = lock.acquire()
    with held:
        yield


def main(work: Callable[..., None], arguments: Iterable[str]) -> None:
    """Run a stage's work from its command line. Bad input, and a disk that is full or cannot be written, cost one message and exit code 1,
    no traceback; a training that was asked to stop ends with exit code 75."""
    try:
        work(*arguments)
    except InputError as error:
        commands = "".join(f"To {what}, run `{command}`. " for what, command in COMMANDS.items() if what in str(error))
        sys.stderr.write(
            f"semipose: {error}\n{commands}Run `dvc repro` again after that. "
            "Nothing was changed; `dvc checkout` brings back what the stage had written before.\n"
        )
        raise SystemExit(1) from None
    except OSError as error:
        if error.errno not in DISK:
            raise
        sys.stderr.write(f"semipose: {error.filename}: {error.strerror}. {DISK[error.errno]}, and run `dvc repro` again. {GOES_ON}\n")
        raise SystemExit(1) from None
    except Stopped as stopped:
        sys.stderr.write(f"semipose: {stopped}. `dvc repro` goes on from there.\n")
        raise SystemExit(STOPPED) from None


def content_digest(path: Path) -> str:
    """SHA-256 of a file or of all files under a folder; a crop pack vouches for itself with the digest in its pack.json."""
    if (path / "pack.json").is_file():
        path = path / "pack.json"
    if not path.exists():
        raise InputError(f"{path} is missing: run `dvc repro`, which makes it")
    digest = hashlib.sha256()
    for file in (
        [path] if path.is_file() else sorted(entry for entry in path.rglob("*") if entry.is_file() and entry.parent.name != "__pycache__")
    ):
        digest.update(file.relative_to(path.parent).as_posix().encode())
        with file.open("rb") as opened_file:
            digest.update(hashlib.file_digest(opened_file, "sha256").digest())
    return digest.hexdigest()


def _is_first_process() -> bool:
    """As torchrun, SLURM or Fabric, which begin the processes, have told them."""
    for name in ("RANK", "SLURM_PROCID"):
        if name in os.environ:
            return os.environ[name] == "0"
    return os.environ.get("NODE_RANK", "0") == os.environ.get("LOCAL_RANK", "0") == "0"
