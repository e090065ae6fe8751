"""Tracking, against real MLflow stores and real processes that are killed, cut off and left waiting."""

import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from PIL import Image

from pipeline import track as commands
from pipeline.tracking import track
from pipeline.tracking.journal import TRACK, Journal, journals, new_journal
from pipeline.tracking.store import open_store, shown
from pipeline.tracking.upload import Upload, legal_name
from pipeline.tracking.uploader import sync
from pipeline.tracking.views import NOTE, TRAINING, VIEWS

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

CODE = Path(track.__file__).parent.parent.parent

# A stage: trains `first` to `last`, then does what `after` says.
STAGE = """
import os, sys, time
from pipeline.tracking import track
fingerprint, first, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with track.run("train", "demo-akm-L100-s0", fingerprint, {"train": {"lr": 0.1}}, {"seed": "0"}, limit_s=LIMIT) as tracker:
    BEFORE
    for step in range(first, last):
        tracker.metrics({"loss": 1 / step}, step)
    AFTER
    tracker.final({"AP": 31.25})
print("trained")
"""


def asked(root: Path) -> "MlflowClient":
    """Takes seconds to import, which a process that has none of these tests need not."""
    from mlflow import MlflowClient

    return MlflowClient(f"sqlite:///{root / 'mlflow.db'}")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store made once, by the code under test; MLflow takes seconds for it."""
    root = tmp_path_factory.mktemp("template")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        open_store(root)
    return root / "mlflow.db"


@pytest.fixture
def root(tmp_path: Path, template: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty repository with a store of its own."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(CODE))
    for name in ("MLFLOW_TRACKING_URI", "DVC_STAGE", "DVC_EXP_NAME"):
        monkeypatch.delenv(name, raising=False)
    shutil.copyfile(template, tmp_path / "mlflow.db")
    # The experiments of the copy still point into the template's folder.
    client = asked(tmp_path)
    assert {experiment.name for experiment in client.search_experiments()} == {"Default", *VIEWS}
    return tmp_path


def stage(
    fingerprint: str,
    first: int,
    last: int,
    before: str = "",
    after: str = "",
    limit: float = 60,
    largest_file: int = resource.RLIM_INFINITY,
) -> "subprocess.Popen[str]":
    code = STAGE.replace("LIMIT", str(limit)).replace("BEFORE", before or "pass").replace("AFTER", after or "pass")
    return subprocess.Popen(
        [sys.executable, "-c", code, fingerprint, str(first), str(last)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, resource.RLIM_INFINITY)),
    )


def runs(root: Path, name: str = TRAINING) -> "list[Run]":
    """The runs of an experiment, the oldest first."""
    client = asked(root)
    experiment = client.get_experiment_by_name(name)
    assert experiment
    return list(client.search_runs([experiment.experiment_id], order_by=["attributes.start_time ASC"]))


def curve(root: Path, run: "Run", name: str = "loss") -> list[tuple[int, float]]:
    history = asked(root).get_metric_history(run.info.run_id, name)
    return sorted((point.step, point.value) for point in history)


def until(true: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


def journal_of(root: Path, fingerprint: str, *lines: tuple[str, dict]) -> Journal:
    """What a process left that wrote these lines and died."""
    with new_journal(root, fingerprint) as (journal, _):
        journal.append("start", stage="train", cell="c", params={"lr": 0.1}, tags={"seed": "0"})
        for kind, content in lines:
            journal.append(kind, **content)
    return journal


def uploaded(root: Path) -> list[Exception | None]:
    """What went wrong with each journal that was left."""
    return [error for _, error in sync(root, open_store(root))]


def upload(journal: Journal, root: Path) -> None:
    """Send what a journal has so far, as its uploader does."""
    lines, _ = journal.read()
    Upload(journal, open_store(root), lines[0]).send(lines)


def losses(*steps: int) -> list[tuple[str, dict]]:
    return [("metrics", {"metrics": {"loss": 1 / step}, "step": step}) for step in steps]


END = ("end", {"status": "FINISHED", "error": ""})


def test_run_holds_everything(root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("DVC_STAGE", "train@akm-L100-0")
    weights = root / "runs" / "weights.safetensors"
    weights.parent.mkdir()
    weights.write_bytes(b"weights")
    picture = root / "best.png"
    Image.new("RGB", (4, 3)).save(picture)
    params = {"train": {"lr": 1e-3, "stages": [1, 2]}, "note": "n" * 7000, "a": {"b": {"c": 1e-5}, "on": True, "none": None}, "d@": "off"}
    with track.run("train", "demo-akm-L100-s0", "full", params, {"method": "akm", "seed": "0"}, limit_s=60) as tracker:
        tracker.dataset("labelled", "train", "data/split/L100.json", "ab" * 32, 100)
        for step in range(1, 1501):  # more than MLflow takes at once
            tracker.metrics({"loss/supervised": 1 / step, "PCK@0.2 torso": float(step)}, step)
        tracker.file("overlays/best.png", picture)
        tracker.file("params.yaml", weights)
        tracker.final({"AR": float("nan")})
        tracker.model(weights, {"AP": 31.25, "only": 1.0}, "cd" * 32, "demo-akm-L100-s0", "demo-akm-L100")
        tracker.note("| method | AP |")
    assert capsys.readouterr().err == ""
    (run,) = runs(root)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "demo-akm-L100-s0"
    texts = {"train.lr": "0.001", "train.stages": "[1, 2]", "note": "n" * 6000}
    assert run.data.params == texts | {"a.b.c": "1e-05", "a.on": "true", "a.none": "null", "d_": "off"}
    expected = {"method": "akm", "seed": "0", "dvc.stage": "train@akm-L100-0", "semipose.fingerprint": "full"}
    assert run.data.tags.items() >= expected.items()
    assert run.data.tags["host"]
    assert [step for step, _ in curve(root, run, "loss/supervised")] == list(range(1, 1501))
    assert run.data.metrics["PCK_0.2 torso"] == 1500
    assert curve(root, run, "AP") == [(1500, 31.25)]
    (data,) = run.inputs.dataset_inputs
    assert (data.dataset.name, data.tags[0].value) == ("labelled", "train")
    assert json.loads(data.dataset.source) == {"uri": "data/split/L100.json"}
    client = open_store(root).client
    assert [file.path for file in client.list_artifacts(run.info.run_id, "overlays")] == ["overlays/best.png"]
    (model,) = client.search_logged_models([run.info.experiment_id])
    assert {metric.key: metric.value for metric in model.metrics} == {"AP": 31.25, "only": 1.0}
    assert model.tags["weights"] == "runs/weights.safetensors"
    assert model.source_run_id == run.info.run_id
    assert [output.model_id for output in run.outputs.model_outputs] == [model.model_id]
    (version,) = client.search_model_versions("name = 'demo-akm-L100'")
    assert (version.source, version.run_id) == (f"models:/{model.model_id}", run.info.run_id)
    assert run.data.tags[NOTE] == "| method | AP |"
    assert list((root / TRACK).iterdir()) == []


@pytest.mark.slow
def test_killed_run_goes_on_in_the_same_run_and_brings_what_others_left(root: Path) -> None:
    """Stage and uploader die at once, as when the machine goes down; the curve was visible before."""
    first = stage("ab12", 1, 500, after="time.sleep(600)")
    until(lambda: runs(root) and "loss" in runs(root)[0].data.metrics)
    for process in [*psutil.Process(first.pid).children(), psutil.Process(first.pid)]:
        process.kill()
    first.wait()
    assert runs(root)[0].info.status == "RUNNING"
    assert len(journals(root)) == 1
    former = journal_of(root, "former", *losses(1, 2), END)
    second = stage("ab12", 300, 600, after=f"while os.path.exists({str(former.folder)!r}): time.sleep(0.1)")  # from its last checkpoint
    assert second.communicate(timeout=60) == ("trained\n", "")
    run, other = sorted(runs(root), key=lambda run: run.data.tags["semipose.fingerprint"])
    assert (run.info.status, other.info.status) == ("FINISHED", "FINISHED")
    assert curve(root, other) == [(1, 1.0), (2, 0.5)]
    assert curve(root, run) == [(step, 1 / step) for step in range(1, 600)]
    assert journals(root) == []


@pytest.mark.slow
def test_stopped_and_failed_runs(root: Path) -> None:
    """A signal and an error end the run with its status, and the process as they would without tracking."""
    stopped = stage("aa", 1, 3, after=f"open({str(root / 'up')!r}, 'w').close(); time.sleep(600)")
    failed = stage("bb", 1, 3, after="raise ArithmeticError('loss is nan')")
    until((root / "up").exists)
    stopped.send_signal(signal.SIGTERM)
    stopped.communicate(timeout=60)
    _, words = failed.communicate(timeout=60)
    assert (stopped.returncode, failed.returncode) == (-signal.SIGTERM, 1)
    assert words.count("Traceback") == 1
    assert words.endswith("ArithmeticError: loss is nan\n")
    until(lambda: not journals(root))  # the uploader of the one that was stopped outlives it
    ended = {run.data.tags["semipose.fingerprint"]: run for run in runs(root)}
    assert [ended[name].info.status for name in ("aa", "bb")] == ["KILLED", "FAILED"]
    assert ended["bb"].data.tags["semipose.error"] == "ArithmeticError: loss is nan"
    assert curve(root, ended["bb"]) == [(1, 1.0), (2, 0.5)]


def test_forced_again_is_a_new_run(root: Path) -> None:
    for _ in range(3):
        journal_of(root, "ab12", *losses(1, 2), END)
    journal_of(root, "other", *losses(1), END)
    assert uploaded(root) == [None] * 4
    assert sorted(run.data.tags["semipose.fingerprint"] for run in runs(root)) == ["ab12", "ab12", "ab12", "other"]
    assert all(run.info.status == "FINISHED" for run in runs(root))


def test_run_is_found_by_its_tag_when_the_journal_is_lost(root: Path) -> None:
    upload(journal_of(root, "ab12", *losses(1, 2, 3)), root)
    assert runs(root)[0].info.status == "RUNNING"
    shutil.rmtree(root / TRACK)
    journal_of(root, "ab12", *losses(2, 3, 4), END)
    assert uploaded(root) == [None]
    (run,) = runs(root)
    assert run.info.status == "FINISHED"
    assert [step for step, _ in curve(root, run)] == [1, 2, 3, 4]


def test_lines_sent_twice_are_stored_once(root: Path) -> None:
    """The answer to a batch is lost, or the uploader is killed before it removes the journal: all of it is sent again."""
    model = {"name": "network", "registered": "n", "tags": {"digest": "d"}, "metrics": {"AP": 31.25}, "step": 3}
    data = {"name": "labelled", "context": "train", "source": "s", "digest": "d", "profile": {"people": 1}}
    journal = journal_of(root, "ab12", ("dataset", data), *losses(1, 2, 3), ("model", model))
    upload(journal, root)
    journal.append(END[0], **END[1])
    upload(journal, root)
    assert uploaded(root) == [None]
    (run,) = runs(root)
    assert run.info.status == "FINISHED"
    assert curve(root, run) == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    assert curve(root, run, "AP") == [(3, 31.25)]
    client = open_store(root).client
    (stored,) = client.search_logged_models([run.info.experiment_id])
    assert [metric.key for metric in stored.metrics] == ["AP"]
    assert len(run.outputs.model_outputs) == 1
    assert len(client.search_model_versions("name = 'n'")) == 1
    assert len(run.inputs.dataset_inputs) == 1


def test_dead_process_is_closed_as_killed_and_goes_on(root: Path) -> None:
    with new_journal(root, "ab12") as (journal, _):
        journal.append("start", stage="train", cell="c", params={}, tags={})
        for kind, content in losses(1, 2):
            journal.append(kind, **content)
        with (journal.folder / "log").open("a") as file:
            file.write('{"kind": "metr')  # the kill struck in the middle of a line
        assert uploaded(root) == []  # its process lives: hands off
    assert uploaded(root) == [None]
    (run,) = runs(root)
    assert run.info.status == "KILLED"
    assert run.data.tags["semipose.error"]
    journal_of(root, "ab12", *losses(2, 3), END)
    assert uploaded(root) == [None]
    (run,) = runs(root)
    assert run.info.status == "FINISHED"
    assert "semipose.error" not in run.data.tags
    assert [step for step, _ in curve(root, run)] == [1, 2, 3]


def test_what_a_kill_left_of_an_empty_journal_is_removed(root: Path) -> None:
    (root / TRACK / "ab12-1" / "files").mkdir(parents=True)
    assert uploaded(root) == [None]
    assert list((root / TRACK).iterdir()) == []
    assert runs(root) == []


def test_line_that_mlflow_refuses_holds_up_nothing(root: Path) -> None:
    data = {"name": "n" * 600, "context": "train", "source": "s", "digest": "d", "profile": {}}
    journal_of(root, "ab12", ("dataset", data), *losses(1), END)
    assert uploaded(root) == [None]
    (run,) = runs(root)
    assert run.data.tags["semipose.refused"].startswith("dataset")
    assert curve(root, run) == [(1, 1.0)]


@pytest.mark.slow
def test_store_that_is_down_costs_one_warning(root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:secret@{address}")
    words, warning = stage("ab12", 1, 100).communicate(timeout=60)
    assert words == "trained\n"
    assert warning.count("warning:") == warning.count("\n") == 1
    assert address in warning
    assert "secret" not in warning
    assert "python -m pipeline.track sync" in warning
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.setattr(sys, "argv", ["track", "sync"])
    assert commands.main() == 0
    synced = capsys.readouterr()
    assert synced.out.startswith("1 journals uploaded")
    assert synced.err == ""
    (run,) = runs(root)
    assert run.info.status == "FINISHED"
    assert [step for step, _ in curve(root, run)] == list(range(1, 100))
    assert journals(root) == []


@pytest.mark.slow
def test_server_that_never_answers_costs_the_limit(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    timed = "import atexit; began = time.monotonic(); atexit.register(lambda: print(time.monotonic() - began))"
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.getsockname()[1]}")
        words, warning = stage("ab12", 1, 100, after=timed, limit=3).communicate(timeout=60)
    said, seconds = words.split()
    assert said == "trained"
    assert 3 <= float(seconds) < 6
    assert warning.count("warning:") == 1
    assert "within 3 s" in warning
    assert len(journals(root)) == 1


class Refusing(BaseHTTPRequestHandler):
    """A server in trouble; a proxy in front of one answers in the same way."""

    def do_GET(self) -> None:
        self.send_error(500)

    do_POST = do_GET

    def log_message(self, *words: object) -> None:
        pass


@pytest.mark.slow
def test_server_that_refuses_costs_one_warning(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}")
        words, warning = stage("ab12", 1, 100).communicate(timeout=60)
        server.shutdown()
    assert words == "trained\n"
    assert warning.count("warning:") == warning.count("\n") == 1
    assert "500" in warning
    (journal,) = journals(root)
    assert journal.read()[0][-1]["kind"] == "end"


def test_mlflow_is_not_installed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shadow = root / "shadow" / "mlflow"
    shadow.mkdir(parents=True)
    (shadow / "__init__.py").write_text("raise ModuleNotFoundError('no', name='mlflow')")
    monkeypatch.setenv("PYTHONPATH", f"{shadow.parent}{os.pathsep}{CODE}")
    words, warning = stage("ab12", 1, 100).communicate(timeout=60)
    assert words == "trained\n"
    assert warning.count("warning:") == 1
    assert "mlflow is not installed" in warning
    assert len(journals(root)) == 1


@pytest.mark.slow
def test_full_disk_under_the_journal(root: Path) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (3000, resource.RLIM_INFINITY))"
    words, warning = stage("ab12", 1, 1000, before=limit).communicate(timeout=60)
    assert words == "trained\n"
    assert warning.count("warning:") == 1
    # What the disk took arrives, and the run is not left RUNNING: its last, short word may still have found room where a longer line
    # did not.
    until(lambda: not journals(root))
    (run,) = runs(root)
    assert run.info.status in ("FINISHED", "KILLED")
    steps = [step for step, _ in curve(root, run)]
    assert 10 < len(steps) < 1000
    assert steps == list(range(1, len(steps) + 1))


@pytest.mark.slow
def test_full_disk_under_the_store(root: Path) -> None:
    """The database cannot grow; the journal is small enough, and is uploaded when there is room again."""
    size = (root / "mlflow.db").stat().st_size
    words, warning = stage("ab12", 1, 1000, largest_file=size // 2).communicate(timeout=60)
    assert words == "trained\n"
    assert warning.count("warning:") == 1
    assert uploaded(root) == [None]
    (run,) = runs(root)
    assert run.info.status == "FINISHED"
    assert [step for step, _ in curve(root, run)] == list(range(1, 1000))


def test_read_only_folder(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / ".semipose").write_text("a file where the folder should be")
    with track.run("train", "c", "ab12") as tracker:
        tracker.metrics({"loss": 1.0}, 1)
        tracker.file("a.png", root / "mlflow.db")
    assert capsys.readouterr().err.count("warning:") == 1


@pytest.mark.slow
def test_two_processes_on_a_fresh_store(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = root / "fresh"
    root.mkdir()
    monkeypatch.setenv("DVC_ROOT", str(root))
    both = [stage(f"run{i}", 1, 10, limit=120) for i in range(2)]
    assert [process.communicate(timeout=180) for process in both] == [("trained\n", "")] * 2
    found = runs(root)
    assert sorted(run.data.tags["semipose.fingerprint"] for run in found) == ["run0", "run1"]
    assert all(run.info.status == "FINISHED" and len(curve(root, run)) == 9 for run in found)
    assert all(run.info.artifact_uri.startswith((root / "mlruns").as_uri()) for run in found)


def test_names_that_mlflow_takes() -> None:
    assert legal_name("PCK@0.2 torso") == "PCK_0.2 torso"
    assert legal_name("val/AP (M)") == "val/AP _M_"


def test_password_is_not_shown() -> None:
    assert shown("https://me:secret@host/x and http://u@h") == "https://host/x and http://h"
