"""A detector's boxes: read and refused, poses in them rescored and thinned out, against loops and by hand."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from semipose.augment.task import Task
from semipose.config.tree import Params
from semipose.data.loading.pack import CropPack
from semipose.data.packing.writing import Recipe, write_pack
from semipose.data.sources import read_people
from semipose.data.sources.detections import read_detections, read_images
from semipose.evaluation import evaluate
from semipose.evaluation.evaluate import detected_results
from semipose.evaluation.metrics.nms import oks_nms
from semipose.inference.predict import Predictions
from semipose.pose.skeleton import COCO17
from semipose.utils.errors import InputError


def naive_nms(points: np.ndarray, scores: np.ndarray, areas: np.ndarray, threshold: float) -> list[int]:
    left, kept = sorted(range(len(points)), key=lambda i: -scores[i]), []
    while left:
        best = left.pop(0)
        kept.append(best)
        for other in list(left):
            terms = []
            for j, sigma in enumerate(COCO17.sigmas):
                d = math.dist(points[best, j], points[other, j])
                terms.append(math.exp(-(d**2) / (2 * ((areas[best] + areas[other]) / 2) * (2 * sigma) ** 2)))
            if sum(terms) / 17 > threshold:
                left.remove(other)
    return kept


@pytest.mark.parametrize("threshold", [0.3, 0.6, 0.9])
def test_nms_equals_a_loop(threshold: float) -> None:
    rng = np.random.default_rng(0)
    base = rng.uniform(0, 100, (6, 17, 2))
    points = base[rng.integers(0, 6, 40)] + rng.normal(0, 1, (40, 1, 1)) * rng.normal(0, 4, (40, 17, 2))
    scores, areas, images = rng.uniform(0, 1, 40), rng.uniform(1000, 9000, 40), rng.choice([3, 5, 8], 40, p=[0.1, 0.2, 0.7])
    kept = oks_nms(points, scores, areas, images, COCO17.sigmas, threshold)
    alone = [np.flatnonzero(images == image) for image in (3, 5, 8)]
    assert kept.tolist() == [there[k] for there in alone for k in naive_nms(points[there], scores[there], areas[there], threshold)]
    assert 6 <= len(kept) < 40


def test_nobody_stays_nobody() -> None:
    assert oks_nms(np.zeros((0, 17, 2)), np.zeros(0), np.zeros(0), np.zeros(0, int), COCO17.sigmas, 0.9).tolist() == []


@pytest.fixture
def root(real_data: Path) -> Path:
    return real_data / "coco-mini"


def images_of(root: Path) -> list[dict]:
    return json.loads((root / "annotations/person_keypoints_val2017.json").read_text())["images"]


def written(tmp_path: Path, entries: object) -> Path:
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps(entries))
    return path


def box(image: int, score: float = 0.9, **changes: object) -> dict:
    return {"image_id": image, "category_id": 1, "bbox": [10.0, 20.0, 50.0, 90.0], "score": score} | changes


def test_boxes_are_read_in_order_and_counted(root: Path, tmp_path: Path) -> None:
    images = images_of(root)
    first, second = images[0], images[1]
    a_dog, flat = box(first["id"], category_id=3), box(first["id"], bbox=[5, 5, 0, 9])
    entries = [box(second["id"]), box(first["id"], 0.2), a_dog, flat, box(first["id"])]
    people = read_detections(written(tmp_path, entries), root, images, "val2017", COCO17, score=0.5)
    assert people.ids.tolist() == [1, 4]
    assert people.image_ids.tolist() == [second["id"], first["id"]]
    assert people.images == [f"val2017/{second['file_name']}", f"val2017/{first['file_name']}"]
    assert people.scores is not None
    assert people.scores.tolist() == pytest.approx([0.9, 0.9])
    assert people.dropped == {"low score": 1, "degenerate box": 1}
    assert not people.visibility.any()
    people.save(tmp_path / "people.npz")
    again = type(people).load(tmp_path / "people.npz")
    assert again.scores is not None
    assert np.array_equal(again.scores, people.scores)
    assert again.subset([1]).scores.tolist() == pytest.approx([0.9])


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({}, "should be a valid array"),
        ([box(-5)], r"\[0\]: image_id: -5 is not one of the 32 images"),
        ([1], r"\[0\]: should be an object, not 1"),
    ],
)
def test_a_wrong_file_is_named(root: Path, tmp_path: Path, entries: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_detections(written(tmp_path, entries), root, images_of(root), "val2017", COCO17)


@pytest.mark.parametrize(("field", "value"), [("bbox", [1, 2, 3]), ("bbox", None), ("score", "high"), ("score", None)])
def test_a_wrong_field_is_named(root: Path, tmp_path: Path, field: str, value: object) -> None:
    images = images_of(root)
    with pytest.raises(InputError, match=rf"boxes.json: \[0\]: {field}"):
        read_detections(written(tmp_path, [box(images[0]["id"], **{field: value})]), root, images, "val2017", COCO17)


def test_shares_and_corners_are_refused(root: Path, tmp_path: Path) -> None:
    images, truth = {image["id"]: image for image in images_of(root)}, read_people("coco", root, "val")
    shares, corners = [], []
    for image_id, (x, y, w, h) in zip(truth.image_ids.tolist(), truth.boxes.tolist(), strict=True):
        width, height = images[image_id]["width"], images[image_id]["height"]
        shares.append(box(image_id, bbox=[x / width, y / height, w / width, h / height]))
        corners.append(box(image_id, bbox=[x, y, x + w, y + h]))
    for boxes, words in ((shares, r"\[0\]: bbox: .* is within 0 to 1"), (corners, "look like x1, y1, x2, y2")):
        with pytest.raises(InputError, match=f"{words}.*; must be x, y, width, height in px"):
            read_detections(written(tmp_path, boxes), root, list(images.values()), "val2017", COCO17)


def test_poses_are_rescored_and_thinned_out(root: Path, tmp_path: Path, demo: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two boxes of one person, one of another person in the same image, one in another image: the weaker of the two goes."""
    images, truth = images_of(root), read_people("coco", root, "val")
    image = next(image for image in images if (truth.image_ids == image["id"]).sum() >= 2)
    there = np.flatnonzero(truth.image_ids == image["id"])[:2]
    elsewhere = int(np.flatnonzero(truth.image_ids != image["id"])[0])
    chosen = [there[0], there[0], there[1], elsewhere]
    scores = (0.6, 0.8, 0.5, 0.3)
    boxes = [box(int(truth.image_ids[k]), score, bbox=truth.boxes[k].tolist()) for k, score in zip(chosen, scores, strict=True)]
    people = read_detections(written(tmp_path, boxes), root, images, "val2017", COCO17)
    write_pack(people, root, tmp_path / "pack", Recipe(64, 1.25, 1.5, 0.75), max_broken=0, processes=1)
    pack = CropPack.open(tmp_path / "pack")
    confidence = np.tile(np.where(np.arange(17) < 5, 0.1, 0.7).astype(np.float32), (4, 1))
    found = Predictions(truth.points[chosen] + np.float32(0.01), confidence)
    monkeypatch.setattr(evaluate, "predict_pack", lambda *a, **k: found)
    task = Task(COCO17, 64, 48, torch.device("cpu"), 1.0, demo.augment)
    results = detected_results(nn.Conv2d(1, 1, 1), task, pack, demo.evaluate)
    assert [result["image_id"] for result in results] == [image["id"], image["id"], int(truth.image_ids[elsewhere])]
    assert [result["score"] for result in results] == pytest.approx([0.8 * 0.7, 0.5 * 0.7, 0.3 * 0.7])  # joints below 0.2 do not count


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[]", "should be an object"),
        ('{"images": 3}', "images: should be"),
        ('{"images": [{"id": 1}]}', r"images\[0\]: file_name: is missing"),
    ],
)
def test_images_without_a_list_of_them_are_named(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "image_info.json"
    path.write_text(content)
    with pytest.raises(InputError, match=rf"image_info\.json: {words}.*; download the data set again"):
        read_images(path)
