"""The pipeline itself, in a copy of the project, on the preset `smoke`: real DVC, real MLflow, real stages."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from browser import Browser
from mlflow_pages import Pages, make_ui
from pages import blocks, patch
from ruamel.yaml import YAML
from typer.testing import CliRunner

from semipose.cli.app import app
from semipose.models.network import load_weights

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


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy in which `dvc repro` went through with the preset `smoke` and a method of two networks, the second of which differs from
    the warm-up's and is warmed up by `train`; its results are committed."""
    folder = copy_of_the_project(tmp_path_factory.mktemp("project"))
    run(folder, sys.executable, "-m", "pipeline.use", "smoke")
    params = (folder / "params.yaml").read_text()
    params = params.replace("\n    - net\n", "\n    - net\n    - second\n").replace("\n    - akm\n", "\n    - akm\n    - posedual\n")
    own = "    networks:\n      second:\n        head_channels:\n          - 24\n"
    params, found = re.subn(r"(?m)^(  posedual:\n    base: posedual .*\n)", rf"\1{own}", params)
    assert found == 1
    (folder / "params.yaml").write_text(params)
    run(folder, "git", "commit", "-qam", "two networks")
    run(folder, "dvc", "repro")
    run(folder, "git", "add", "-A")
    run(folder, "git", "commit", "-qm", "results")
    return folder


@pytest.mark.slow
def test_everything_is_there(project: Path) -> None:
    with (project / "reports/results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["method"] for row in rows} == {"supervised", "akm", "posedual", "akm_no_mixup"}
    assert {f"{which}/AP" for which in ("net1", "net2", "mean", "ensemble")} <= {row["metric"] for row in rows}
    heads = {"warmups/demo-L20-s0/second": [48], "runs/demo-posedual-L20-s0/weights": [48], "runs/demo-posedual-L20-s0/networks/net2": [24]}
    for name, channels in heads.items():
        assert load_weights(project / f"{name}.safetensors")[1]["model"]["head_channels"] == channels
    assert {"AP", "AR", "joint/left_ankle"} <= {row["metric"] for row in rows}
    for table in ("main", "ablation"):
        for ending in ("md", "csv", "tex"):
            assert "not run" not in (project / f"reports/tables/{table}.{ending}").read_text()
    run_of_akm = json.loads((project / "reports/runs/demo-akm-L20-s0.json").read_text())
    assert run_of_akm["training"]["masks"] >= 1
    assert run_of_akm["commit"] == run(project, "git", "rev-parse", "HEAD~1").stdout.strip()
    for picture in (
        "views/demo-posedual-L20-s0/strip.jpg",
        "views/demo-akm-L20-s0/strip.jpg",
        "views/demo-akm-L20-s0/masks.jpg",
        "pictures/demo-akm-L20-s0/best.jpg",
    ):
        assert (project / "reports" / picture).stat().st_size > 1000
    people = (project / "reports/runs/demo-akm-L20-s0/people.csv").read_text().splitlines()[1:]
    page = (project / "reports/index.html").read_text()
    for person, score in (line.split(",") for line in people):
        assert f'alt="Pose of person {person} by akm, OKS {float(score):.2f}"' in page
    assert len(people) == 24


@pytest.mark.slow
def test_a_second_repro_runs_nothing(project: Path) -> None:
    assert "Running stage" not in run(project, "dvc", "repro").stdout
    assert run(project, "git", "status", "--porcelain").stdout == ""


@pytest.mark.slow
def test_a_knob_of_akm_concerns_akm_alone(project: Path) -> None:
    """What DVC would run again after an edit, once `check` has looked at it, asked of DVC itself."""
    path = project / "params.yaml"
    text = path.read_text()

    def changed() -> set[str]:
        run(project, "dvc", "repro", "check")
        return {
            name.split("@")[0] + ("@" + name.split("@")[1] if "@" in name else "")
            for name in json.loads(run(project, "dvc", "status", "--json").stdout)
        }

    try:
        path.write_text(text.replace("\n    tau: 0.7 ", "\n    tau: 0.6 "))
        assert changed() == {"train@akm-L20-0", "ablate@akm_no_mixup-L20-0", "report"}
        path.write_text(text.replace("  workers: 2 ", "  workers: 1 "))
        assert changed() == set()
        path.write_text(text.replace("  bootstrap: 100 ", "  bootstrap: 90  "))
        assert {name.split("@")[0] for name in changed()} == {"evaluate", "evaluate_ablation"}
    finally:
        path.write_text(text)
        run(project, "dvc", "repro", "check")


@pytest.mark.slow
def test_mlflow_has_every_cell_once_and_finished(project: Path) -> None:
    asked = """
from mlflow.tracking import MlflowClient
client = MlflowClient("sqlite:///mlflow.db")
for e in client.search_experiments():
    for r in client.search_runs([e.experiment_id]):
        print(r.info.run_name, r.info.status, len(r.inputs.dataset_inputs), sep="|")
"""
    lines = run(project, sys.executable, "-c", asked).stdout.split("\n")
    runs = {line.split("|")[0]: line.split("|")[1:] for line in lines if "|" in line}  # evaluations first, of one name with trainings
    assert {"demo-akm-L20-s0", "demo-supervised-L20-s0", "demo-akm_no_mixup-L20-s0", "warmup demo-L20-s0", "report"} <= set(runs)
    assert {status for status, *_ in runs.values()} == {"FINISHED"}
    assert runs["demo-akm-L20-s0"][1] == "2", "labelled and unlabelled people are inputs"
    assert not list((project / ".semipose/track").glob("*")), "everything was uploaded"
    assert not list((project / ".semipose/state").glob("*")), "no checkpoint is left"


@pytest.mark.slow
def test_mlflow_shows_it_in_a_browser(project: Path, chromium: Browser) -> None:
    """`make ui`, and the way of somebody who opens it: the comparison, a cell of it, its training, a picture, the model."""
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
        pages.drawn(".scatterlayer .trace path.js-line")
        pages.click("Artifacts")
        pages.click("views")
        pages.click("strip.jpg")
        width = chromium.execute_script("return arguments[0].naturalWidth", pages.drawn("img[src^=blob], img[src*=strip]"))
        assert width > 200
        pages.click("Model registry")
        pages.click("Try it now")  # MLflow greets the first visitor
        pages.click("demo-akm-L20")
        pages.click("Version 1")
        pages.text("runs/demo-akm-L20-s0/weights.safetensors")


@pytest.mark.slow
def test_a_fresh_clone_reproduces(project: Path, tmp_path: Path) -> None:
    """No cache comes with a clone; from people to figures a cell comes out again, bit for bit, but for the commit that it stands on.
    (The whole pipeline in a clone: .ci/run.)"""
    clone = tmp_path / "clone"
    run(tmp_path, "git", "clone", "-q", str(project), str(clone))
    assert not (clone / "runs").exists()
    run(clone, "dvc", "repro", "evaluate@akm-L20-0")
    for name in ("data/packs/train/pack.json", "data/split/L20-s0.json", "runs/demo-akm-L20-s0/weights.safetensors"):
        assert (clone / name).read_bytes() == (project / name).read_bytes(), name
    ours, theirs = (json.loads((folder / "reports/runs/demo-akm-L20-s0.json").read_text()) for folder in (project, clone))
    assert ours.pop("commit") != theirs.pop("commit")
    assert ours == theirs
    for curve in ("history.csv", "bootstrap.csv", "masks.csv"):
        name = f"reports/runs/demo-akm-L20-s0/{curve}"
        assert (clone / name).read_bytes() == (project / name).read_bytes(), name


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
}


