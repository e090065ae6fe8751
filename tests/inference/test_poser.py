"""Poses of one's own images: many at once as one by one, the three lines of the API, videos, detectors, heatmaps."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models import detection
from typer.testing import CliRunner

from semipose.cli.app import app
from semipose.config.network import Model
from semipose.demo.dataset import render_set
from semipose.inference.detector import CLASSES, Detector
from semipose.inference.poser import Poser
from semipose.models.network import build
from semipose.models.weight_file import network_metadata, save_network
from semipose.pose.skeleton import COCO17
from semipose.utils.errors import InputError

run = CliRunner().invoke


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = Model(
        backbone="resnet18", options={"layers": [1, 1, 1, 1], "channels": [8, 8, 8, 8], "output_stride": 8},
        pretrained=False, frozen=[], height=64,
        width=48, head_channels=[8], sigma=1.0, networks=["net"],
    )  # fmt: skip
    path = tmp_path_factory.mktemp("weights") / "weights.safetensors"
    save_network(build(model, 17, seed=0), path, network_metadata(model, COCO17, 1.25))
    return path


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Image.Image]:
    root = tmp_path_factory.mktemp("synthetic")
    render_set(root, {"train": 6}, seed=0)
    return [Image.open(path).convert("RGB") for path in sorted((root / "train2017").iterdir())]


def test_three_lines(weights: Path, images: list[Image.Image], tmp_path: Path) -> None:
    poser = Poser.load(weights, device="cpu")
    poses = poser.predict(images[0])
    poser.draw(images[0], poses).save(tmp_path / "poses.jpg")
    assert poses.points.shape == (1, 17, 2)
    assert Image.open(tmp_path / "poses.jpg").size == images[0].size


def test_a_phone_photo_is_predicted_and_rendered_as_viewers_show_it(weights: Path, images: list[Image.Image], tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by a quarter
    images[0].transpose(Image.Transpose.ROTATE_90).save(tmp_path / "phone.png", exif=exif)
    poser = Poser.load(weights, device="cpu")
    phone = Image.open(tmp_path / "phone.png")
    found, expected = poser.predict(phone), poser.predict(images[0])
    np.testing.assert_array_equal(found.points, expected.points)
    rendered = poser.draw(phone, found)
    np.testing.assert_array_equal(np.asarray(rendered), np.asarray(poser.draw(images[0], expected)))


@pytest.mark.parametrize("batch_size", [1, 3, 50])
def test_many_images_are_as_one_by_one(weights: Path, images: list[Image.Image], batch_size: int) -> None:
    """Also where an image has nobody, or more people than a batch."""
    counts = [2, 0, 5, 1, 0, 3]
    rng = np.random.default_rng(0)
    boxes = [rng.uniform([0, 0, 40, 60], [200, 100, 120, 140], (count, 4)) for count in counts]
    poser, alone = Poser.load(weights, "cpu", batch_size=batch_size), Poser.load(weights, "cpu", batch_size=1)
    found = list(poser.predict_all(zip(images, boxes, strict=True)))
    assert [len(poses) for poses in found] == counts
    for poses, image, people in zip(found, images, boxes, strict=True):
        one_by_one = [alone.predict(image, people[k : k + 1]) for k in range(len(people))]
        for k, one in enumerate(one_by_one):
            np.testing.assert_allclose(poses.points[k], one.points[0], atol=1e-3)
            np.testing.assert_allclose(poses.confidence[k], one.confidence[0], atol=1e-5)


def test_images_come_back_no_later_than_a_batch(weights: Path, images: list[Image.Image]) -> None:
    """A video is not held in memory."""
    handed = 0

    def shots() -> object:
        nonlocal handed
        for _ in range(40):
            handed += 1
            yield images[0], None

    for back, _ in enumerate(Poser.load(weights, "cpu", batch_size=4).predict_all(shots()), start=1):
        assert handed - back < 4


def test_flipped_by_the_pairs_of_the_card(weights: Path, images: list[Image.Image]) -> None:
    """A network that is symmetric by construction: the flip test of an image and of its mirrored self agree, sides exchanged."""
    poser = Poser.load(weights, "cpu", flip_test=True)
    first, mirrored = poser.predict(images[0]), poser.predict(images[0].transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    expected = images[0].width - 1 - mirrored.points[0, COCO17.flip, 0]
    np.testing.assert_allclose(first.confidence[0], mirrored.confidence[0, COCO17.flip], atol=1e-4)
    assert np.median(np.abs(first.points[0, :, 0] - expected)) < 0.5


def test_heatmaps_are_rendered_for_each_person(weights: Path, images: list[Image.Image], tmp_path: Path) -> None:
    images[0].save(tmp_path / "a.jpg")
    (tmp_path / "boxes.json").write_text(json.dumps([{"file_name": "a.jpg", "bbox": [x, 20, 60, 100]} for x in (10, 90)]))
    arguments = [str(tmp_path / "a.jpg"), "--weights", str(weights), "--out", str(tmp_path / "out"), "--heatmaps"]
    result = run(app, ["predict", *arguments, "--boxes", str(tmp_path / "boxes.json")])
    assert result.exit_code == 0, result.output
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "a.jpg", "a_heatmaps_1.png", "a_heatmaps_2.png", "predictions.json",
    }  # fmt: skip
    assert Image.open(tmp_path / "out" / "a_heatmaps_1.png").size == (48, 64)
    assert "people/s" in result.output


def test_a_video_is_predicted_frame_by_frame(weights: Path, images: list[Image.Image], tmp_path: Path) -> None:
    pytest.importorskip("av")
    from semipose.inference.videos import opened, written

    with written(tmp_path / "clip.mp4", Fraction(10)) as add:
        for number, image in enumerate(images):
            add(image, time=number / 10)
    with opened(str(tmp_path / "clip.mp4")) as video:
        back = [frame.image for frame in video.frames]
    assert (len(back), video.promised, video.rate, video.shortfall) == (6, 6, 10, "")
    assert np.abs(np.asarray(back[3], np.int16) - np.asarray(images[3])).mean() < 6  # H.264 loses little
    result = run(app, ["predict", str(tmp_path / "clip.mp4"), "--weights", str(weights), "--out", str(tmp_path / "out"), "--frames", "4"])
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert [(one["image_id"], one["frame"], one["file_name"]) for one in found] == [(k, k, "clip.mp4") for k in range(1, 5)]
    with opened(str(tmp_path / "out" / "clip.mp4")) as video:
        assert (len(list(video.frames)), video.rate) == (4, 10)
    alone = Poser.load(weights, "cpu").predict(back[2])
    np.testing.assert_allclose(np.array(found[2]["keypoints"]).reshape(17, 3)[:, :2], alone.points[0], atol=0.05)


def test_what_is_no_video_is_named(weights: Path, images: list[Image.Image], tmp_path: Path) -> None:
    pytest.importorskip("av")
    (tmp_path / "text.mp4").write_text("no video")
    images[0].save(tmp_path / "a.jpg")

    def said(*arguments: str) -> str:
        result = run(app, ["predict", *arguments, "--weights", str(weights), "--out", str(tmp_path / "out")])
        assert result.exit_code == 1, result.output
        return " ".join(result.output.split())

    assert "text.mp4 cannot be opened as a video file" in said(str(tmp_path / "text.mp4"))
    assert "gone.mp4 cannot be opened as a video file" in said(str(tmp_path / "gone.mp4"))
    assert "77 cannot be opened as a webcam" in said("77")
    assert "text.mp4 is a video; predict it without other inputs" in said(str(tmp_path / "text.mp4"), str(tmp_path / "a.jpg"))
    assert not list((tmp_path / "out").glob("*"))


def test_a_detector_finds_boxes_and_its_weights_are_a_file(
    tmp_path: Path, images: list[Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    net = detection.fasterrcnn_mobilenet_v3_large_fpn(weights=None, weights_backbone=None, num_classes=CLASSES)
    with torch.no_grad():  # sure that everything is a person
        net.roi_heads.box_predictor.cls_score.bias[1] += 20
    torch.save(net.state_dict(), tmp_path / "detector.pth")
    find = Detector("small", tmp_path / "detector.pth", score=0.9, device=torch.device("cpu"))
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)  # as machine.tf32; on a GPU a detector would round with it
    fine: list[bool] = []
    find.net.register_forward_hook(lambda *_: fine.append(not torch.backends.cudnn.allow_tf32))
    boxes = find(images[0])
    assert fine == [True]
    assert len(boxes.scores) > 0
    assert (boxes.scores >= 0.9).all()
    assert (boxes.xywh[:, 2:] > 0).all()
    net.eval()
    with torch.inference_mode():
        (expected,) = net([torch.from_numpy(np.asarray(images[0]).copy()).permute(2, 0, 1) / 255])
    corners = expected["boxes"][expected["labels"] == 1].numpy()[: len(boxes.xywh)]
    np.testing.assert_allclose(boxes.xywh[:, :2] + boxes.xywh[:, 2:], corners[:, 2:], atol=1e-3)


def test_missing_detector_weights_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = torch.device("cpu")
    (tmp_path / "other.pth").write_bytes(b"no weights")
    with pytest.raises(InputError, match=r"other\.pth is not this detector's file"):
        Detector("small", tmp_path / "other.pth", 0.5, device)
    with pytest.raises(InputError, match=r"gone\.pth: no such file"):
        Detector("small", tmp_path / "gone.pth", 0.5, device)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody answers there
    monkeypatch.setattr("urllib.request._opener", None)  # it keeps the proxies of its first use, this test's for all that come after
    with pytest.raises(InputError, match=r"cannot be downloaded .*download that file by hand and name it with --detector-weights"):
        Detector("small", None, 0.5, device)
