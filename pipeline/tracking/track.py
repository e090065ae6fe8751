"""MLflow tracking for the stages: one run per cell, and never a reason for training to stop.

Everything that a stage logs goes into a journal on disk; a process beside it (`uploader`) carries the journal into
MLflow. A store that is slow, down or full costs one warning. What it missed stays in the journal, and arrives with the
next run or by

    python -m pipeline.track sync
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from filelock import BaseFileLock
from PIL import Image

from pipeline.tracking import origin, uploader
from pipeline.tracking.journal import Journal, take
from pipeline.tracking.origin import repo_root
from pipeline.tracking.store import shown, tracking_uri
from semipose.utils.errors import Stopped


class Terminated(SystemExit):
    """SIGTERM as an exception, so that the run is closed before the process ends."""


class Tracker:
    """What a stage logs to. No call waits for MLflow, or raises because of it or of a full disk."""

    def __init__(self, folder: Path, root: Path, limit_s: float) -> None:
        self.folder, self.root, self.limit_s = folder, root, limit_s
        self.journal: Journal | None = None
        self.writing: BaseFileLock | None = None
        self.uploader: subprocess.Popen[bytes] | None = None
        self.warned = False
        self.step = 0  # the last one logged

    def dataset(self, name: str, context: str, source: str | Path, digest: str, people: int) -> None:
        """A data input: `context` says what it is for (train, unlabelled, validation), `source` which file it is."""
        self._log("dataset", name=name, context=context, source=str(source), digest=digest, profile={"people": people})

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Points of the curves. Steps of a name must grow: one that MLflow already has is not stored again. A value `step` is the axis."""
        self.step = max(self.step, step)
        curves = {name: value for name, value in values.items() if name.split("/")[-1] != "step"}
        self._log("metrics", metrics=_floats(curves), step=step)

    def final(self, values: Mapping[str, float]) -> None:
        """The final metrics; they belong to the last step that was logged."""
        self.metrics(values, self.step)

    def picture(self, name: str, picture: Image.Image | str | Path) -> None:
        """An image, given as such or as a path, kept in MLflow as the artifact `name` (overlays/best.png)."""
        if isinstance(picture, Image.Image):
            form = Image.registered_extensions()[Path(name).suffix.lower()]
            self._keep(name, lambda place: picture.save(place, format=form))
        else:
            self.file(name, picture)

    def file(self, name: str, path: str | Path) -> None:
        """A copy of a file, kept in MLflow as the artifact `name`. Raises FileNotFoundError where it is missing."""
        if not Path(path).is_file():
            raise FileNotFoundError(f"{path}: there is no such file to track")
        self._keep(name, lambda place: shutil.copyfile(path, place))

    def note(self, text: str) -> None:
        """Markdown that MLflow prints above the run."""
        self._log("note", text=text)

    def model(self, weights: Path, metrics: Mapping[str, float], digest: str, name: str, registered: str = "") -> None:
        """A model entry in MLflow that points at the weights, which stay with DVC, and is linked to its metrics; with `registered`, a
        version of the registered model of that name too."""
        place = weights.resolve()
        tags = {"weights": str(place.relative_to(self.root) if place.is_relative_to(self.root) else place), "digest": digest}
        name, registered = (re.sub(r"[^\w -]", "_", text) for text in (name, registered))
        self._log("model", name=name, registered=registered, tags=tags, metrics=_floats(metrics), step=self.step)

    def open(self, fingerprint: str, **start: Any) -> None:
        """Take the journal of a fingerprint and start the process that uploads it."""
        with self._unstopped():
            self.journal, self.writing = take(self.folder, fingerprint)
            self.journal.append("start", **start)
            self.uploader = uploader.start(self.journal, self.root)

    def close(self, status: str, error: str = "") -> None:
        """End the run and wait for the upload, `limit_s` seconds at most."""
        self._log("end", status=status, error=error[:5000])
        if self.uploader and self.journal:
            how = uploader.wait(self.uploader, self.limit_s)
            self._listen()
            if self.journal.path.exists():
                self._warn(how)
        if self.writing:
            self.writing.release()

    def _log(self, kind: str, **content: Any) -> None:
        if self.journal:
            with self._unstopped():
                self.journal.append(kind, **content)
            self._listen()

    def _keep(self, name: str, write: Callable[[Path], object]) -> None:
        """Write an artifact beside the journal, whole or not at all."""
        if not self.journal:
            return
        with self._unstopped():
            place = self.journal.place(name)
            unfinished = place.with_name(f"{place.name}.new")
            try:
                write(unfinished)
                unfinished.replace(place)
            finally:
                unfinished.unlink(missing_ok=True)
            self._log("artifact", name=name)

    def _listen(self) -> None:
        """Pass on what the uploader had to say, without waiting for it."""
        if self.uploader and not self.warned and (said := uploader.heard(self.uploader)):
            self._warn(said)

    @contextmanager
    def _unstopped(self) -> Iterator[None]:
        """A disk that is full or read-only stops the journal, not the stage."""
        try:
            yield
        except OSError as error:
            self._warn(uploader.reason(error))

    def _warn(self, why: str) -> None:
        """Once per run: what fails now fails again at every step."""
        if self.warned:
            return
        self.warned = True
        store = shown(tracking_uri(self.root))
        elsewhere = "" if self.folder == journals(self.root) else f" --folder {self.folder}"
        with suppress(OSError):  # nobody reads stderr any more
            said = f"warning: MLflow at {store} is missing a part of this run ({why}). The stage goes on; bring the rest there later with:"
            print(f"{said} python -m pipeline.track sync{elsewhere}", file=sys.stderr, flush=True)


