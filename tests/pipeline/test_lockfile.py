"""A dvc.lock that was cut off anywhere: DVC reads what is left of it, and nothing in it is made up. DVC's list of readers and writers."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.lockfile import forget, mend, readable

ROOT = Path(__file__).parent.parent.parent
WHOLE = (ROOT / "dvc.lock").read_text()
PARTS = re.split(r"(?m)^(?=  \S)", WHOLE)  # the head, and each stage
LOCK = "".join([PARTS[0], *sorted(PARTS[1:], key=len)[:4]])  # those that are quick to read, of a run among them


def stages(text: str) -> dict[str, Any]:
    found: dict[str, Any] = YAML(typ="safe").load(text).get("stages", {})
    return found


def test_a_whole_one_stays(tmp_path: Path) -> None:
    path = tmp_path / "dvc.lock"
    path.write_text(LOCK)
    before = path.stat().st_mtime_ns
    assert mend(path) is None
    assert (path.read_text(), path.stat().st_mtime_ns) == (LOCK, before)
    assert mend(tmp_path / "none") is None


ENDS = [at + 1 for at, letter in enumerate(LOCK) if letter == "\n"]


@pytest.mark.parametrize("ends", [range(0, 40, 5), ENDS[::15], range(97, len(LOCK), len(LOCK) // 12), (len(LOCK) - 40, len(LOCK) - 1)])
def test_cut_off_anywhere(ends: list[int], tmp_path: Path) -> None:
    path, every = tmp_path / "dvc.lock", stages(LOCK)
    for at in ends:
        path.write_text(LOCK[:at])
        said = mend(path)
        assert said is None or "was truncated while DVC wrote it" in said, LOCK[:at][-200:]
        text = path.read_text() if path.exists() else "schema: '2.0'\nstages: {}\n"
        assert readable(text)
        left = stages(text)
        assert list(left) == list(every)[: len(left)], "the first so many"
        known = list(left)[:-1] if said is None else list(left)  # between two lines nobody can tell that more was to come
        assert all(left[name] == every[name] for name in known)
        begun = sum(f"\n  {name}:\n" in LOCK[:at] for name in every)
        assert len(left) >= begun - 1, "at most the stage in which it was cut is lost"


@pytest.mark.parametrize(
    "spoilt",
    [LOCK.replace("    cmd: ", "<<<<<<< HEAD\n    cmd: ", 1), LOCK.replace("    cmd: ", "    cnd: ", 1), "not a lock", "a: 1\n"],
)
def test_one_that_was_not_cut_off_is_left_as_it_is(spoilt: str, tmp_path: Path) -> None:
    path = tmp_path / "dvc.lock"
    path.write_text(spoilt)
    said = mend(path)
    assert said
    assert "`git checkout" in said
    assert path.read_text() == spoilt


@pytest.mark.slow
def test_a_list_of_readers_and_writers_that_was_cut_off_is_begun_anew(tmp_path: Path) -> None:
    """DVC refuses it; after the command that `make repro` begins with it does not. A whole one is left to DVC."""
    users = tmp_path / ".dvc/tmp/rwlock"
    users.parent.mkdir(parents=True)
    (tmp_path / ".dvc/config").write_text("[core]\n    no_scm = true\n")
    (tmp_path / "dvc.yaml").write_text("stages:\n  one:\n    cmd: echo hello > out\n    outs: [out]\n")

    def run(*module: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        return subprocess.run([sys.executable, "-m", *module], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    whole = json.dumps({"write": {}, "read": {str(tmp_path / "data"): [{"pid": os.getpid(), "cmd": "dvc repro"}]}})
    users.write_text(whole[:-9])
    assert "JSON structure is corrupted" in run("dvc", "repro").stderr
    done = run("pipeline.lockfile")
    assert done.returncode == 0, done.stderr
    assert ".dvc/tmp/rwlock was truncated while DVC wrote it" in done.stderr
    assert not users.exists()
    assert run("dvc", "repro").returncode == 0
    users.write_text(whole)
    assert forget(users) is None
    assert users.exists()
    assert forget(tmp_path / "none") is None
