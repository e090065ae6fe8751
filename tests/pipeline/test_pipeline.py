"""The pipeline itself, in a copy of the project, on the preset `smoke`: real DVC, real MLflow, real stages.

Stages are forks (forked.py). MLflow is missing while they run, and gets all at the end; its uploads while a stage runs: test_track.py.
"""

import csv
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from unittest.mock import MagicMock

import pytest
import typer
from browser import Browser
from forked import begin, ended, module, own_code, repro
from mlflow_pages import Pages, make_ui
from pages import blocks, patch
from ruamel.yaml import YAML
from small_project import made_small
from typer.testing import CliRunner

from pipeline import use
from pipeline.runtime import stage
from pipeline.stages import check
from semipose.cli.app import app
from semipose.config.text import whole_text

pytest_plugins = ["browser"]

ROOT = Path(__file__).parent.parent.parent
BIN = Path(sys.executable).parent


def environment() -> dict[str, str]:
    """This environment's programs first, no tracking server from outside, and somebody who commits."""
    left = {name: value for name, value in os.environ.items() if name not in ("MLFLOW_TRACKING_URI", "DVC_ROOT", "PYTHONPATH")}
    left |= {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@example.org"}
    return left | {"GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@example.org"}


def run(folder: Path, *command: str, ok: bool = True) -> subprocess.CompletedProcess[str]:
    """A command in a project folder."""
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    assert (done.returncode == 0) is ok, done.stdout[-3000:] + done.stderr[-3000:]
    return done


def forked(work: Callable[[], object], words: Path) -> str:
    """What a process said that did this work and was content."""
    code, said = ended(begin(work, words)), words.read_text()
    assert code == 0, said[-6000:]
    return said


def copy_of_the_project(target: Path) -> Path:
    """The files that git knows or would know, as they are now, in a repository of their own; no results in it."""
    listed = run(ROOT, "git", "ls-files", "--cached", "--others", "--exclude-standard").stdout.splitlines()
    for name in listed:
        if (ROOT / name).is_file() and not name.startswith("reports/") and name != "dvc.lock":
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    run(target, "git", "init", "-q")
    run(target, "git", "add", "-A")
    run(target, "git", "commit", "-qm", "copy")
    return target


def use_smoke(folder: Path, words: Path) -> None:
    """Its params.yaml is the preset `smoke` with fewer people and without an ablation."""
    forked(partial(module, folder, environment(), "pipeline.use", "smoke"), words)
    text = made_small((folder / "params.yaml").read_text())
    text, found = re.subn(r"\n  variants:.*\n    - akm_no_mixup\n", "\n  variants: []\n", text)
    assert found == 1
    (folder / "params.yaml").write_text(text)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy in which `dvc repro` went through with the preset `smoke`, but for its ablation; its results are committed."""
    folder = copy_of_the_project(tmp_path_factory.mktemp("project"))
    words = tmp_path_factory.mktemp("words") / "words"
    use_smoke(folder, words)
    run(folder, "git", "commit", "-qam", "fewer people")
    without_mlflow = tmp_path_factory.mktemp("shadow") / "mlflow"
    without_mlflow.mkdir()
    (without_mlflow / "__init__.py").write_text("raise ModuleNotFoundError('no', name='mlflow')")
    said = forked(partial(repro, folder, environment() | {"PYTHONPATH": str(without_mlflow.parent)}, words), words)
    assert said.count("mlflow is not installed") > 9, said
    importlib.import_module("mlflow")  # here, once
    said = forked(partial(module, folder, environment(), "pipeline.track", "sync"), words)
    assert " 0 still to upload" in said
    run(folder, "git", "add", "-A")
    run(folder, "git", "commit", "-qm", "results")
    return folder


@pytest.mark.slow
def test_everything_is_there(project: Path) -> None:
    with (project / "reports/results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["method"] for row in rows} == {"supervised", "akm"}
    assert {"AP", "AR", "joint/left_ankle"} <= {row["metric"] for row in rows}
    for ending in ("md", "csv", "tex"):
        assert "not run" not in (project / f"reports/tables/main.{ending}").read_text()
    run_of_akm = json.loads((project / "reports/runs/demo-akm-L20-s0.json").read_text())
    assert run_of_akm["training"]["masks"] >= 1
    assert run_of_akm["commit"] == run(project, "git", "rev-parse", "HEAD~1").stdout.strip()
    for picture in ("views/demo-akm-L20-s0/strip.jpg", "views/demo-akm-L20-s0/masks.jpg", "pictures/demo-akm-L20-s0/best.jpg"):
        assert (project / "reports" / picture).stat().st_size > 1000
    people = (project / "reports/runs/demo-akm-L20-s0/people.csv").read_text().splitlines()[1:]
    page = (project / "reports/index.html").read_text()
    assert len(people) == run_of_akm["protocol"]["people"]
    for person, score in (line.split(",") for line in people):
        assert f'alt="Pose of person {person} by akm, OKS {float(score):.2f}"' in page


@pytest.mark.slow
def test_a_second_repro_runs_nothing_and_an_edit_what_it_concerns(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A knob of AKM, a knob of evaluation and one of the machine: what DVC would run again, once `check` has looked at them."""
    assert "Running stage" not in run(project, "dvc", "repro").stdout
    assert run(project, "git", "status", "--porcelain").stdout == ""
    monkeypatch.chdir(project)
    monkeypatch.setattr(check, "subprocess", MagicMock())  # MLflow has tests of its own
    path = project / "params.yaml"
    whole = path.read_text()
    edited = whole
    for old, new in {
        "\n    tau: 0.7 ": "\n    tau: 0.6 ",
        "  workers: 1 ": "  workers: 2 ",
        "  bootstrap: 100 ": "  bootstrap: 90  ",
    }.items():
        assert old in edited
        edited = edited.replace(old, new)
    try:
        path.write_text(edited)
        check.check()
        again = set(json.loads(run(project, "dvc", "status", "--json").stdout))
        assert again == {"check", "train@akm-L20-0", "evaluate@supervised-L20-0", "evaluate@akm-L20-0", "report"}
    finally:
        path.write_text(whole)
        check.check()


@pytest.mark.slow
def test_mlflow_has_every_run_once_and_finished(project: Path) -> None:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{project / 'mlflow.db'}")
    runs = [run for one in client.search_experiments() for run in client.search_runs([one.experiment_id])]
    names = [run.info.run_name for run in runs]
    assert {"warmup demo-L20-s0", "report"} <= set(names)
    for name in ("demo-akm-L20-s0", "demo-supervised-L20-s0"):
        assert names.count(name) == 2, "its training and its evaluation"
    assert {run.info.status for run in runs} == {"FINISHED"}
    trained = [len(run.inputs.dataset_inputs) for run in runs if run.info.run_name == "demo-akm-L20-s0"]
    assert 2 in trained, "labelled and unlabelled people are inputs"
    assert not list((project / ".semipose/track").glob("*")), "everything was uploaded"
    assert not list((project / ".semipose/state").glob("*")), "no checkpoint is left"


@pytest.mark.slow
def test_mlflow_shows_it_in_a_browser(project: Path, chromium: Browser) -> None:
    """`make ui`, and the way of somebody who opens it: the comparison, a run of it, its training, a picture, the model."""
    chromium.set_window_size(2200, 1000)  # columns outside the window are not in the page
    with make_ui(project, environment()) as address:
        pages = Pages(chromium)
        pages.open(address.partition("#")[0])
        pages.click("Model training")
        pages.click("semipose results")
        pages.click("Methods, mean over seeds")
        assert pages.clicks <= 3
        pages.text("AP50", "AP75", "Group: method: akm", "Group: method: supervised", "demo-supervised-L20-s0")
        assert chromium.current_url.startswith(address), "make ui prints where the comparison is"
        pages.click("demo-akm-L20-s0")
        pages.text("demo-val", "Registered models", "Metrics (")
        pages.click("How it was trained")
        pages.click("demo-akm-L20-s0")
        pages.text("demo-L20-labelled")
        pages.click("Model metrics")
        pages.rendered(".scatterlayer .trace path.js-line")
        pages.click("Artifacts")
        pages.click("views")
        pages.click("strip.jpg")
        width = chromium.execute_script("return arguments[0].naturalWidth", pages.rendered("img[src^=blob], img[src*=strip]"))
        assert width > 200
        pages.click("Model registry")
        pages.click("Try it now")  # MLflow greets the first visitor
        pages.click("demo-akm-L20")
        pages.click("Version 1")
        pages.text("runs/demo-akm-L20-s0/weights.safetensors")


@pytest.fixture(scope="module")
def copy(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished project once more, to be changed."""
    return Path(shutil.copytree(project, tmp_path_factory.mktemp("copy") / "semipose", symlinks=True))


STARTS = ("README.md", "docs/start/pipeline.md", "docs/start/video.md", "docs/start/python.md")
ELSEWHERE = {  # commands of these pages that do not run here, and why
    "make": "tests/test_readme.py asks for its targets",
    "source .venv/bin/activate": "the environment is the tests' own",
    "dvc repro": "the fixture has done it",
    "cat reports/tables/ablation.md": "written by it",
    "semipose predict photos": "downloads a detector's weights; tests/inference/test_poser.py",
    "semipose bench": "tests/bench/test_bench.py",
    "python -m pipeline.estimate": "tests/cli/test_cli.py, and of a preset tests/test_docs.py",
}


@pytest.mark.slow
def test_commands_of_the_readme(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In order, as they stand but for the budget that `smoke` has."""
    monkeypatch.chdir(copy)
    ran = []
    for block in (block for page in STARTS for block in blocks(page)):
        text = block.text.replace("-L50-", "-L20-")
        if block.language == "python":
            exec(compile(text, "docs/start/python.md", "exec"), {})
        for line in text.splitlines() if block.language == "bash" else ():
            command = line.split("#")[0].split()
            if any(line.startswith(known) for known in ELSEWHERE):
                continue
            if command[0] == "semipose":
                result = CliRunner().invoke(app, command[1:])
                assert result.exit_code == 0, f"{line}: {result.output}"
            elif command[:2] == ["python", "-m"]:
                forked(partial(module, copy, environment(), *command[2:]), tmp_path / "words")
            else:
                run(copy, *command)
            ran.append(" ".join(command[:3]))
    assert {"python -m pipeline.use", "git checkout params.yaml", "semipose export --weights"} <= set(ran)
    assert len(list((copy / "poses").glob("*.jpg"))) == len(list((copy / "data/drawn/val2017").iterdir()))
    for made in ("poses/predictions.json", "poses.jpg", "exported/model.onnx"):
        assert (copy / made).stat().st_size > 1000
    ours = json.loads((copy / "reports/runs/demo-akm-L20-s0.json").read_text())["metrics"]["AP"]["value"]
    assert json.loads((copy / "metrics.json").read_text())["AP"] == pytest.approx(ours / 100)


def new_runs(folder: Path) -> None:
    """Runs what the pages add, by the code of that folder and without MLflow, in a process that is there for it alone."""
    own_code(folder, environment())
    from pipeline.stages import check, evaluate, report, train
    from pipeline.tracking import track

    track.run, check.subprocess = lambda **told: nullcontext(MagicMock()), MagicMock()
    check.check()
    for name, method in (("train", "meanteacher"), ("ablate", "akm_many_masks")):
        train.train(name, method, "L20", "0")
        evaluate.evaluate_run("evaluate" if name == "train" else "evaluate_ablation", method, "L20", "0")
    report.main()


@pytest.mark.slow
def test_a_method_and_an_ablation_as_the_pages_tell(copy: Path, tmp_path: Path) -> None:
    """The blocks of docs/new-method.md and the README's new row lead to rows of the tables, through the stages."""
    for block in blocks("docs/new-method.md"):
        if block.language == "python":
            path = copy / block.text.splitlines()[0].removeprefix("# ")
            path.write_text(block.text.partition("\n")[2])
        elif block.language == "diff":
            patch(copy, block.text)
    use_smoke(copy, tmp_path / "words")
    yaml, path = YAML(), copy / "params.yaml"
    params = yaml.load(path)
    (row,) = (yaml.load(block.text) for block in blocks("docs/start/pipeline.md") if block.language == "yaml")
    params["method"] |= row["method"]
    params["ablation"]["variants"] += row["ablation"]["variants"]
    yaml.dump(params, path)
    forked(partial(new_runs, copy), tmp_path / "words")
    for table, name in (("main", "meanteacher"), ("ablation", "akm_many_masks")):
        (line,) = (line for line in (copy / f"reports/tables/{table}.md").read_text().splitlines() if line.startswith(f"| {name} "))
        assert "not run" not in line
    assert json.loads((copy / "reports/runs/demo-meanteacher-L20-s0.json").read_text())["training"]["forward_passes"] == 3


def test_a_bad_parameter_stops_everything_with_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = whole_text(ROOT / "pipeline/presets/demo.yaml")
    (tmp_path / "params.yaml").write_text(text.replace("\n    tau: 0.7 ", "\n    tau: 1.5 ", 1))
    with pytest.raises(SystemExit) as ended:
        stage.main(check.check, [])
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert "method.akm.tau = 1.5: Input should be less than or equal to 1 (params.yaml line" in said
    assert not (tmp_path / "params.ok").exists()


def test_an_unknown_preset_names_the_known_ones() -> None:
    made = typer.Typer()
    made.command()(use.use)
    said = CliRunner().invoke(made, ["cocoa"])
    names = sorted(path.stem for path in (ROOT / "pipeline/presets").glob("*.yaml"))
    assert said.stderr == f"semipose: there is no preset cocoa: choose one of {', '.join(names)}\n"
    assert "demo-full" in names
