"""`semipose predict` and `evaluate`, from a weight file, images and annotations alone, give what the pipeline's evaluation gave."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from semipose.cli.app import app
from semipose.config.network import Model
from semipose.data.loading.pack import CropPack
from semipose.data.packing.writing import Recipe, write_pack
from semipose.data.sources import read_people
from semipose.demo.dataset import render_set
from semipose.inference.predict import predict_pack, to_results
from semipose.models.network import build
from semipose.models.weight_file import network_metadata, save_network
from semipose.pose.skeleton import COCO17

run = CliRunner().invoke


def done(*arguments: object) -> str:
    result = run(app, [str(one) for one in arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_predict_and_evaluate_give_the_stages_figures(stages: Callable[[dict[str, str]], Path], tmp_path: Path) -> None:
    """Of a run with packs of JPEGs, flip test and DARK; the weight file lies elsewhere, and nothing of the pipeline is looked at."""
    folder = stages({"    format: raw": "    format: jpeg", "  flip_test: false": "  flip_test: true"})
    run = "demo-akm-L20-s0"
    weights = (folder / "runs" / run / "weights.safetensors").rename(tmp_path / "weights.safetensors")
    images, truth = folder / "data/drawn/val2017", folder / "data/drawn/annotations/person_keypoints_val2017.json"
    done("predict", images, "--annotations", truth, "--weights", weights, "--out", tmp_path / "poses")
    found = json.loads((tmp_path / "poses/predictions.json").read_text())
    expected = json.loads((folder / "runs" / run / "predictions.json").read_text())
    assert [{key: value for key, value in one.items() if key != "file_name"} for one in found] == expected
    poses = tmp_path / "poses/predictions.json"
    done("evaluate", "--annotations", truth, "--predictions", poses, "--json", tmp_path / "m.json")
    metrics = json.loads((folder / "reports/runs" / f"{run}.json").read_text())["metrics"]
    for name, value in json.loads((tmp_path / "m.json").read_text()).items():
        assert (-1 if metrics[name]["value"] is None else metrics[name]["value"] / 100) == pytest.approx(value, abs=1e-12), name


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic")
    render_set(folder, {"val": 6}, seed=3)
    return folder


@pytest.mark.parametrize(
    ("size", "quality", "clamped", "decode", "flip_test"),
    [(96, None, True, "dark", False), (40, 80, False, "quarter", True), (400, None, False, "dark", True)],
    ids=["raw", "shrunk JPEGs", "the image's own pixels"],
)
def test_a_person_of_an_image_is_that_of_a_pack(
    root: Path, tmp_path: Path, size: int, quality: int | None, clamped: bool, decode: str, flip_test: bool
) -> None:
    model = Model(
        backbone="resnet18", options={"layers": [1, 1, 1, 1], "channels": [8, 8, 8, 8], "output_stride": 8},
        pretrained=False, frozen=[], height=64, width=48, head_channels=[8], sigma=1.0, networks=["net"],
    )  # fmt: skip
    net = build(model, 17, seed=0).eval()
    people = read_people("demo", root, "val")
    truth = root / "annotations/person_keypoints_val2017.json"
    if not clamped:
        by_id = {one["id"]: one["bbox"] for one in json.loads(truth.read_text())["annotations"]}
        people.boxes[:] = [by_id[person] for person in people.ids]
    write_pack(people, root, tmp_path / "pack", Recipe(size, 1.25, 1.5, 48 / 64, quality), 0, 1)
    pack = CropPack.open(tmp_path / "pack")
    crops = predict_pack(net, pack, np.arange(len(pack)), (64, 48), flip_test, decode, 64, "cpu", 1.0)
    crop = {"size": size, "extent": 1.5, "quality": quality, "clamped": clamped}
    metadata = network_metadata(model, COCO17, 1.25) | {"crop": crop, "decode": decode, "flip_test": flip_test}
    save_network(net, tmp_path / "w", metadata)
    arguments = ["predict", root / "val2017", "--annotations", truth, "--weights", tmp_path / "w", "--batch-size", 64]
    done(*arguments, "--out", tmp_path / "out")
    found = json.loads((tmp_path / "out/predictions.json").read_text())
    assert [one | {"file_name": None} for one in found] == [one | {"file_name": None} for one in to_results(crops, people.image_ids)]
    other = {"dark": "quarter", "quarter": "dark"}[decode]
    done(*arguments, "--decode", other, "--out", tmp_path / "other")
    assert [one["keypoints"] for one in json.loads((tmp_path / "other/predictions.json").read_text())] != [
        one["keypoints"] for one in found
    ]
    done(*arguments, "--no-flip-test" if flip_test else "--flip-test", "--out", tmp_path / "flipped")
    assert json.loads((tmp_path / "flipped/predictions.json").read_text()) != found