@contextmanager
def run(
    stage: str,
    cell: str,
    fingerprint: str,
    params: Mapping[str, Any] | None = None,
    tags: Mapping[str, object] | None = None,
    folder: Path | None = None,
    limit_s: float = 30.0,
) -> Iterator[Tracker]:
    """Track one stage cell as one run in MLflow, named after the cell and found again by its fingerprint.

    A fingerprint whose run was killed or failed goes on in the same run; one whose run is finished gets a new run, its
    tag `semipose.attempt` counted up. The run ends FINISHED, FAILED (the error is a tag, and is raised again) or KILLED
    (SIGTERM, Ctrl-C, a time limit). Leaving waits `limit_s` seconds at most. `folder` is where the journals are, by default
    `<repo root>/.semipose/track`.
    """
    root = repo_root()
    tracker = Tracker((folder or journals(root)).resolve(), root, limit_s)
    all_tags = {"semipose.stage": stage, "semipose.cell": cell} | origin.tags(stage)
    all_tags |= {key: str(value) for key, value in (tags or {}).items()}
    tracker.open(fingerprint, stage=stage, cell=cell, params=params or {}, tags=all_tags)
    status, error = "FAILED", ""
    try:
        with _sigterm_raises():
            yield tracker
        status = "FINISHED"
    except (KeyboardInterrupt, Terminated, Stopped):
        status = "KILLED"
        raise
    except BaseException as raised:
        if isinstance(raised, SystemExit) and not raised.code:
            status = "FINISHED"
        else:
            error = f"{type(raised).__name__}: {raised}"
        raise
    finally:
        tracker.close(status, error)


def journals(root: Path) -> Path:
    """The folder of the journals."""
    return root / ".semipose" / "track"


def _floats(values: Mapping[str, float]) -> dict[str, float]:
    """Plain numbers, also where the stage has tensors."""
    return {name: float(value) for name, value in values.items()}


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    """Let SIGTERM unwind the stage, unless the stage has its own plan for it."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    owner = os.getpid()

    def stop(number: int, frame: FrameType | None) -> None:
        if os.getpid() != owner:  # a forked data loader: its run is the parent's
            os._exit(128 + number)
        raise Terminated(128 + number)

    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
