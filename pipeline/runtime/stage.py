"""What every stage does around its work: check parameters,
compute the fingerprint, hold locks, log to MLflow.
"""

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

from filelock import FileLock, Timeout

from pipeline.runtime.declared import reads, summary
from pipeline.tracking import track
from pipeline.tracking.origin import repo_root
from semipose.config.load import load
from semipose.config.tree import Params, fingerprint
from semipose.utils.errors import DOWNLOAD_AGAIN, FROM_PRESET, NEW_NAMES, PACK_AGAIN, SPLIT_AGAIN, Everywhere, InputError, Stopped
from semipose.utils.progress import shown

DISK = dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "Make room on that disk")
DISK |= dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM), "Make that folder writable")
GOES_ON = "A training continues from its last checkpoint."
COMMANDS = {  # the library's messages know no DVC and no pipeline
    FROM_PRESET: "python -m pipeline.use demo",
    NEW_NAMES: "python -m pipeline.use --migrate params.yaml",
    DOWNLOAD_AGAIN: "dvc repro --force download",
    PACK_AGAIN: "dvc repro --force --single-item prepare",
    SPLIT_AGAIN: "dvc repro split",
}
STOPPED = 75  # exit code of a stage that was asked to stop and should run again (EX_TEMPFAIL of sysexits.h)


@dataclass(frozen=True)
class Stage:
    """One run of a stage.

    Attributes:
        name: Name of the stage.
        run: Name of the run in paths; that of the stage if it has no matrix.
        item: Its matrix values (method, labels, seed).
        params: All parameters.
        fingerprint: Digest of all that it reads.
        root: Root of the repository.
        first: Whether this is the first of the processes that train together.
    """

    name: str
    run: str
    item: dict[str, str]
    params: Params
    fingerprint: str
    root: Path
    first: bool  # of the processes that train together: only this one locks, logs and writes

    @property
    def state(self) -> Path:
        """Folder with the checkpoint of a killed run of this fingerprint."""
        return self.root / ".semipose" / "state" / self.fingerprint

    def forget(self, fingerprint: str) -> None:
        """Remove the checkpoint of an earlier stage: DVC has
        recorded its outputs now that this one runs.

        (A stage that removed its own checkpoint would start over
        if it were killed while DVC records it.)
        The checkpoint stays while another experiment does the same work.
        """
        state, lock = self.root / ".semipose" / "state" / fingerprint, FileLock(self.root / ".semipose" / "locks" / fingerprint)
        if self.first and state.exists():
            with suppress(Timeout), lock.acquire(timeout=0):
                shutil.rmtree(state, ignore_errors=True)


@contextmanager
def opened(name: str, **item: str) -> Iterator[tuple[Stage, track.Tracker]]:
    """Check the whole params.yaml, take the locks, and track the work in MLflow.

    One lock is for this work in this folder, one for its fingerprint in any folder; a second
    process waits.

    Args:
        name: Name of the stage in dvc.yaml.
        item: Its matrix values; none for a stage without a matrix.

    Yields:
        The run of the stage, and what it logs to.

    Raises:
        InputError: params.yaml is wrong, or something that the stage reads is missing.
    """
    params = load()
    root = repo_root()
    run = "-".join(f"s{value}" if key == "seed" else value for key, value in item.items()) or name
    what = f"{name} {run}" if item else name
    listed, deps = reads(name, item, params)
    digest = fingerprint(stage=name, item=item, params=listed, deps={path: content_digest(Path(path)) for path in deps})
    first = params.machine.devices * params.machine.nodes == 1 or _is_first_process()  # a SLURM job may contain trainings of one process
    stage = Stage(name, run, item, params, digest, root, first)
    if not first:
        with _told_by_the_first():
            yield stage, track.Tracker(root)
        return
    named = f"{params.data.source}-{run}" if item else run
    tags = {"data": params.data.source} | item
    locks = root / ".semipose" / "locks"
    here = fingerprint(folder=str(Path.cwd()), work=what)  # the same files are written with other parameters
    with (
        _alone(locks / here, what),
        _alone(locks / digest, what),
        track.run(stage=name, name=named, fingerprint=digest, params=listed, tags=tags) as tracker,
        shown(what),
    ):
        begun = time.monotonic()
        yield stage, tracker
    print(f"{what}: {summary(name, item, params, time.monotonic() - begun)}", flush=True)


@contextmanager
def _told_by_the_first() -> Iterator[None]:
    """End the other processes quietly, because the first one prints what ended them all.

    With another exit code than 0, Lightning would end the first process, which is still writing.
    """
    try:
        yield
    except (Stopped, Everywhere):
        raise SystemExit(0) from None


@contextmanager
def _alone(path: Path, what: str) -> Iterator[None]:
    """Hold the lock; print a note if another process holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        held = lock.acquire(timeout=0)
    except Timeout:
        sys.stderr.write(f"semipose: another process runs {what} in this folder; waiting for it to end\n")
        held = lock.acquire()
    with held:
        yield


def main(work: Callable[..., None], arguments: Iterable[str]) -> None:
    """Run a stage's work from its command line.

    Bad input, a full disk or a read-only folder cost one message and exit code 1, without a
    traceback.
    A training that was asked to stop ends with exit code 75.

    Args:
        work: The work.
        arguments: What it is called with.
    """
    try:
        work(*arguments)
    except InputError as error:
        commands = "".join(f"To {what}, run `{command}`. " for what, command in COMMANDS.items() if what in str(error))
        sys.stderr.write(
            f"semipose: {error}\n{commands}Run `dvc repro` again after that. "
            "No run was changed; `dvc checkout` brings back outputs that DVC removed before this stage.\n"
        )
        raise SystemExit(1) from None
    except OSError as error:
        if error.errno not in DISK:
            raise
        sys.stderr.write(f"semipose: {error.filename}: {error.strerror}. {DISK[error.errno]}, and run `dvc repro` again. {GOES_ON}\n")
        raise SystemExit(1) from None
    except Stopped as stopped:
        sys.stderr.write(f"semipose: {stopped}. Run `dvc repro` to continue from there.\n")
        raise SystemExit(STOPPED) from None


def content_digest(path: Path) -> str:
    """SHA-256 of a file or of all files under a folder; for a
    crop pack, of its pack.json with its digest.

    Raises:
        InputError: There is no such file or folder.
    """
    if (path / "pack.json").is_file():
        path = path / "pack.json"
    if not path.exists():
        raise InputError(f"{path} is missing: run `dvc repro` to make it")
    digest = hashlib.sha256()
    within = (entry for entry in path.rglob("*") if entry.is_file() and entry.parent.name != "__pycache__")
    for file in [path] if path.is_file() else sorted(within):
        digest.update(file.relative_to(path.parent).as_posix().encode())
        with file.open("rb") as opened_file:
            digest.update(hashlib.file_digest(opened_file, "sha256").digest())
    return digest.hexdigest()


def _is_first_process() -> bool:
    """Whether this is the first process, as torchrun, SLURM or Fabric say in the environment."""
    for name in ("RANK", "SLURM_PROCID"):
        if name in os.environ:
            return os.environ[name] == "0"
    return os.environ.get("NODE_RANK", "0") == os.environ.get("LOCAL_RANK", "0") == "0"
