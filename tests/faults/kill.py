"""Kills the whole pipeline at random moments, again and again, and compares what it ends with to a run that was never killed.

    python tests/faults/kill.py --kills 50

Two clones of the project as it is committed, the preset `smoke` with longer trainings and a checkpoint every half second. One runs
through. The other is killed with SIGKILL, `dvc` and its stages, until that happened often enough; whenever it comes through, its outputs
are compared and removed, and it begins again. Prints which stages were killed how often, and what differs; exit code 1 if anything does.
"""

import argparse
import hashlib
import json
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

ROOT = Path(__file__).parent.parent.parent
BIN = Path(sys.executable).parent
OUTPUTS = ("data", "warmups", "runs", "reports/runs", "reports/views", "reports/pictures", "reports/results.csv")
LONGER = {"  steps: 6  ": "  steps: 60 ", "  steps: 14 ": "  steps: 200", "  checkpoint_seconds: 60 ": "  checkpoint_seconds: 0.5"}
LONGEST = 12.0  # seconds until a kill: longer than any stage that begins anew
ASK = """
from mlflow.tracking import MlflowClient
client = MlflowClient("sqlite:///mlflow.db")
for e in client.search_experiments():
    for r in client.search_runs([e.experiment_id]):
        print(r.info.status, r.info.run_name)
"""


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
    for old, new in LONGER.items():
        assert old in text, old
        text = text.replace(old, new)
    (target / "params.yaml").write_text(text)
    return target


def digests(folder: Path) -> dict[str, str]:
    """Of every output, but for what tells of time and machine (cost.json)."""
    files = [file for name in OUTPUTS for file in ([folder / name] if (folder / name).is_file() else (folder / name).rglob("*"))]
    return {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
        if file.is_file() and file.name not in ("cost.json", ".gitignore")
    }


def faults(folder: Path, whole: dict[str, str]) -> list[str]:
    """What differs from the run that was never killed, and what a kill left behind."""
    found = digests(folder)
    differing = [f"differs: {name}" for name in sorted(whole.keys() | found.keys()) if whole.get(name) != found.get(name)]
    left = [f"left: {path.relative_to(folder)}" for path in folder.rglob("*") if re.search(r"\.tmp$|\.partial|\.former$", path.name)]
    left = [one for one in left if not one.startswith(("left: .dvc", "left: .git"))]
    states = [f"left: {path.relative_to(folder)}" for path in (folder / ".semipose" / "state").glob("*")]
    runs = [f"MLflow: {line}" for line in run(folder, sys.executable, "-c", ASK).splitlines() if not line.startswith("FINISHED ")]
    return differing + left + states + runs


def begin_again(folder: Path) -> None:
    run(folder, "git", "checkout", "-q", "dvc.lock", "reports")
    for name in ("data", "warmups", "runs", ".dvc/cache", ".dvc/tmp"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in ("reports", "entries"):
        run(folder, "git", "clean", "-qxdf", name)
    (folder / "params.ok").unlink(missing_ok=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    moments, killed, found, passes = random.Random(options.seed), Counter[str](), list[str](), 0
    with tempfile.TemporaryDirectory() as scratch:
        reference, victim = clone(Path(scratch) / "whole"), clone(Path(scratch) / "killed")
        run(reference, "dvc", "repro")
        whole = digests(reference)
        while killed.total() < options.kills:
            with (victim / "log.txt").open("w") as log:
                process = subprocess.Popen(
                    ["dvc", "repro"], cwd=victim, env=environment(), stdout=log, stderr=subprocess.STDOUT, start_new_session=True
                )
            try:
                code = process.wait(moments.uniform(1, LONGEST))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                stages = re.findall(r"Running stage '([\w-]+)", (victim / "log.txt").read_text())
                killed[stages[-1] if stages else "dvc"] += 1
                continue
            if code:
                print((victim / "log.txt").read_text()[-3000:])
                return 1
            passes += 1
            found += faults(victim, whole)
            begin_again(victim)
        started = time.monotonic()
        run(victim, "dvc", "repro")
        found += faults(victim, whole)
        print(f"{killed.total()} kills: {json.dumps(dict(killed.most_common()))}; came through {passes + 1} times")
        print(f"{len(whole)} files compared; the last run took {time.monotonic() - started:.0f} s")
        print("\n".join(dict.fromkeys(found)) or "nothing differs, nothing is left")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
