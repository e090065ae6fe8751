"""FLIC: joints in their places, validation by film, and what is wrong named."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from semipose.config.text import whole_text
from semipose.data.download.datasets import download
from semipose.data.sources import read_people
from semipose.data.sources.flic import CHOICE, VALIDATION
from semipose.models.weight_file import load_weights
from semipose.pose.skeleton import FLIC11
from semipose.utils.errors import InputError

ROOT = Path(__file__).parent.parent.parent
# The authors' order of `coords` (from 0): name -> column.
PLACES = {
    "left_shoulder": 0, "left_elbow": 1, "left_wrist": 2, "right_shoulder": 3, "right_elbow": 4, "right_wrist": 5, "left_hip": 6,
    "right_hip": 9, "left_eye": 12, "right_eye": 13, "nose": 16,
}  # fmt: skip
FILMS = ["battle-cry", *sorted(VALIDATION), *sorted(CHOICE), "goldeneye"]


def write(root: Path, films: Sequence[str] = FILMS) -> None:
    """One person of each film; every second one is for the authors' test."""
    (root / "images").mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    entries = np.zeros((1, len(films)), dtype=[(name, object) for name in ("moviename", "coords", "filepath", "istrain", "istest")])
    for k, film in enumerate(films):
        coords = np.full((2, 29), np.nan)
        coords[:, list(PLACES.values())] = generator.uniform(20, 80, (2, len(PLACES)))
        Image.new("RGB", (120, 100)).save(root / f"images/{film}.jpg")
        entries[0, k] = (film, coords, f"{film}.jpg", np.uint8(k % 2 == 0), np.uint8(k % 2))
    savemat(root / "examples.mat", {"examples": entries})


def test_joints_are_in_their_places_and_boxes_are_around_them(tmp_path: Path) -> None:
    write(tmp_path)
    people = read_people("flic", tmp_path, "train", films="official")
    assert people.skeleton is FLIC11
    coords = np.random.default_rng(0).uniform(20, 80, (2, len(PLACES)))  # of the first entry
    expected = {name: coords[:, k] for k, name in enumerate(PLACES)}
    for joint, point in zip(FLIC11.joints, people.points[0], strict=True):
        assert point == pytest.approx(expected[joint], abs=1e-4)
    assert (people.visibility == 2).all()
    near, extent = coords.min(axis=1), np.ptp(coords, axis=1)
    box = [near[0] - 0.15 * extent[0], near[1] - 0.35 * extent[1], 1.3 * extent[0], 1.5 * extent[1]]
    assert people.boxes[0] == pytest.approx(box, abs=1e-3)
    assert people.areas[0] == pytest.approx(0.6 * box[2] * box[3], rel=1e-4)
    assert people.images[0] == "images/battle-cry.jpg"
    assert people.sizes[0].tolist() == [120, 100]


def test_validation_is_by_film(tmp_path: Path) -> None:
    write(tmp_path)
    training = [film for k, film in enumerate(FILMS) if k % 2 == 0]  # the authors' training people

    def films(part: str, split: Any) -> set[str]:
        return {Path(image).stem for image in read_people("flic", tmp_path, part, films=split).images}

    assert films("train", "choose") == {film for film in training if film not in VALIDATION | CHOICE}
    assert films("val", "films") == VALIDATION & set(training)
    assert films("val", "choose") == CHOICE & set(training)
    assert films("val", "official") == set(FILMS) - set(training)


@pytest.mark.parametrize(
    "content",
    [
        {"examples": np.zeros((3, 3))},
        {"other": 1},
    ],
)
def test_another_shape_is_refused(tmp_path: Path, content: dict[str, Any]) -> None:
    (tmp_path / "images").mkdir()
    savemat(tmp_path / "examples.mat", content)
    with pytest.raises(InputError, match=r"examples\.mat: `examples` is not FLIC's 1 x N struct"):
        read_people("flic", tmp_path, "train")


def test_a_set_without_the_films_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    fields = [(name, object) for name in ("moviename", "coords", "filepath", "istrain")]
    entries = np.array([[("goldeneye", np.full((2, 29), 5.0), "goldeneye.jpg", 1)]], dtype=fields)
    savemat(tmp_path / "examples.mat", {"examples": entries})
    with pytest.raises(InputError, match=r"data\.flic\.split: films leaves no person for val"):
        read_people("flic", tmp_path, "val")
    with pytest.raises(InputError, match=r"no person is left \(left out: 1 degenerate box\)"):
        read_people("flic", tmp_path, "train")


@pytest.mark.slow
def test_people_of_flic_are_unlabelled_ones_of_another_set(tmp_path: Path, stages: Callable[..., Path]) -> None:
    """By a method of two networks, the second of which differs from the warm-up's and is warmed up by `train`."""
    write(tmp_path, films=["battle-cry"] * 40)
    unlabelled = f"  unlabelled:\n    source: flic\n    root: {tmp_path}\n    detections: null\n    media: null\n#"
    own = "    networks:\n      second:\n        head_channels:\n          - 24\n"
    text = whole_text(ROOT / "pipeline/presets/smoke.yaml")
    text, found = re.subn(r"(?m)^(  posedual:\n    base: posedual .*\n)", rf"\1{own}", text)
    assert found == 1
    changes = {"\n    - net\n": "\n    - net\n    - second\n", "\n    - akm\n": "\n    - akm\n    - posedual\n"}
    changes |= {"  unlabelled: null": unlabelled, "    L20: 20\n    L40: 40\n": "    L20: 8\n"}
    folder = stages(changes, text, method="posedual")
    record = json.loads((folder / "reports/runs/demo-posedual-L20-s0.json").read_text())
    assert (record["labelled"], record["unlabelled"]) == (8, 20)
    assert {f"{which}/AP" for which in ("net1", "net2", "mean", "ensemble")} <= set(record["metrics"])
    heads = {"warmups/demo-L20-s0/second": [48], "runs/demo-posedual-L20-s0/weights": [48], "runs/demo-posedual-L20-s0/networks/net2": [24]}
    for name, channels in heads.items():
        assert load_weights(folder / f"{name}.safetensors")[1]["model"]["head_channels"] == channels


def test_there_is_no_download_and_the_message_names_the_set(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"lacks examples\.mat, images/ of source flic; FLIC \(Frames Labeled In Cinema\)"):
        download("flic", tmp_path)


def test_real_frames(real_data: Path) -> None:
    """Left and right, and the nose between the eyes, on 36 frames of the authors' layout."""
    root = real_data / "flic-raw"
    if not root.exists():
        pytest.skip(f"no real frames of FLIC: {root} is absent")
    parts = [read_people("flic", root, part) for part in ("train", "val")]
    assert sum(map(len, parts)) == sum(1 for part in parts for image in part.images if (root / image).exists())
    people = parts[0]
    joint = {name: people.points[:, k] for k, name in enumerate(FLIC11.joints)}
    assert (joint["nose"][:, 1] > (joint["left_eye"] + joint["right_eye"])[:, 1] / 2).mean() > 0.9
    assert (joint["left_shoulder"][:, 0] > joint["right_shoulder"][:, 0]).mean() > 0.6, "most actors face the camera"
    inside = (people.points >= people.boxes[:, None, :2]) & (people.points <= (people.boxes[:, :2] + people.boxes[:, 2:])[:, None])
    assert inside.all()
