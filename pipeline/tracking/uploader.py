"""The process beside a stage that carries its journal into MLflow.

A process and not a thread: MLflow's import then costs training nothing, cannot meet torch's imports half-way, holds no
lock while data loaders fork, and a server that never answers is ended with the process.
"""

import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import Timeout

from pipeline.tracking.journal import Journal, leftovers
from pipeline.tracking.store import ensure_store, shown
from pipeline.tracking.upload import Upload

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient


CODE = Path(__file__).resolve().parent.parent.parent

# ---- the stage's side


def start(journal: Journal, root: Path) -> subprocess.Popen[bytes]:
    """Start the uploader of a journal; it works until `wait`, or until this process dies."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline.tracking.uploader", str(journal.path), str(root), str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(CODE)]))},
        start_new_session=True,  # Ctrl-C is for the stage; the uploader has yet to tell MLflow how it ended
    )
    assert process.stdout
    os.set_blocking(process.stdout.fileno(), False)
    return process


def heard(process: subprocess.Popen[bytes]) -> str:
    """What the uploader had to complain about, without waiting for it."""
    assert process.stdout
    with suppress(BlockingIOError):
        return os.read(process.stdout.fileno(), 4096).decode().strip()
    return ""


def wait(process: subprocess.Popen[bytes], limit_s: float) -> str:
    """Tell the uploader that the journal is complete, give it `limit_s` seconds, and say how it ended."""
    assert process.stdin
    # A word, and not only the end of the pipe: data loaders that were forked from here hold it open.
    with suppress(BrokenPipeError):
        os.write(process.stdin.fileno(), b".")
    try:
        return f"the uploader ended with status {process.wait(limit_s)}"
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return f"it did not take everything within {limit_s:g} s"


# ---- the uploader's side


def finish(journal: Journal, client: "MlflowClient") -> None:
    """Upload a journal to its end and remove it. One that was left open by a killed process is closed as KILLED.

    Raises filelock.Timeout where the process that writes it is alive. The caller holds the lock of the upload.
    """
    with journal.writing():
        first = next(journal.lines(), None)
        if first and not journal.ended():
            journal.append("end", status="KILLED", error="ended without a word: killed, or its disk was full")
        if not first or Upload(journal, client).pump():
            journal.remove()


def sync(root: Path, folder: Path, leave: str = "") -> Iterator[tuple[Journal, Exception | None]]:
    """Upload what dead processes left behind, but not the fingerprint `leave`; yields journals and what went wrong."""
    left = [journal for journal in leftovers(folder) if journal.fingerprint != leave]
    if not left:  # spares the import of MLflow
        return
    client = ensure_store(root)
    for journal in left:
        try:
            with journal.uploading().acquire(timeout=0):
                finish(journal, client)
        except Timeout:
            continue  # alive, or on its way in another process
        except Exception as error:
            yield journal, error
        else:
            yield journal, None


def follow(journal: Journal, root: Path, parent: int) -> Iterator[str]:
    """Upload a journal while its stage writes it, until the stage has ended; yields the reason of each failure.

    Returns once everything has arrived, or after one last attempt when the stage is over.
    """
    upload, pause, over, others = None, 0.0, False, True
    with journal.uploading():  # the uploader of a killed process may still be at work on the same run
        while not over:
            over = _is_over(parent, pause)  # asked before the journal is read: no line comes after
            try:
                upload = upload or _begin(journal, root)
                done = upload.pump()
                if over and not done:
                    with suppress(Timeout):  # free: the stage died without a word
                        finish(journal, upload.client)
                if done:
                    journal.remove()
                    return
                pause = 1.0
            except Exception as error:
                yield reason(error)
                upload, pause = None, min(max(5.0, 2 * pause), 60.0)
            if upload and others and not over:
                others = False
                with suppress(Exception):
                    for _ in sync(root, journal.path.parent, leave=journal.fingerprint):
                        if _is_over(parent, 0.0):
                            break


def _begin(journal: Journal, root: Path) -> Upload:
    """Open the store; earlier attempts of the same fingerprint go first, so that they are counted in order."""
    client = ensure_store(root)
    for earlier in leftovers(journal.path.parent):
        if earlier.fingerprint == journal.fingerprint and earlier.number < journal.number:
            with suppress(Timeout):
                finish(earlier, client)
    return Upload(journal, client)


def _is_over(parent: int, wait_s: float) -> bool:
    """Whether the stage has said that it is done, or is dead; loaders that outlive it may hold its pipe open."""
    spoken, _, _ = select.select([sys.stdin], [], [], wait_s)
    return bool(spoken) or os.getppid() != parent


def reason(error: Exception) -> str:
    """One short line, without the password that MLflow's errors repeat with the address; of a request that failed its cause alone."""
    if isinstance(error, ModuleNotFoundError):
        return f"{error.name} is not installed"
    said = shown(f"{type(error).__name__}: {error}").splitlines()[0]
    _, _, cause = said.partition("(Caused by ")
    return (cause.removesuffix(")") or said)[:200]


def main(path: str, root: str, parent: str) -> int:
    """Follow one journal; the first failure is told to the stage, on a pipe that nothing else can write to."""
    told = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for number, failure in enumerate(follow(Journal(Path(path)), Path(root), int(parent))):
        if number == 0:
            with suppress(OSError):
                print(failure, file=told, flush=True)
    return int(Path(path).exists())


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
