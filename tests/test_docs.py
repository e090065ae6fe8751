"""The pages keep their word: links lead somewhere, pictures are small, examples run, projections are those of the code."""

import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from pages import ROOT, blocks
from PIL import Image
from ruamel.yaml import YAML
from typer.testing import CliRunner

from semipose.cli.app import app
from semipose.config.load import load
from semipose.config.text import whole_text

PAGES = [path.relative_to(ROOT).as_posix() for path in (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")))]

NAVIGATION = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        if not target.startswith("http"):
            assert ((ROOT / page).parent / target).exists(), f"{page} links to {target}"
    if page.startswith("docs/"):
        assert f": {page.removeprefix('docs/')}" in NAVIGATION or f"- {page.removeprefix('docs/')}" in NAVIGATION, (
            "mkdocs.yml leads to every page"
        )


@pytest.mark.slow
def test_the_worked_example_runs_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stages: Callable[..., Path]) -> None:
    _, code, doctor, wanted, *_ = blocks("docs/own-data.md")
    monkeypatch.chdir(tmp_path)
    exec(compile(code.text, "docs/own-data.md", "exec"), {})
    result = CliRunner().invoke(app, shlex.split(doctor.text)[1:])
    assert result.exit_code == 0, result.output
    section = wanted.text.replace("/data/kites", str(tmp_path / "kites"))
    assert result.stdout.endswith(f"params.yaml needs these changes to the demo's:\n\n{section}\n")
    assert "no errors: training can read this set" in result.stdout
    assert "warnings" not in result.stdout
    assert (tmp_path / "doctor/train.jpg").exists()

    yaml = YAML()
    params = yaml.load(whole_text(ROOT / "pipeline/presets/smoke.yaml"))
    for name, values in yaml.load(section).items():
        params[name] |= values
    with (tmp_path / "params.yaml").open("w") as file:
        yaml.dump(params, file)
    folder = stages({}, (tmp_path / "params.yaml").read_text(), "L15")
    record = json.loads((folder / "reports/runs/custom-akm-L15-s0.json").read_text())
    assert record["labelled"] == 15
    assert {"AP", "joint/nose", "joint/left_wing", "joint/tail"} <= set(record["metrics"])


@pytest.mark.slow
def test_the_road_from_a_video_runs_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stages: Callable[..., Path]) -> None:
    pytest.importorskip("av")
    _, code, doctor, wanted, _, filmed, unlabelled, _, predict = blocks("docs/own-data.md")
    monkeypatch.chdir(tmp_path)
    exec(compile(f"{code.text}\n{filmed.text}", "docs/own-data.md", "exec"), {})
    result = CliRunner().invoke(app, shlex.split(doctor.text)[1:])
    assert "no errors: training can read this set" in result.stdout

    mirrored = Image.Exif()
    mirrored[0x0112] = 2
    Image.open("kites/images/val001.jpg").save("videos/a photo.jpg", exif=mirrored)  # nothing but `prepare` says whether that counts

    yaml = YAML()
    params = yaml.load(whole_text(ROOT / "pipeline/presets/smoke.yaml"))
    for section in (wanted.text, unlabelled.text):
        for name, values in yaml.load(section.replace("/data/", f"{tmp_path}/")).items():
            params[name] |= values
    with (tmp_path / "params.yaml").open("w") as file:
        yaml.dump(params, file)
    folder = stages({}, (tmp_path / "params.yaml").read_text(), "All")
    record = json.loads((folder / "reports/runs/custom-akm-All-s0.json").read_text())
    assert (record["labelled"], record["unlabelled"]) == (60, 101)
    found = json.loads((folder / "data/packs/unlabelled/people.json").read_text())
    frames = [("monday.mp4", number) for number in range(1, 200, 2)]
    assert [(person["of"], person.get("frame")) for person in found["people"]] == [("a photo.jpg", None), *frames]
    assert not list((folder / "data/packs").glob(".unlabelled*")), "frames go when the pack is in its place"

    (tmp_path / "tuesday.mp4").rename("tuesday.mp4")  # beside the project's runs
    result = CliRunner().invoke(app, shlex.split(predict.text)[1:], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    poses = json.loads((folder / "poses/predictions.json").read_text())
    assert [pose["frame"] for pose in poses] == [*range(1, 21)]
    assert all(len(pose["keypoints"]) == 3 * 4 for pose in poses)
    assert (folder / "poses/tuesday.mp4").exists()


def test_the_lines_for_few_labels_are_those_of_flic_imagenet(tmp_path: Path) -> None:
    shutil.copy(ROOT / "pipeline/presets/demo.yaml", tmp_path)
    unlabelled, weights = (block.text for block in blocks("docs/start/own-video.md") if block.language == "yaml")
    (tmp_path / "videos.yaml").write_text(f"extends: demo\n{unlabelled}")
    (tmp_path / "own.yaml").write_text(f"extends: videos\n{weights}")
    own, preset = load(tmp_path / "own.yaml"), load(ROOT / "pipeline/presets/flic-imagenet.yaml")
    assert own.data.unlabelled is not None
    assert own.model == preset.model.model_copy(update={"networks": ["net"]})
    assert (own.data.crop, own.warmup) == (preset.data.crop, preset.warmup)
    assert (own.train.steps, own.train.lr) == (preset.train.steps, preset.train.lr)
    assert own.method["akm"] == preset.method["akm"]


REPRODUCE = (ROOT / "docs/reproduce.md").read_text(encoding="utf-8").splitlines()
PROJECTED = [line.split("|")[1:-1] for line in REPRODUCE if line.startswith("| `mpii` |")]  # the others take longer


@pytest.mark.slow
@pytest.mark.parametrize("row", PROJECTED, ids=lambda row: row[0].strip(" `"))
def test_projected_hours_are_those_of_the_presets(row: list[str]) -> None:
    preset, _, *figures = (cell.strip(" `") for cell in row)
    assert figures == runpy.run_path(str(ROOT / "docs/hours.py"))["row"](preset)


def test_the_page_of_all_parameters_is_that_of_the_models() -> None:
    page = runpy.run_path(str(ROOT / "docs/configuration.py"))["page"]()
    assert (ROOT / "docs/configuration.md").read_text(encoding="utf-8") == page, "run `python docs/configuration.py`"


def test_references_to_methods_md_lead_somewhere() -> None:
    """Comments cite sections ("methods.md 1.3") and bugs of the released code ("T18")."""
    page = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    sections = set(re.findall(r"^#{2,3} (\d(?:\.\d+)?)\.? ", page, flags=re.MULTILINE))
    bugs = set(re.findall(r"^\| (T\d+) \|", page, flags=re.MULTILINE))
    found = 0
    for folder in ("semipose", "pipeline", "tests"):
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            for cited, known in ((r"methods\.md (\d+(?:\.\d+)?)", sections), (r"(?<!\w)(T\d+)(?=[).,:; ])", bugs)):
                numbers = set(re.findall(cited, text))
                found += len(numbers)
                assert numbers <= known, f"{path}: {sorted(numbers - known)}"
    assert found > 20


def test_the_slurm_job_stops_its_stage_and_asks_for_a_place_again(tmp_path: Path) -> None:
    """`make`, `scontrol` and `sleep` are stand-ins: the first one is a stage that runs until somebody stops it, the last one is quick."""
    (job,) = (block.text for block in blocks("docs/cluster.md") if "#SBATCH" in block.text)
    (tmp_path / "make").write_text('#!/bin/bash\necho begun\nexec -a "python -m pipeline.stages.train" /bin/sleep 60\n')
    (tmp_path / "scontrol").write_text('#!/bin/bash\necho "$@"\n')
    (tmp_path / "sleep").write_text("#!/bin/bash\nexec /bin/sleep 0.2\n")
    (tmp_path / "job").write_text(job)
    for name in ("make", "scontrol", "sleep"):
        (tmp_path / name).chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "7"}
    with subprocess.Popen(
        ["bash", tmp_path / "job"], stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "begun\n"
        running.terminate()
        assert running.communicate(timeout=30)[0] == "requeue 7\n"
