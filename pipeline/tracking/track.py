"""MLflow tracking for the stages: one MLflow run per run, and never a reason for training to stop.

Everything that a stage logs goes into a journal on disk.
A process beside the stage (`uploader`) carries the journal into MLflow.
A store that is slow, down or full costs one warning.
What it missed stays in the journal, and arrives with the next run or by

    python -m pipeline.track sync
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from pipeline.tracking import origin
from pipeline.tracking.journal import Journal, new_journal
from pipeline.tracking.origin import repo_root
from pipeline.tracking.store import reason, shown, tracking_uri
from semipose.utils.errors import Stopped

CODE = Path(__file__).resolve().parent.parent.parent


class Tracker:
    """What a stage logs to.

    No call waits for MLflow, or raises because of MLflow or a full disk.
    Without a journal, no call does anything.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.journal: Journal | None = None
        self.uploader: subprocess.Popen[bytes] | None = None
        self.warned = False
        self.step = 0  # the step logged last

    def dataset(self, name: str, context: str, source: str | Path, digest: str, people: int) -> None:
        """Log a data input.

        Args:
            name: Name of the data.
            context: Their use: train, unlabelled, validation.
            source: Their file.
            digest: Of the data.
            people: Number of people.
        """
        self._log("dataset", name=name, context=context, source=str(source), digest=digest, profile={"people": people})

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Log points of curves.

        The steps of a metric must grow: a step that MLflow already has is not stored again.
        A value named `step` is the axis.
        """
        self.step = max(self.step, step)
        curves = {name: float(value) for name, value in values.items() if name.split("/")[-1] != "step"}
        self._log("metrics", metrics=curves, step=step)

    def final(self, values: Mapping[str, float]) -> None:
        """Log the final metrics; they belong to the last logged step."""
        self.metrics(values, self.step)

    def file(self, name: str, path: str | Path) -> None:
        """Log a copy of a file as the artifact `name`, a relative path such as people/best.jpg."""
        if self.journal:
            with self._unstopped():
                place = self.journal.folder / "files" / name
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, place)
                self._log("artifact", name=name)

    def note(self, text: str) -> None:
        """Set the Markdown that MLflow shows above the run."""
        self._log("note", text=text)

    def model(self, weights: Path, metrics: Mapping[str, float], digest: str, name: str, registered: str = "") -> None:
        """Log the final metrics, and a model entry in MLflow that is linked to them.

        Args:
            weights: The weight file, which stays with DVC; the entry points at it.
            metrics: The final metrics.
            digest: Of the weight file.
            name: Name of the entry.
            registered: Name of a registered model of which the entry becomes a version; "": none.
        """
        place = weights.resolve()
        tags = {"weights": str(place.relative_to(self.root) if place.is_relative_to(self.root) else place), "digest": digest}
        name, registered = (re.sub(r"[^\w -]", "_", text) for text in (name, registered))
        values = {name: float(value) for name, value in metrics.items()}
        self._log("model", name=name, registered=registered, tags=tags, metrics=values, step=self.step)

    def open(self, journal: Journal, lock: IO[str], **start: Any) -> None:
        """Start the journal, and the process that uploads it until this one ends or dies.

        Args:
            journal: The journal.
            lock: Its lock, which the process inherits.
            start: Content of the journal's first line.
        """
        self.journal = journal
        journal.append("start", **start)
        # A process and not a thread: MLflow's import costs training no time and cannot collide with torch's;
        # no lock of it is held while data loaders fork; and a wait for a dead server can be ended.
        self.uploader = subprocess.Popen(
            [sys.executable, "-m", "pipeline.tracking.uploader", str(journal.folder), str(self.root), str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(CODE)]))},
            pass_fds=[lock.fileno()],
            start_new_session=True,  # Ctrl-C is for the stage; the uploader still has to tell MLflow how it ended
        )

    def close(self, status: str, limit_s: float, error: str = "") -> None:
        """End the run and wait for the upload.

        Args:
            status: FINISHED, FAILED or KILLED.
            limit_s: Longest wait in seconds.
            error: Why it failed.
        """
        if not self._log("end", status=status, error=error[:5000]) or not self.uploader or not self.journal:
            return
        try:
            how = f"the uploader ended with status {self.uploader.wait(limit_s)}"
        except subprocess.TimeoutExpired:
            self.uploader.kill()
            self.uploader.wait()
            how = f"not everything was uploaded within {limit_s:g} s"
        self._listen()
        if self.journal.folder.exists():
            self._warn(how)

    def _log(self, kind: str, **content: Any) -> bool:
        """Append a line; return whether it was written."""
        if self.journal:
            self._listen()
            with self._unstopped():
                self.journal.append(kind, **content)
                return True
        return False

    def _listen(self) -> None:
        """Print what the uploader reported, without waiting for it."""
        if self.journal and not self.warned:
            with suppress(FileNotFoundError):
                self._warn((self.journal.folder / "trouble").read_text())

    @contextmanager
    def _unstopped(self) -> Iterator[None]:
        """A full or read-only disk stops the journal, not the stage."""
        try:
            yield
        except OSError as error:
            self._warn(reason(error))

    def _warn(self, why: str) -> None:
        """Warn once per run: what fails now fails again at every step."""
        if self.warned:
            return
        self.warned = True
        with suppress(OSError):  # the reader of stderr has gone
            said = f"warning: MLflow at {shown(tracking_uri(self.root))} is missing a part of this run ({why})."
            goes_on = "The stage continues; upload the rest later with: python -m pipeline.track sync"
            print(said, goes_on, file=sys.stderr, flush=True)


@contextmanager
def run(
    stage: str,
    name: str,
    fingerprint: str,
    params: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
    limit_s: float = 30.0,
) -> Iterator[Tracker]:
    """Track one run of a stage as one run in MLflow.

    If the run of this fingerprint was killed or failed, it continues; if it is finished, a new run
    starts.
    The run ends as FINISHED, FAILED (the error becomes a tag and is raised again) or KILLED (a
    signal, Ctrl-C, a time limit).

    Args:
        stage: Name of the stage.
        name: Name of the run.
        fingerprint: Identifies the run.
        params: Parameters to log.
        tags: Tags beside those of the run's origin.
        limit_s: Longest wait for the upload at the end, in seconds.

    Yields:
        What the stage logs to.
    """
    root = repo_root()
    tracker = Tracker(root)
    # The tag and the key of the journal stay "cell": existing stores and journals have them.
    all_tags = {"semipose.stage": stage, "semipose.cell": name} | origin.tags(stage) | dict(tags or {})
    with ExitStack() as held:
        with tracker._unstopped():
            journal, lock = held.enter_context(new_journal(root, fingerprint))
            tracker.open(journal, lock, stage=stage, cell=name, params=params or {}, tags=all_tags)
        try:
            yield tracker
        except (KeyboardInterrupt, Stopped):
            tracker.close("KILLED", limit_s)
            raise
        except BaseException as error:
            tracker.close("FAILED", limit_s, f"{type(error).__name__}: {error}")
            raise
        tracker.close("FINISHED", limit_s)
