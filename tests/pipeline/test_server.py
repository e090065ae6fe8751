"""A real MLflow server with a database and an artifact store, which dies in the middle of a run and comes back."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest

from pipeline import track as commands
from pipeline.tracking import track
from pipeline.tracking.journal import journals
from pipeline.tracking.views import RESULTS

CODE = Path(track.__file__).parent.parent.parent

# A stage that logs one of each before and after its server is killed; it goes on at a word on its standard input.
STAGE = """
import sys
from pathlib import Path
from PIL import Image
from pipeline.tracking import track
with track.run("evaluate", "demo-akm-L100-s0", "ab12", {"lr": 0.1}, {"seed": "0"}, limit_s=20) as tracker:
    for half, steps in {"first": range(1, 40), "second": range(40, 80)}.items():
        for step in steps:
            tracker.metrics({"loss": 1 / step}, step)
        Image.new("RGB", (4, 3)).save("picture.png")
        tracker.file(f"people/{half}.png", "picture.png")
        tracker.dataset(half, "validation", f"{half}.json", 32 * half[0], 10)
        if half == "first":
            print("half", flush=True)
            sys.stdin.readline()
    weights = Path("weights.safetensors")
    weights.write_bytes(b"weights")
    tracker.model(weights, {"AP": 31.25}, "cd" * 32, "demo-akm-L100-s0", "demo-akm-L100")
"""


def serve(folder: Path, port: int) -> "subprocess.Popen[bytes]":
    """`mlflow server`, once it answers."""
    options = ["--backend-store-uri", f"sqlite:///{folder / 'server.db'}", "--artifacts-destination", str(folder / "artifacts")]
    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1", *options],
        env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    end = time.monotonic() + 120
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1)
            return server
        except OSError:
            assert server.poll() is None, "the server did not start"
            assert time.monotonic() < end, "the server never answered"
            time.sleep(0.2)


@pytest.mark.slow
def test_a_server_that_dies_and_returns_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from mlflow import MlflowClient

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(CODE))
    client = MlflowClient(f"http://127.0.0.1:{port}")
    server = serve(tmp_path, port)
    try:
        stage = subprocess.Popen(
            [sys.executable, "-c", STAGE], cwd=tmp_path, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert stage.stdout
        assert stage.stdout.readline() == "half\n"
        end = time.monotonic() + 60
        while not (found := client.get_experiment_by_name(RESULTS)) or not client.search_runs([found.experiment_id], "metrics.loss < 1"):
            assert time.monotonic() < end, "nothing arrived while the server was up"
            time.sleep(0.2)
        os.killpg(server.pid, 9)
        server.wait()
        _, warning = stage.communicate("go on\n", timeout=120)
        assert stage.returncode == 0
        assert warning.count("warning:") == 1
        assert len(journals(tmp_path)) == 1
        server = serve(tmp_path, port)
        monkeypatch.setattr(sys, "argv", ["track", "sync"])
        assert commands.main() == 0
        assert capsys.readouterr().out.startswith("1 journals uploaded")
        assert journals(tmp_path) == []
        (run,) = client.search_runs([found.experiment_id])
        assert (run.info.status, run.data.params["lr"], run.data.tags["seed"]) == ("FINISHED", "0.1", "0")
        points = client.get_metric_history(run.info.run_id, "loss")
        assert sorted((point.step, point.value) for point in points) == [(step, 1 / step) for step in range(1, 80)]
        assert [point.value for point in client.get_metric_history(run.info.run_id, "AP")] == [31.25]
        assert {file.path for file in client.list_artifacts(run.info.run_id, "people")} == {"people/first.png", "people/second.png"}
        assert len(list(tmp_path.glob("artifacts/**/*.png"))) == 2, "the server keeps them"
        inputs = {data.dataset.name: json.loads(data.dataset.source) for data in run.inputs.dataset_inputs}
        assert inputs == {half: {"uri": f"{half}.json"} for half in ("first", "second")}
        (version,) = client.search_model_versions("name = 'demo-akm-L100'")
        assert version.run_id == run.info.run_id
        assert [output.model_id for output in run.outputs.model_outputs] == [version.source.removeprefix("models:/")]
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, 9)
        server.wait()
