"""AI Challenger: the reader on small files in the official layout, which itself is behind share links."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semipose.data.download.datasets import check_layout, describe, download
from semipose.data.ground_truth import ground_truth
from semipose.data.sources import read_people
from semipose.data.sources.aic import read_aic
from semipose.evaluation.metrics.average_precision import evaluate_oks
from semipose.pose.skeleton import AIC14
from semipose.utils.errors import InputError

NAMES = {
    "train": ("ai_challenger_keypoint_train_20170909", "keypoint_train_annotations_20170909.json", "keypoint_train_images_20170902"),
    "val": (
        "ai_challenger_keypoint_validation_20170911",
        "keypoint_validation_annotations_20170911.json",
        "keypoint_validation_images_20170911",
    ),
}


def keypoints(seed: int, visibility: int | None = None) -> list:
    generator = np.random.default_rng(seed)
    values = np.concatenate([generator.integers(0, 60, (14, 2)), generator.integers(1, 4, (14, 1))], axis=1)
    values[0, 2] = 1
    if visibility:
        values[:, 2] = visibility
    return values.ravel().tolist()


def image(name: str, *people: tuple[list, list]) -> dict:
    return {
        "image_id": name,
        "human_annotations": {f"human{k}": box for k, (box, _) in enumerate(people, start=1)},
        "keypoint_annotations": {f"human{k}": points for k, (_, points) in enumerate(people, start=1)},
        "url": "http://example.org",
    }


def entries() -> list[dict]:
    return [
        image("b0", ([5, 6, 25, 46], keypoints(1)), ([-4, -2, 30, 80], keypoints(2))),
        image("none"),
        image("a1", ([10, 10, 40, 50], keypoints(3, 3)), ([10, 10, 10, 50], keypoints(4)), ([1, 2, 3, 4], keypoints(5))),
        image("a2", ([90, 10, 99, 20], keypoints(6)), ([0, 0, 50, 60], keypoints(7))),
    ]


def write(root: Path, content: object, part: str = "train") -> Path:
    folder, file, images = NAMES[part]
    (root / folder / images).mkdir(parents=True, exist_ok=True)
    for k, name in enumerate(("b0", "a1", "a2", "none")):
        Image.new("RGB", (70 + k, 60)).save(root / folder / images / f"{name}.jpg")
    (root / folder / file).write_text(json.dumps(content))
    return root


@pytest.mark.parametrize("part", ["train", "val"])
def test_people_are_those_of_the_file(tmp_path, part):
    people = read_people("aic", write(tmp_path, entries(), part), part)
    folder, _, images = NAMES[part]
    assert people.skeleton is AIC14
    assert people.images == [f"{folder}/{images}/{name}.jpg" for name in ("b0", "b0", "a1", "a2")]
    assert people.ids.tolist() == [1, 2, 5, 7]
    assert people.image_ids.tolist() == [1, 1, 2, 3]
    assert people.sizes[:, 0].tolist() == [70, 70, 71, 72]
    assert people.boxes.tolist() == [[5, 6, 20, 40], [-4, -2, 34, 82], [1, 2, 2, 2], [0, 0, 50, 60]]
    assert people.areas.tolist() == [800, 2788, 4, 3000]
    assert people.dropped == {"no keypoint": 1, "degenerate box": 2}
    for i, seed in enumerate((1, 2, 5, 7)):
        for j, (x, y, v) in enumerate(np.reshape(keypoints(seed), (14, 3)).tolist()):
            assert people.visibility[i, j] == {1: 2, 2: 1, 3: 0}[v]
            assert people.points[i, j].tolist() == ([x, y] if v != 3 else [0, 0])


def test_unlabelled_people_need_no_keypoint(tmp_path):
    people = read_aic(write(tmp_path, entries()), "train", labelled=False)
    assert people.ids.tolist() == [1, 2, 3, 5, 7]
    assert people.dropped == {"degenerate box": 2}
    assert not people.visibility[2].any()


def test_its_own_sigmas_measure_it(tmp_path):
    people = read_aic(write(tmp_path, entries()), "train")
    truth = ground_truth("aic", tmp_path, people)
    results = [{"image_id": one["image_id"], "category_id": 1, "keypoints": one["keypoints"], "score": 0.5} for one in truth["annotations"]]
    assert evaluate_oks(truth, results, people.skeleton.sigmas)["AR"] == 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (image("x", ([1, 2, 3], keypoints(1))), r"human_annotations: human1: List should have at least 4 items"),
        (image("x", ([1, 2, 3, 4], keypoints(1)[:-1])), "keypoint_annotations: human1: List should have at least 42 items"),
        (image("x", ([1, 2, 3, 4], keypoints(1, 4))), "keypoint_annotations: human1: a visibility is not 1, 2 or 3"),
        (image("x") | {"image_id": 5}, "image_id: should be a valid string"),
        (image("x", ([1, 2, 3, 4], keypoints(1))) | {"keypoint_annotations": {}}, "human_annotations .*of the same people"),
        (7, "should be an object"),
    ],
)
def test_file_image_person_and_field_are_named(tmp_path, wrong, message):
    with pytest.raises(InputError, match=rf"(?s)keypoint_train_annotations_20170909\.json: \[1\]: {message}.*repair that entry"):
        read_aic(write(tmp_path, [entries()[0], wrong]), "train")


def test_missing_files_are_named(tmp_path):
    with pytest.raises(
        InputError, match=r"ai_challenger_keypoint_train_\*/keypoint_train_annotations_\*\.json is not there; download the data set again"
    ):
        read_aic(tmp_path, "train")
    write(tmp_path, {})
    with pytest.raises(InputError, match="should be a valid array"):
        read_aic(tmp_path, "train")
    write(tmp_path, [image("c", ([1, 2, 3, 4], keypoints(1)))])
    with pytest.raises(InputError, match=r"c\.jpg: not there, but keypoint_train_annotations"):
        read_aic(tmp_path, "train")
    write(tmp_path, [image("b0", ([1, 2, 1, 4], keypoints(1)))])
    with pytest.raises(InputError, match=r"no person is left \(left out: .*1 degenerate box"):
        read_aic(tmp_path, "train")
    write(tmp_path, entries())
    (tmp_path / NAMES["train"][0] / "keypoint_train_annotations_2.json").touch()
    with pytest.raises(InputError, match="is there 2 times"):
        read_aic(tmp_path, "train")


def test_download_says_what_to_get_and_checks_it(tmp_path):
    write(tmp_path, entries())
    with pytest.raises(InputError) as caught:
        download("aic", tmp_path)
    message = str(caught.value)
    assert f"{tmp_path} lacks ai_challenger_keypoint_validation_*/keypoint_validation_annotations_*.json" in message
    assert "is behind share links: get its archives ai_challenger_keypoint_train_*.zip" in message
    assert "data.root" in message
    write(tmp_path, entries(), "val")
    assert download("aic", tmp_path) == []
    check_layout("aic", tmp_path)
    records = describe("aic", tmp_path)
    assert records[0]["path"] == "ai_challenger_keypoint_train_20170909/keypoint_train_annotations_20170909.json"
    assert [record["files"] for record in records if "files" in record] == [4, 4]
