"""A set of the user's own, from params.yaml to figures, by the functions that the stages call: foxes of five joints."""

import csv
import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from typer.testing import CliRunner

from pipeline.runtime.declared import summary
from pipeline.stages import download, prepare
from pipeline.tracking import track
from semipose.augment.task import Task
from semipose.cli.app import app
from semipose.config.data import Custom
from semipose.config.load import load
from semipose.config.text import whole_text
from semipose.config.tree import Params
from semipose.data.download.datasets import describe, describe_media
from semipose.data.ground_truth import ground_truth, image_folder
from semipose.data.loading.pack import CropPack
from semipose.data.packing.writing import Recipe, write_pack
from semipose.data.sources import read_people
from semipose.data.splits import make_splits
from semipose.evaluation import evaluate
from semipose.inference.predict import Predictions
from semipose.utils.errors import InputError

JOINTS = ["nose", "left_ear", "right_ear", "rump", "tail"]
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two files of six foxes each, two in an image, beside one category of another kind."""
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for part in ("train", "val"):
        images, annotations = [], []
        for k in range(3):
            Image.fromarray(rng.integers(0, 256, (80, 120, 3), dtype=np.uint8)).save(tmp_path / "photos" / f"{part}{k}.png")
            images.append({"id": k + 1, "file_name": f"{part}{k}.png", "width": 120, "height": 80})
            for side in range(2):
                points = np.column_stack([rng.uniform(60 * side, 60 * side + 59, 5), rng.uniform(0, 79, 5), np.full(5, 2)])
                box = [60 * side, 0, 60, 80]
                one = {"id": len(annotations) + 1, "image_id": k + 1, "category_id": 7, "bbox": box, "area": 4000, "iscrowd": 0}
                annotations.append(one | {"keypoints": points.ravel().tolist(), "num_keypoints": 5})
        categories = [{"id": 3, "name": "tree"}, {"id": 7, "name": "fox", "keypoints": JOINTS, "skeleton": [[1, 4], [4, 5]]}]
        content = {"images": images, "annotations": annotations, "categories": categories}
        (tmp_path / f"{part}.json").write_text(json.dumps(content))
    return tmp_path


@pytest.fixture
def custom() -> Custom:
    parts = {part: {"annotations": f"{part}.json", "images": "photos"} for part in ("train", "val")}
    return Custom.model_validate(parts | {"category": None, "pairs": None, "sigmas": None, "torso": None})


def test_a_folder_may_have_brackets_and_only_folders_in_it(root: Path, custom: Custom) -> None:
    """Also a changed image in them is noticed."""
    folder = root / "photos [1]" / "monday" / "morning"
    folder.parent.mkdir(parents=True)
    (root / "photos").rename(folder)
    own = custom.model_copy(update={part: getattr(custom, part).model_copy(update={"images": "photos [1]"}) for part in ("train", "val")})
    before = describe("custom", root, own)
    assert before[2] == {"path": "photos [1]/", "files": 6, "stock": before[3]["stock"]}
    next(folder.iterdir()).write_bytes(b"another")
    assert describe("custom", root, own)[2]["stock"] != before[2]["stock"]
    with pytest.raises(InputError, match=r"lacks photos/, photos/ .*; correct data\.custom"):
        describe("custom", root, custom)
    with pytest.raises(InputError, match=r"is not there; .*; set data\.root in params\.yaml to the folder of your set"):
        describe("custom", root / "elsewhere", own)
    absolute = own.model_copy(update={"val": own.val.model_copy(update={"annotations": str(root / "val.json")})})
    with pytest.raises(InputError, match=r"data\.custom: .*val\.json must be relative to data\.root"):
        describe("custom", root, absolute)


def test_foxes_go_the_whole_way(root: Path, custom: Custom, demo: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = describe("custom", root, custom)
    assert [record["path"] for record in records] == ["train.json", "val.json", "photos/", "photos/"]
    assert records[2]["files"] == 6
    train, val = (read_people("custom", root, part, 0, custom) for part in ("train", "val"))
    assert train.skeleton.joints == tuple(JOINTS)
    assert train.skeleton.flip == [0, 2, 1, 3, 4]
    assert make_splits(train, {"few": 2}, "first", 0, "all")["few"]["labelled"] == train.ids[:2].tolist()
    write_pack(val, root, tmp_path / "pack", Recipe(48, 1.25, 1.5, 1.0), max_broken=0, processes=1)
    pack = CropPack.open(tmp_path / "pack")
    truth = ground_truth("custom", root, val, custom)
    assert [f"{image_folder('custom', custom)}/{image['file_name']}" for image in truth["images"]] == list(dict.fromkeys(val.images))
    found = Predictions(val.points, np.ones((6, 5), np.float32))
    monkeypatch.setattr(evaluate, "predict_pack", lambda *a, **k: found)
    task = Task(val.skeleton, 48, 48, torch.device("cpu"), 1.0, demo.augment)
    p = demo.evaluate.model_copy(update={"bootstrap": 10})
    assert evaluate.evaluate(nn.Conv2d(1, 1, 1), task, pack, truth, p).metrics["AP"]["value"] == pytest.approx(100)
    by_box = evaluate.evaluate(nn.Conv2d(1, 1, 1), task, pack, truth, p.model_copy(update={"metric": "pck", "pck_reference": "box"}))
    assert by_box.metrics["PCK@0.2 box"]["value"] == pytest.approx(100)


@pytest.mark.slow
def test_foxes_and_what_a_detector_found_elsewhere_go_through_the_stages(root: Path, stages: Callable[[dict[str, str]], Path]) -> None:
    """`data.custom` and `data.unlabelled`, from params.yaml to a record."""
    elsewhere = [{"id": 40 + k, "file_name": f"w{k}.png"} for k in range(3)]
    (root / "annotations").mkdir()
    (root / "annotations/image_info_unlabeled2017.json").write_text(json.dumps({"images": elsewhere}))
    (root / "unlabeled2017").mkdir()
    for image in elsewhere:
        Image.new("RGB", (90, 60), "olive").save(root / "unlabeled2017" / image["file_name"])
    found = [{"image_id": 40 + k % 3, "category_id": 1, "bbox": [5 * k, 4, 40, 50], "score": 0.2 + 0.1 * k} for k in range(5)]
    (root / "boxes.json").write_text(json.dumps(found))
    parts = "".join(f"    {part}:\n      annotations: {part}.json\n      images: photos\n" for part in ("train", "val"))
    folder = stages(
        {
            "  source: demo": "  source: custom",
            "  root: null": f"  root: {root}",
            "  custom: null": f"  custom:\n{parts}    category: null\n    pairs: null\n    sigmas: null\n    torso: null\n#",
            "  unlabelled: null": f"  unlabelled:\n    source: unlabeled2017\n    root: {root}\n    detections:\n"
            f"      file: {root}/boxes.json\n      score: 0.25\n    media: null\n#",
            "  metric: oks": "  metric: pck",
            "  pck_reference: torso": "  pck_reference: box",
            "    L20: 20\n    L40: 40\n": "    L20: 4\n",
        }
    )

    record = json.loads((folder / "reports/runs/custom-akm-L20-s0.json").read_text())
    assert (record["labelled"], record["unlabelled"]) == (4, 4), "one of five boxes has too low a score"
    assert {"PCK@0.2 box", "joint/left_ear", "joint/tail"} <= set(record["metrics"])
    with (folder / "reports/runs/custom-akm-L20-s0/history.csv").open() as file:
        columns = next(csv.reader(file))
    assert {"loss/masked", "val/AP"} <= set(columns)
    assert not any(name.startswith("pseudo/") for name in columns), "of boxes nobody knows what pseudo-labels are worth"
    people = CropPack.open(folder / "data/packs/unlabelled").people
    assert people.images == ["unlabeled2017/w1.png", "unlabeled2017/w2.png", "unlabeled2017/w0.png", "unlabeled2017/w1.png"]

    def state() -> tuple[str, dict[str, str]]:
        packs = {part: CropPack.open(folder / "data/packs" / part).digest for part in ("train", "val", "unlabelled")}
        return (folder / "data/manifest.json").read_text(), packs

    known, packs = state()
    Image.new("RGB", (120, 80), "red").save(root / "photos/train0.png")  # an image changes behind its pack
    download.bring()  # as `dvc repro --force download` does
    prepare.prepare()
    known_now, packs_now = state()
    assert known_now != known, "so that DVC runs what follows"
    assert {part for part in packs if packs_now[part] != packs[part]} == {"train"}


@pytest.fixture
def project(root: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The foxes, whose boxes fill half of their images at most, and whole images as unlabelled ones: a project before `download`."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("dvc.yaml", "pipeline", "semipose"):
        (folder / name).symlink_to(ROOT / name)
    (root / "wild").mkdir()
    for name in ("train0.png", "train1.png"):
        (root / "wild" / name).write_bytes((root / "photos" / name).read_bytes())
    parts = "".join(f"    {part}:\n      annotations: {part}.json\n      images: photos\n" for part in ("train", "val"))
    media = "{folders: [.], detector: null, weights: null, score: 0.5, every: 1.0, blur: 1.0, near: 0.0}"
    text = whole_text(ROOT / "pipeline/presets/smoke.yaml")
    for old, new in {
        "  source: demo": "  source: custom",
        "  root: null": f"  root: {root}",
        "  custom: null": f"  custom:\n{parts}    category: null\n    pairs: null\n    sigmas: null\n    torso: null\n#",
        "  unlabelled: null": f"  unlabelled:\n    source: media\n    root: {root}/wild\n    detections: null\n    media: {media}\n#",
        "  workers: 2 ": "  workers: 1 ",
    }.items():
        assert old in text
        text = text.replace(old, new, 1)
    (folder / "params.yaml").write_text(text)
    (folder / "params.ok").touch()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(track, "run", lambda **told: nullcontext(MagicMock()))
    return folder


def narrowed(root: Path, width: int) -> None:
    """Boxes of this width (px) in images of 120."""
    content = json.loads((root / "train.json").read_text())
    for one in content["annotations"]:
        one["bbox"][2] = width
    (root / "train.json").write_text(json.dumps(content))


def test_prepare_says_what_was_left_out_and_that_boxes_are_of_two_kinds(
    root: Path, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "labelled boxes fill 33% of their images (median), but data.unlabelled takes whole images as boxes"
    narrowed(root, 41)  # clamping takes a px
    download.bring()
    prepare.prepare()
    said = capsys.readouterr().out
    assert f"train: {words}" in said
    assert "unlabelled: 2 people" in said
    assert "dropped: 0 near-duplicate, 0 blurred; broken images: 0" in said
    doctored = CliRunner().invoke(app, ["doctor", "--params", "params.yaml"]).output
    assert f"train: {words}" in doctored
    narrowed(root, 100)
    assert "whole images" not in CliRunner().invoke(app, ["doctor", "--params", "params.yaml"]).output
    narrowed(root, 41)
    params = load(project / "params.yaml")
    assert params.data.unlabelled
    assert params.data.unlabelled.media
    found = params.data.unlabelled.media.model_copy(update={"detector": "small"})
    assert not params.data.unlabelled.model_copy(update={"media": found}).whole_images


def test_a_stage_names_the_detectors_pack_only_if_it_reads_it(demo: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    item = {"method": "akm", "labels": "L50", "seed": "0"}
    usual = summary("evaluate", item, demo, 1)
    assert "read data/packs/val, " in usual
    assert "val_detected" not in usual
    detected = demo.model_copy(update={"evaluate": demo.evaluate.model_copy(update={"boxes": "detector"})})
    assert "read data/packs/val, data/packs/val_detected, " in summary("evaluate", item, detected, 1)


def test_what_is_not_there_is_named(root: Path, custom: Custom) -> None:
    (root / "val.json").unlink()
    with pytest.raises(InputError, match=r"lacks val\.json.*data\.custom"):
        describe("custom", root, custom)


def test_a_torso_that_nobody_named_is_asked_for(demo: Params, custom: Custom) -> None:
    whole = demo.model_dump()
    whole["data"] |= {"source": "custom", "root": "foxes", "custom": custom.model_dump()}
    Params.model_validate(whole)
    whole["evaluate"] |= {"metric": "pck", "pck_reference": "torso"}
    with pytest.raises(ValueError, match=r"data\.custom\.torso"):
        Params.model_validate(whole)


def test_params_ask_for_what_a_set_of_ones_own_needs(tmp_path: Path) -> None:
    text = whole_text(ROOT / "pipeline/presets/demo.yaml")
    path = tmp_path / "params.yaml"
    path.write_text(text.replace("  source: demo", "  source: custom"))
    with pytest.raises(InputError, match=r"needs data\.root and data\.custom"):
        load(path)
    path.write_text(text.replace("  boxes: ground_truth ", "  boxes: detector "))
    with pytest.raises(InputError, match=r"evaluate\.boxes: detector needs data\.detections"):
        load(path)
    path.write_text(text.replace("\n    - akm\n", "\n    - akm\n    - sspcm\n", 1))
    with pytest.raises(InputError, match=r"method\.sspcm trains 3 networks, but model\.networks names 1"):
        load(path)


def test_folders_of_media_are_described_with_the_folders_in_them(tmp_path: Path) -> None:
    """So that a new video, or another one of the same name, runs `prepare` again."""
    (tmp_path / "clips/deep [1]").mkdir(parents=True)
    (tmp_path / "clips/deep [1]/a.mp4").write_bytes(b"one")
    records = [describe_media(tmp_path, ["clips"]), describe_media(tmp_path, ["."]), describe_media(tmp_path, ["clips/deep [1]"])]
    assert [record["files"] for (record,) in records] == [1, 1, 1]
    (tmp_path / "clips/b.mp4").write_bytes(b"two")
    with_two = describe_media(tmp_path, ["clips"])
    (tmp_path / "clips/deep [1]/a.mp4").write_bytes(b"another")
    assert describe_media(tmp_path, ["clips"]) != with_two != records[0]
    with pytest.raises(InputError, match=r"data\.unlabelled\.media\.folders: .*photos is no folder"):
        describe_media(tmp_path, ["clips", "photos"])
