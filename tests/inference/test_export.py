"""Export: ONNX gives what PyTorch gives, the example what `semipose predict` gives, the card what is known."""

import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from semipose.cli.app import app
from semipose.config.network import Model
from semipose.config.tree import Params
from semipose.data.pixels import read_image
from semipose.inference.export import onnx
from semipose.inference.export.card import model_card
from semipose.inference.export.onnx import export, export_onnx
from semipose.inference.poser import Poser
from semipose.models.network import build
from semipose.models.weight_file import load_network, network_metadata, save_network
from semipose.pose.skeleton import COCO17
from semipose.utils.errors import InputError

pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Weights with statistics that are not the initial ones, in a repository with a record of their run; and the folder of the export."""
    model = Model(
        backbone="resnet18", options={"layers": [1, 1, 1, 1], "channels": [16, 16, 16, 16], "output_stride": 8},
        pretrained=False, frozen=[],
        height=64, width=48, head_channels=[16], sigma=1.0, networks=["net"],
    )  # fmt: skip
    root = tmp_path_factory.mktemp("repository")
    net = build(model, 17, seed=0)
    generator = torch.Generator().manual_seed(0)
    for name, value in net.state_dict().items():  # the initial head says nothing yet
        if value.dim() == 4:
            value.copy_(torch.randn(value.shape, generator=generator) / value[0].numel() ** 0.5)
        elif name.endswith("running_mean"):
            value += 0.1 * torch.randn(value.shape, generator=generator)
    training = {"labelled": 50, "unlabelled": 3828, "warmup_steps": 400, "steps": 700, "batch_size": 16}
    card = network_metadata(
        model, COCO17, 1.25, training=training, method={"base": "akm"}, cell="akm-L50-s0", fingerprint="f" * 32, network="net"
    )
    weights = root / "runs" / "demo-akm-L50-s0" / "weights.safetensors"
    save_network(net, weights, card)
    protocol = {"headline": "AP", "people": 607, "boxes": "ground truth", "flip_test": False, "decode": "dark", "epoch": "last"}
    score = {"AP": {"value": 31.4, "low": 29.0, "high": 34.0}}
    record = {"cell": "demo-akm-L50-s0", "data": "demo", "commit": "c" * 40, "protocol": protocol, "metrics": score}
    (root / "reports" / "runs").mkdir(parents=True)
    (root / "reports" / "runs" / "demo-akm-L50-s0.json").write_text(json.dumps(record))
    assert export(weights, root / "out", "MIT") <= 1e-4
    return weights, root / "out"


@pytest.mark.slow
def test_onnx_takes_any_batch_and_gives_what_pytorch_gives(exported: tuple[Path, Path]) -> None:
    import onnxruntime

    from semipose.data.loading.normalise import normalise

    weights, out = exported
    net, _ = load_network(weights)
    session = onnxruntime.InferenceSession(out / "model.onnx", providers=["CPUExecutionProvider"])
    for count in (1, 2, 7):
        images = torch.randint(0, 256, (count, 3, 64, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(count))
        with torch.inference_mode():
            expected = net(normalise(images)).numpy()
        (found,) = session.run(None, {"images": images.numpy()})
        np.testing.assert_allclose(found, expected, atol=1e-4)
    assert expected.std() > 0.01  # the network says something


@pytest.mark.slow
def test_the_example_says_what_predict_says(
    exported: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    weights, out = exported
    noise = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    image = Image.fromarray(noise).resize((160, 120), Image.Resampling.BICUBIC)
    image.save(tmp_path / "people.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # a phone's: viewers turn the stored pixels by a quarter, to `image`
    image.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "phone.png", exif=exif)
    box = [30.5, -10.0, 50.25, 90.0]  # also outside the image
    Image.fromarray(np.dstack([np.asarray(image), np.asarray(image)[..., 0]])).save(tmp_path / "clear.png")  # with transparency
    net, card = load_network(weights)
    numbers = [str(number) for number in box]
    for file, boxes, arguments in (
        ("people.png", np.array([box], np.float32), numbers), ("people.png", None, []), ("phone.png", np.array([box], np.float32), numbers),
        ("clear.png", None, []),
    ):  # fmt: skip
        expected = Poser(net, card).predict(Image.fromarray(np.asarray(read_image(tmp_path / file, exif="apply"))), boxes)
        arguments = [str(out / "example.py"), str(tmp_path / file), *arguments]
        if file == "phone.png":  # in a process of its own, as users do
            printed = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True).stdout
        else:
            monkeypatch.setattr(sys, "argv", arguments)
            runpy.run_path(arguments[0], run_name="__main__")
            printed = capsys.readouterr().out
        rows = [line.split() for line in printed.splitlines()]
        assert [row[0] for row in rows] == list(COCO17.joints)
        found = np.array([[float(value) for value in row[1:]] for row in rows])
        near = np.abs(found[:, :2] - expected.points[0]).max(1) < 0.06  # printed to 0.1; a neighbour's tie may fall the other way
        assert near.mean() > 0.9
        np.testing.assert_allclose(found[:, 2], expected.confidence[0], atol=0.02)


@pytest.mark.slow
def test_the_card_says_data_protocol_figure_and_licence(exported: tuple[Path, Path]) -> None:
    _, out = exported
    text = (out / "README.md").read_text()
    for words in ("license: mit", "AP 31.4", "[29.0, 34.0]", "607 validation people", "without flip test", "50 labelled", "left_wrist"):
        assert words in text
    _, card = load_network(out / "model.safetensors")
    assert "Not known" in model_card(card, None, "MIT", 1000), "of weights that lie elsewhere"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backbone", "options", "channels"),
    [
        ("convnext_atto", {"depths": [1, 1, 2, 1], "dims": [8, 16, 24, 32]}, [8, 8, 8]),
        ("vit_small_patch14_reg4_dinov2", {"patch_size": 16, "embed_dim": 24, "depth": 4, "num_heads": 2}, [8, 8]),
    ],
)
def test_other_families_can_be_exported(backbone: str, options: dict[str, Any], channels: list[int], tiny: Params, tmp_path: Path) -> None:
    """With heatmaps as large as a trained network's; `export_onnx` compares them with PyTorch's."""
    changes = {"backbone": backbone, "options": options, "head_channels": channels, "height": 32, "width": 32}
    net = build(tiny.model.model_copy(update=changes), 17, seed=0).eval()
    with torch.no_grad():
        net.head[-1].get_parameter("weight").mul_(1000)
    export_onnx(net, (32, 32), tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").exists()


def test_an_onnx_that_differs_is_not_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net: Any = torch.nn.Conv2d(3, 17, 3)
    monkeypatch.setattr(onnx, "PARITY", -1.0)
    with pytest.raises(InputError, match=r"differs from PyTorch by .*nothing was written"):
        export_onnx(net, (64, 48), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = CliRunner().invoke
    result = run(app, ["export", "--weights", str(tmp_path / "gone.safetensors"), "--out", str(tmp_path / "out")])
    assert (result.exit_code, "no such weight file" in result.output) == (1, True)
    monkeypatch.setattr(onnx, "find_spec", lambda name: None if name == "onnx" else object())
    result = run(app, ["export", "--weights", str(tmp_path / "gone.safetensors"), "--out", str(tmp_path / "out")])
    assert (result.exit_code, "needs onnx; run pip install 'semipose[export]'" in result.output) == (1, True)
