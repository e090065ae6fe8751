"""What may happen to a stage on a machine: kills, a full or read-only disk, a spoiled pack, a neighbour. The whole: kill.py."""

import ctypes
import hashlib
import itertools
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import forked
import numpy as np
import psutil
import pytest
import torch
from filelock import FileLock
from forked import ended
from safetensors.torch import load_file
from small_project import warmed_up

from pipeline.runtime import stage
from pipeline.stages import evaluate, prepare, split, train
from semipose.config.tree import fingerprint
from semipose.data.packing import cutting, writing
from semipose.data.packing.unfinished import Unfinished
from semipose.training import checkpoint
from semipose.utils.errors import Everywhere, InputError, Stopped

pytestmark = pytest.mark.slow
RUN = ("train", "akm", "L20", "0")
STEPS = 16
CHANGES = {"  steps: 14": f"  steps: {STEPS}", "  checkpoint_seconds: 60 ": "  checkpoint_seconds: 0 "}
CAP_DAC_OVERRIDE = 1  # of linux/capability.h


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Up to the warm-up of a run. MLflow, which test_track.py is about, is left out."""
    folder = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        warmed_up(folder, patch, CHANGES)
        yield folder


def begin(work: Callable[[], object], words: Path) -> int:
    """A process of its own for the work of a stage; `words` gets what it says."""
    return forked.begin(partial(stage.main, work, []), words)


def workers(parent: psutil.Process) -> list[psutil.Process]:
    """Its worker processes; multiprocessing has one more, which keeps an account of resources."""
    return [child for child in parent.children() if "spawn_main" in " ".join(child.cmdline())]


def trained() -> None:
    train.train(*RUN)


def results(project: Path) -> dict[str, str]:
    files = [file for file in (project / "runs").rglob("*") if file.is_file() and file.name not in ("cost.json", "predictions.json")]
    files += (project / "reports/views").rglob("*.jpg")
    return {file.relative_to(project).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


class Whole(NamedTuple):
    """What an undisturbed training leaves: its files, and the size of its checkpoint (bytes)."""

    files: dict[str, str]
    checkpoint: int


@pytest.fixture(scope="module")
def whole(project: Path) -> Whole:
    trained()
    state = project / ".semipose/state"
    (left,) = state.rglob("checkpoint.pt")
    size = left.stat().st_size
    shutil.rmtree(state)  # or the next training would be done at once
    return Whole(results(project), size)


def test_killed_and_stopped_it_ends_with_the_same_files(project: Path, whole: Whole, tmp_path: Path) -> None:
    """After a few checkpoints each time, at any moment between two of them; then asked to stop; the last one is let through."""
    moments, state, words = random.Random(0), project / ".semipose/state", tmp_path / "words"
    for name in whole.files:
        (project / name).unlink()

    def disturbed(by: signal.Signals, checkpoints: int) -> int:
        process, written = begin(trained, words), set[int]()
        while len(written) < checkpoints:
            assert os.waitpid(process, os.WNOHANG) == (0, 0), words.read_text()
            with suppress(FileNotFoundError):  # between two of them it has just got its other name
                written |= {path.stat().st_mtime_ns for path in state.rglob("checkpoint.pt")}
        time.sleep(moments.uniform(0, 0.05))
        os.kill(process, by)
        return ended(process)

    for _ in range(2):
        assert disturbed(signal.SIGKILL, moments.randint(1, 3)) == -signal.SIGKILL
    assert disturbed(signal.SIGTERM, 2) == stage.STOPPED
    said = words.read_text()
    step = re.search(
        rf"stopped by SIGTERM: a checkpoint was left after step (\d+) of {STEPS}. Run `dvc repro` to continue from there", said
    )
    assert step, said
    (left,) = state.iterdir()
    found = checkpoint.load(left)
    assert found
    assert found["progress"]["step"] == int(step[1]) < STEPS
    trained()
    assert results(project) == whole.files
    # Killed while DVC takes note, it has not to begin anew; that is over once the next stage runs.
    (left,) = state.iterdir()
    with FileLock(project / ".semipose/locks" / left.name):  # another experiment trains the same
        evaluate.evaluate_run("evaluate", *RUN[1:])
    assert left.exists()
    records = {path: path.read_bytes() for path in (project / "reports/runs").rglob("*.*")}
    evaluate.evaluate_run("evaluate", *RUN[1:])
    assert not left.exists()
    assert records == {path: path.read_bytes() for path in (project / "reports/runs").rglob("*.*")}, "figures come out again"


def test_on_a_full_disk_the_last_checkpoint_stays(project: Path, whole: Whole, tmp_path: Path) -> None:
    """A disk with room for one checkpoint and a half; then it grows."""
    state, size = project / ".semipose/state", whole.checkpoint * 3 // 2
    state.mkdir(exist_ok=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(state)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        assert ended(begin(trained, tmp_path / "words")) == 1
        said = (tmp_path / "words").read_text()
        assert "checkpoint.pt: No space left on device. Make room on that disk, and run `dvc repro` again" in said
        assert "Traceback" not in said
        assert [path.name for path in state.rglob("*.*")] == ["checkpoint.pt"]
        subprocess.run(["mount", "-o", f"remount,size={10 * size}", str(state)], check=True)
        trained()
    finally:
        subprocess.run(["umount", str(state)], check=True)
    assert {name: results(project)[name] for name in whole.files} == whole.files


def test_on_a_full_disk_what_was_cut_stays(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk with room for one of two packs; then it grows."""
    for name in ("dvc.yaml", "pipeline", "semipose", "params.yaml", "params.ok"):
        (tmp_path / name).symlink_to(project / name)
    packs, before = tmp_path / "data/packs", project / "data/packs"
    packs.mkdir(parents=True)
    for path in (project / "data").iterdir():
        if path.name != "packs":
            (tmp_path / "data" / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    size = sum(path.stat().st_size for path in before.glob("train/*")) + (before / "val/crops.npy").stat().st_size // 2
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(packs)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        assert ended(begin(prepare.prepare, tmp_path / "words")) == 1
        said = (tmp_path / "words").read_text()
        assert re.search(r"val\.partial/crops\.npy: [\d,]+ bytes are needed, [\d,]+ are free\. Make room on that disk", said), said
        assert "Traceback" not in said
        subprocess.run(["mount", "-o", f"remount,size={10 * size}", str(packs)], check=True)
        cut = (packs / ".train.partial/crops.npy").stat().st_mtime_ns
        prepare.prepare()
        assert (packs / "train/crops.npy").stat().st_mtime_ns == cut, "the pack that was finished is not cut again"
        for path in before.rglob("*.*"):
            assert (packs / path.relative_to(before)).read_bytes() == path.read_bytes()
    finally:
        subprocess.run(["umount", str(packs)], check=True)


def test_a_killed_worker_is_told_and_what_was_cut_stays(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of the two that cut out the training people; both were held when the first chunks were noted."""
    for name in ("dvc.yaml", "pipeline", "semipose", "params.ok"):
        (tmp_path / name).symlink_to(project / name)
    before = project / "data/packs"
    (tmp_path / "data").mkdir()
    for path in (project / "data").iterdir():
        if path.name != "packs":
            (tmp_path / "data" / path.name).symlink_to(path)
    (tmp_path / "params.yaml").write_text((project / "params.yaml").read_text().replace("  workers: 1 ", "  workers: 2 "))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(writing, "CHUNK", 1)

    def noted(self: Unfinished, *args: Any) -> Any:
        """Holds the workers once two chunks are noted: nothing but the kill ends that."""
        if next(chunk) == 2:
            for worker in workers(psutil.Process()):
                worker.suspend()
        return add(self, *args)

    add, chunk = Unfinished.add, itertools.count()
    monkeypatch.setattr(Unfinished, "add", noted)
    process = begin(prepare.prepare, tmp_path / "words")
    until(lambda: [one.status() for one in workers(psutil.Process(process))] == 2 * [psutil.STATUS_STOPPED])
    victim, other = workers(psutil.Process(process))
    victim.kill()
    other.resume()
    assert ended(process) == 1
    said = (tmp_path / "words").read_text()
    assert "semipose: one of 2 worker processes was killed, by hand or because memory ran out; start again" in said
    assert "Run `dvc repro` again" in said
    assert "Traceback" not in said
    cut = np.load(tmp_path / "data/packs/.train.partial/digests.npy").any(1).sum()
    decoded: list[Path] = []
    monkeypatch.setattr(cutting, "read_image", lambda path, *how, read=cutting.read_image: decoded.append(path) or read(path, *how))
    monkeypatch.setattr(Unfinished, "add", add)
    (tmp_path / "params.yaml").write_text((project / "params.yaml").read_text())
    prepare.prepare()
    assert cut >= 2
    assert len([path for path in decoded if "train" in path.as_posix()]) <= 28
    for path in before.rglob("*.*"):
        assert (tmp_path / "data/packs" / path.relative_to(before)).read_bytes() == path.read_bytes()


def test_a_loss_that_is_no_number_ends_the_stage_by_name(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a learning rate that no network stands: which term, in which step, and whose people; and nothing is left behind as a result."""
    for name in ("dvc.yaml", "pipeline", "semipose", "data", "warmups", "params.ok", "entries"):
        (tmp_path / name).symlink_to(project / name)
    text, rate = (project / "params.yaml").read_text(), re.compile(r"(?m)^(train:.*\n(?:  .*\n)*?  lr:) \S+")
    assert rate.search(text)
    (tmp_path / "params.yaml").write_text(rate.sub(r"\1 1.0e+30", text))
    monkeypatch.chdir(tmp_path)
    assert ended(begin(trained, tmp_path / "words")) == 1
    said = (tmp_path / "words").read_text()
    assert re.search(r"semipose: step \d+: loss/\w+ is \S+\. Lower the learning rate.*labelled \d+, .*; unlabelled \d+, \d+", said), said
    assert "Traceback" not in said
    assert not list((tmp_path / "runs").rglob("*.safetensors"))


ALONE = """
import sys
from contextlib import nullcontext
from unittest.mock import MagicMock
import torch.distributed
from pipeline.runtime import stage
from pipeline.stages import evaluate, train
from pipeline.tracking import track
track.run = lambda **told: nullcontext(MagicMock())
stage.main(train.train, ["train", *sys.argv[1:]])
torch.distributed.barrier()
stage.main(evaluate.evaluate_run, ["evaluate", *sys.argv[1:]])
"""


def test_two_processes_end_when_one_is_killed_go_on_and_end_as_one_does(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without MLflow, over gloo, as Lightning begins them. The second is killed, which ends the first; both go on from the checkpoint that
    this one has written, and both evaluate. (Both stop after the same step: test_groups.py.)"""
    for name in ("dvc.yaml", "pipeline", "semipose", "data", "warmups", "params.ok", "entries"):
        (tmp_path / name).symlink_to(project / name)
    text = (project / "params.yaml").read_text().replace("  batch_groups: 1", "  batch_groups: 2")
    assert "  devices: 1 " in text
    (tmp_path / "params.yaml").write_text(text)
    (tmp_path / "alone.py").write_text(ALONE)

    def started() -> subprocess.Popen[str]:
        command, nowhere = [sys.executable, "alone.py", *RUN[1:]], os.environ | {"CUDA_VISIBLE_DEVICES": ""}
        return subprocess.Popen(command, cwd=tmp_path, env=nowhere, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def left() -> tuple[dict[str, torch.Tensor], dict[str, float]]:
        (record,) = (tmp_path / "reports/runs").glob("*.json")
        metrics = {name: one["value"] for name, one in json.loads(record.read_text())["metrics"].items()}
        return load_file(next((tmp_path / "runs").glob("*/weights.safetensors"))), metrics

    monkeypatch.chdir(tmp_path)
    trained()
    evaluate.evaluate_run("evaluate", *RUN[1:])
    weights, metrics = left()
    shutil.rmtree(tmp_path / "runs")
    (tmp_path / "params.yaml").write_text(text.replace("  devices: 1 ", "  devices: 2 "))
    state = tmp_path / ".semipose/state"
    assert not list(state.iterdir()), "the evaluation has removed the checkpoint"
    first = started()
    until(lambda: first.poll() is not None or list(state.rglob("checkpoint.pt")))
    assert first.poll() is None, ending(first, 1)
    second = next(child for child in psutil.Process(first.pid).children() if child.environ().get("LOCAL_RANK") == "1")
    second.kill()
    code, said = ending(first, 100)
    assert code != 0, f"it does not wait for the dead: {said}"
    (kept,) = state.iterdir()
    found = checkpoint.load(kept)
    assert found
    assert 0 < found["progress"]["step"] < STEPS
    code, said = ending(started(), 400)
    assert code == 0, said
    again, measured = left()
    for name, value in weights.items():
        torch.testing.assert_close(again[name], value, rtol=1e-3, atol=1e-5)
    assert measured == pytest.approx(metrics, abs=0.1, nan_ok=True)


def test_a_folder_that_cannot_be_written_is_named(project: Path, tmp_path: Path) -> None:
    place = project / "data/split"

    def without_rights() -> None:
        obey_permissions()
        split.split()

    place.chmod(0o555)
    try:
        assert ended(begin(without_rights, tmp_path / "words")) == 1
    finally:
        place.chmod(0o755)
    said = (tmp_path / "words").read_text()
    assert re.search(r"semipose: data/split/\S+: Permission denied\. Make that folder writable, and run `dvc repro` again", said)
    assert "Traceback" not in said


def obey_permissions() -> None:
    """Take from this process root's right to write where nobody may."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3 of capget and capset, this process
    sets = (ctypes.c_uint32 * 6)()
    assert libc.capget(header, sets) == 0
    sets[0] &= ~(1 << CAP_DAC_OVERRIDE)
    assert libc.capset(header, sets) == 0


@pytest.mark.parametrize("part", ["train", "val"])
def test_a_spoiled_pack_is_noticed_when_it_is_read(project: Path, part: str) -> None:
    """One bit, and the time of its change hidden: DVC sees the same file."""
    path = project / "data/packs" / part / "crops.npy"
    content, before = bytearray(path.read_bytes()), path.stat()
    content[len(content) // 2] ^= 1
    try:
        path.write_bytes(content)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        with pytest.raises(InputError, match=rf"packs/{part}/crops.npy: crop \d+ has changed since it was written"):
            trained()
    finally:
        content[len(content) // 2] ^= 1
        path.write_bytes(content)


@pytest.mark.parametrize("same", [True, False])
def test_a_second_process_waits_and_says_so(project: Path, tmp_path: Path, same: bool) -> None:
    """With the same parameters, anywhere; with others, in the same folder, where it writes the same files."""
    with stage.opened("split") as (this, _):
        name = this.fingerprint if same else fingerprint(folder=str(project), work="split")
        lock = FileLock(this.root / ".semipose/locks" / name)
    words = tmp_path / "words"
    with lock:
        process = begin(split.split, words)
        until(lambda: "semipose: another process runs split in this folder; waiting for it to end" in words.read_text())
        assert os.waitpid(process, os.WNOHANG) == (0, 0)
    assert ended(process) == 0


@pytest.mark.parametrize("ending", [Stopped("out of time"), Everywhere("step 3: loss/supervised is nan")])
def test_of_several_processes_the_first_alone_ends_with_a_code(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: Exception
) -> None:
    """Lightning ends the first process, which may still be writing, when another one ends with a code that is not 0."""
    for name in ("dvc.yaml", "pipeline", "semipose", "data", "params.ok"):
        (tmp_path / name).symlink_to(project / name)
    monkeypatch.chdir(tmp_path)
    text = (project / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(text.replace("  batch_groups: 1", "  batch_groups: 2").replace("  devices: 1 ", "  devices: 2 "))
    monkeypatch.setenv("LOCAL_RANK", "1")

    def work(first: bool) -> None:
        with stage.opened("split") as (this, _):
            assert this.first == first
            raise ending

    with pytest.raises(SystemExit) as ended:
        work(first=False)
    assert ended.value.code == 0
    (tmp_path / "params.yaml").write_text(text)
    monkeypatch.setenv("SLURM_PROCID", "1")  # one of several trainings in a job, each of one process
    with pytest.raises(type(ending)):
        work(first=True)


def ending(process: subprocess.Popen[str], seconds: float) -> tuple[int, str]:
    """Its exit code, and what it said; one that takes longer is ended, with all that it began."""
    try:
        said, _ = process.communicate(timeout=seconds)
        return process.returncode, said
    except subprocess.TimeoutExpired:
        for one in (*psutil.Process(process.pid).children(recursive=True), process):
            one.kill()
        raise


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 180
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
