"""Pictures of validation people: the same people for every network, and each joint where it belongs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from made_people import made_up
from PIL import Image

from semipose.data.loading.pack import CropPack
from semipose.data.packing.writing import Recipe, write_pack
from semipose.evaluation.overlays import HEIGHT, found_poses, ranked, sample, true_poses
from semipose.inference.predict import Predictions
from semipose.pose.geometry import warp

NOSE = 0


def test_the_people_shown_do_not_depend_on_the_network() -> None:
    first, second = np.random.default_rng(0).uniform(size=(2, 300))
    first[::7] = second[::7] = np.nan
    chosen = sample(first, 24)
    assert len(set(chosen)) == 24
    assert np.isfinite(first[chosen]).all()
    assert np.array_equal(chosen, sample(second, 24))
    assert np.diff(chosen).max() < 2 * 300 / 24
    assert sample(first[:5], 24).tolist() == [1, 2, 3, 4]
    assert sample(np.full(3, np.nan), 24).tolist() == [0, 1, 2], "anybody, if the metric is undefined"


def test_a_joint_is_rendered_where_it_is(pack: CropPack) -> None:
    """The pack's crops are 48 px with an extent of 1.2: the network sees the 40 px in the middle, HEIGHT px large in the picture."""
    pack = made_up(3)
    pack.crops.pixels[:] = 0
    pack.people.visibility[:] = 0
    pack.people.visibility[1, NOSE] = 2
    pack.people.points[1, NOSE] = (20, 33)
    pack.matrices[:] = [[1, 0, 3], [0, 1, 0]]  # three px to the right, from image to crop
    pack.people.boxes[:] = (5, 8, 32, 32)
    truth = true_poses(pack, np.array([0, 1]))
    points = np.zeros((3, 17, 2))
    points[1, NOSE] = (10, 12)
    sure = np.zeros((3, 17), np.float32)
    sure[1, NOSE] = 0.9
    found = found_poses(pack, Predictions(points, sure), np.array([0, 1]))
    for pictures, (x, y) in ((truth, (23, 33)), (found, (13, 12))):
        empty, one = (np.asarray(picture).astype(int) for picture in pictures)
        assert one.shape == (HEIGHT, HEIGHT, 3)
        assert not empty.any()
        rendered = np.argwhere(one.any(axis=2))
        expected = (np.array([y, x]) - 4 + 0.5) * HEIGHT / 40 - 0.5
        assert np.abs(rendered.mean(axis=0) - expected).max() < 1


@pytest.mark.parametrize(
    ("box", "extent"), [((90, 60, 0.4, 0.5), 1.0), ((30, 20, 2.5, 3), 1.25), ((-3, 50, 20, 24), 1.0), ((60, 10, 90, 110), 1.25)]
)
def test_of_a_small_person_the_view_is_rendered(tmp_path: Path, box: tuple[float, ...], extent: float) -> None:
    """As the network sees it; the rest of the crop, which would be a hundred times as large, is not enlarged."""
    wave = np.add.outer(40 * np.sin(np.arange(150) / 4), 40 * np.sin(np.arange(200) / 5)) + 120
    Image.fromarray(wave.astype(np.uint8)).convert("RGB").save(tmp_path / "a.png")
    people = replace(made_up(1).people, images=["a.png"], sizes=np.array([[200, 150]]), boxes=np.array([box], np.float32))
    people.visibility[:] = 0
    write_pack(people, tmp_path, tmp_path / "pack", Recipe(96, 1.25, extent), 0, 1)
    pack = CropPack.open(tmp_path / "pack")
    (picture,) = true_poses(pack, np.array([0]))
    crops = pack.read([0], (HEIGHT, 150))
    expected = warp(crops.pixels, crops.base, (HEIGHT, 150))[0, :, 3:-3, 3:-3].permute(1, 2, 0)
    difference = torch.from_numpy(np.asarray(picture)[3:-3, 3:-3].copy()).float() - expected
    assert difference.abs().mean() < 2


def test_sheets_rank_people_by_score(pack: CropPack) -> None:
    scores = np.linspace(0, 1, 40)
    scores[3] = np.nan
    found = Predictions(pack.people.points, np.ones((40, 17), np.float32))
    assert [name for name, _ in ranked(pack, found, scores, 4, "OKS")] == ["best", "median", "worst"]
