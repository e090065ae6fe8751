"""Kills the whole pipeline at random moments, again and again, and compares what it ends with to a run that was never killed.

    python tests/faults/kill.py --kills 50

Two clones of the project as it is committed, the preset `smoke` with fewer people, longer trainings and a checkpoint every fifth of a
second. One runs through, and tells how long each stage takes. In the other every stage is killed with SIGKILL at moments sampled over that
time, which reaches from its start-up to DVC's taking stock of its outputs, before it may end: half of the times `dvc` and its stage, half
of the times the process that uploads to MLflow with them, as when the machine goes down. When that one came through and kills are left, its
outputs are compared and removed, and it begins again. Prints which stages were killed how often, and what differs; exit code 1 if
anything does.
"""

import argparse
import atexit
import hashlib
import json
import math
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil

ROOT = Path(__file__).parent.parent.parent
BIN = Path(sys.executable).parent
OUTPUTS = ("data", "entries", "warmups", "runs", "reports")
SMALL = {
    "  train_images: 60 ": "  train_images: 24 ",
    "  val_images: 20 ": "  val_images: 8 ",
    "  steps: 6": "  steps: 60",
    "  steps: 14": "  steps: 90",
    "  bootstrap: 100 ": "  bootstrap: 10  ",
    "  overlays: 8  ": "  overlays: 2  ",
    "  checkpoint_seconds: 60 ": "  checkpoint_seconds: 0.2 ",
}
TIMED = ("cost.json", ".gitignore")  # tells of time and machine; of DVC
# What MLflow has of each run: status, and every point of every curve.
ASK = """
import json
from mlflow.tracking import MlflowClient
client, found = MlflowClient("sqlite:///mlflow.db"), {}
for experiment in client.search_experiments():
    for run in client.search_runs([experiment.experiment_id], max_results=1000):
        points = {name: client.get_metric_history(run.info.run_id, name) for name in run.data.metrics}
        curves = {name: sorted((point.step, repr(point.value)) for point in points[name]) for name in points}
        # a run's training and its evaluation bear one name, in two experiments
        found.setdefault(f"{experiment.name}: {run.info.run_name}", {})[run.info.run_id] = {"status": run.info.status, "curves": curves}
print(json.dumps(found))
"""
MACHINE = r"seconds|memory|per_second"


def environment() -> dict[str, str]:
    left = {name: value for name, value in os.environ.items() if name not in ("MLFLOW_TRACKING_URI", "DVC_ROOT", "PYTHONPATH")}
    return left | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}


def run(folder: Path, *command: str) -> str:
    return subprocess.run(command, cwd=folder, env=environment(), check=True, capture_output=True, text=True).stdout


def clone(target: Path) -> Path:
    """With the preset, uncommitted, so that both clones stand on the same commit."""
    subprocess.run(["git", "clone", "-q", str(ROOT), str(target)], check=True)
    run(target, sys.executable, "-m", "pipeline.use", "smoke")
    text = (target / "params.yaml").read_text()
    for old, new in SMALL.items():
        assert old in text, old
        text = text.replace(old, new)
    (target / "params.yaml").write_text(text)
    return target


class Repro:
    """A running `dvc repro`: which stage it is at, and since when."""

    def __init__(self, folder: Path) -> None:
        self.log, self.stage, self.begun = folder / "log.txt", "dvc", time.monotonic()
        run(folder, sys.executable, "-m", "pipeline.lockfile")  # as `make repro` does
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                ["dvc", "repro"], cwd=folder, env=environment(), stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

        atexit.register(self.end)

    def end(self) -> None:
        """What still runs when this program ends."""
        if self.process.poll() is None:
            self.kill(uploader=True)

    def goes_on(self) -> bool:
        """Look at it again, a little later."""
        time.sleep(0.03)
        stages = re.findall(r"Running stage '([\w@-]+)", self.log.read_text())
        if stages and stages[-1] != self.stage:
            self.stage, self.begun = stages[-1], time.monotonic()
        return self.process.poll() is None

    def kill(self, uploader: bool) -> None:
        family = psutil.Process(self.process.pid).children(recursive=True) if uploader else []
        os.killpg(self.process.pid, signal.SIGKILL)
        for process in family:
            if process.is_running():
                process.kill()
        self.process.wait()

    def succeeded(self) -> bool:
        if self.process.returncode:
            print(self.log.read_text()[-5000:])
        return self.process.returncode == 0