@pytest.mark.slow
def test_commands_of_the_readme(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
            else:
                run(copy, *command)
            ran.append(" ".join(command[:3]))
    assert {"python -m pipeline.use", "git checkout params.yaml", "semipose export --weights"} <= set(ran)
    assert len(list((copy / "poses").glob("*.jpg"))) == len(list((copy / "data/drawn/val2017").iterdir()))
    for made in ("poses/predictions.json", "poses.jpg", "exported/model.onnx"):
        assert (copy / made).stat().st_size > 1000
    ours = json.loads((copy / "reports/runs/demo-akm-L20-s0.json").read_text())["metrics"]["AP"]["value"]
    assert json.loads((copy / "metrics.json").read_text())["AP"] == pytest.approx(ours / 100)


STAGES = """
from pipeline.stages import check, evaluate, report, train
check.check()
for name, method in (("train", "meanteacher"), ("ablate", "akm_many_masks")):
    train.train(name, method, "L20", "0")
    evaluate.evaluate_cell("evaluate" if name == "train" else "evaluate_ablation", method, "L20", "0")
report.main()
"""


@pytest.mark.slow
def test_a_method_and_an_ablation_as_the_pages_tell(copy: Path) -> None:
    """The blocks of docs/new-method.md and the README's new row lead to rows of the tables, through the stages."""
    for block in blocks("docs/new-method.md"):
        if block.language == "python":
            path = copy / block.text.splitlines()[0].removeprefix("# ")
            path.write_text(block.text.partition("\n")[2])
        elif block.language == "diff":
            patch(copy, block.text)
    yaml, path = YAML(), copy / "params.yaml"
    params = yaml.load(path)
    (row,) = (yaml.load(block.text) for block in blocks("docs/start/pipeline.md") if block.language == "yaml")
    params["method"] |= row["method"]
    params["ablation"]["variants"] += row["ablation"]["variants"]
    yaml.dump(params, path)
    run(copy, sys.executable, "-c", STAGES)
    for table, name in (("main", "meanteacher"), ("ablation", "akm_many_masks")):
        (line,) = (line for line in (copy / f"reports/tables/{table}.md").read_text().splitlines() if line.startswith(f"| {name} "))
        assert "not run" not in line
    assert json.loads((copy / "reports/runs/demo-meanteacher-L20-s0.json").read_text())["training"]["forward_passes"] == 3
    run(copy, sys.executable, "-m", "mypy", "semipose/methods/meanteacher.py")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\n    tau: 0.7 ", "\n    tau: 1.5 ", "method.akm.tau = 1.5: Input should be less than or equal to 1 (params.yaml line"),
        ("  selection: first", "  selectoin: first", "split.selectoin is not a parameter (params.yaml line"),
        (
            "  train_images: 2200 ",
            "  train_images: many ",
            "data.demo.train_images = 'many': Input should be a valid integer (params.yaml line",
        ),
    ],
)
def test_a_bad_parameter_stops_everything_with_one_message(tmp_path: Path, old: str, new: str, message: str) -> None:
    folder = copy_of_the_project(tmp_path)
    path = folder / "params.yaml"
    path.write_text(path.read_text().replace(old, new, 1))
    done = run(folder, sys.executable, "-m", "pipeline.stages.check", ok=False)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "params.ok").exists()


def test_an_unknown_preset_names_the_known_ones(tmp_path: Path) -> None:
    done = run(copy_of_the_project(tmp_path), sys.executable, "-m", "pipeline.use", "cocoa", ok=False)
    names = sorted(path.stem for path in (ROOT / "pipeline/presets").glob("*.yaml"))
    assert done.stderr == f"semipose: there is no preset cocoa: choose one of {', '.join(names)}\n"
    assert "demo-full" in names