def lengths(folder: Path) -> dict[str, float]:
    """Run through, and say how many seconds each stage took, with DVC's work after it."""
    repro, taken, at, begun = Repro(folder), dict[str, float](), "dvc", time.monotonic()
    while repro.goes_on():
        if repro.stage != at:
            taken[at], at, begun = time.monotonic() - begun, repro.stage, repro.begun
    assert repro.succeeded()
    return taken | {at: time.monotonic() - begun}


def come_through(folder: Path, taken: dict[str, float], kills: int, moments: random.Random, killed: Counter[str]) -> bool:
    """`dvc repro` until it ends by itself; each stage is killed so many times, or as often as it does not end before."""
    left = dict.fromkeys(taken, kills)
    while True:
        repro, stage, moment = Repro(folder), "", math.inf
        while repro.goes_on():
            if repro.stage != stage:
                stage = repro.stage
                moment = moments.uniform(0, taken.get(stage, 0)) if left.get(stage) else math.inf
            if time.monotonic() - repro.begun > moment:
                repro.kill(uploader=moments.random() < 0.5)
                left[stage] -= 1
                killed[stage] += 1
                print(f"{killed.total()}: {stage} after {time.monotonic() - repro.begun:.1f} s", flush=True)
                break
        else:
            return repro.succeeded()


def digests(folder: Path) -> dict[str, str]:
    """Of every output, but for what tells of time and machine."""
    files = [file for name in OUTPUTS for file in (folder / name).rglob("*") if file.is_file()]
    return {file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file.name not in TIMED}


def tracked(folder: Path) -> dict[str, dict[str, dict[str, object]]]:
    found: dict[str, dict[str, dict[str, object]]] = json.loads(run(folder, sys.executable, "-c", ASK))
    return found


def faults(folder: Path, whole: Path) -> list[str]:
    """What differs from the run that was never killed, and what a kill left behind."""
    ours, theirs = digests(folder), digests(whole)
    differing = [f"differs: {name}" for name in sorted(theirs.keys() | ours.keys()) if theirs.get(name) != ours.get(name)]
    left = [f"left: {path.relative_to(folder)}" for path in folder.rglob("*") if re.search(r"\.(tmp|new|part|partial|former)$", path.name)]
    left = [one for one in left if not one.startswith(("left: .dvc", "left: .git"))]
    states = [f"left: {path.relative_to(folder)}" for kind in ("state", "track") for path in (folder / ".semipose" / kind).glob("*")]
    found, expected, runs = tracked(folder), tracked(whole), []
    for name in sorted(found.keys() | expected.keys()):
        attempts, (wanted,) = found.get(name, {}), expected.get(name, {"0": {}}).values()
        runs += [f"MLflow: {name} is {one['status']}" for one in attempts.values() if one["status"] != "FINISHED"]
        runs += [f"MLflow: {name} has another curve" for one in attempts.values() if same(one) != same(wanted)] or (
            [] if attempts else [f"MLflow: {name} is missing"]
        )
    return differing + left + states + runs


def same(run: dict[str, object]) -> dict[str, object]:
    """The curves that do not tell of time and machine."""
    curves = run.get("curves", {})
    assert isinstance(curves, dict)
    return {name: points for name, points in curves.items() if not re.search(MACHINE, name)}


def begin_again(folder: Path) -> None:
    run(folder, "git", "checkout", "-q", "dvc.lock", "reports")
    for name in ("data", "warmups", "runs", ".dvc/cache", ".dvc/tmp", "mlruns", ".semipose"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in ("reports", "entries"):
        run(folder, "git", "clean", "-qxdf", name)
    for name in ("params.ok", "mlflow.db"):
        (folder / name).unlink(missing_ok=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where the clones are made and kept (default: a temporary folder)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    moments, killed, found, passes, started = random.Random(options.seed), Counter[str](), list[str](), 0, time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        place = options.folder or Path(scratch)
        whole, victim = clone(place / "whole"), clone(place / "killed")
        taken = lengths(whole)
        print(f"without kills: {json.dumps({stage: round(seconds, 1) for stage, seconds in taken.items()})}", flush=True)
        while killed.total() < options.kills:
            if passes:
                begin_again(victim)
            each = math.ceil((options.kills - killed.total()) / len(taken))
            if not come_through(victim, taken, each, moments, killed):
                return 1
            passes += 1
            found += faults(victim, whole)
            print(f"{killed.total()} kills after {time.monotonic() - started:.0f} s", flush=True)
        print(f"{killed.total()} kills: {json.dumps(dict(killed.most_common()))}; came through {passes} times")
        print(f"{len(digests(whole))} files and {len(tracked(whole))} runs in MLflow compared")
        print("\n".join(dict.fromkeys(found)) or "nothing differs, nothing is left")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
