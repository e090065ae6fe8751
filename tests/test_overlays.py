"""Pictures of validation people: the same people for every network, and each joint where it belongs."""

import numpy as np
from made_people import made_up

from semipose.crops import CropPack
from semipose.overlays import HEIGHT, found_poses, ranked, sample, true_poses
from semipose.predict import Predictions

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
    assert sample(np.full(3, np.nan), 24).size == 0


def test_a_joint_is_drawn_where_it_is(pack: CropPack) -> None:
    """The pack's crops are 48 px with an extent of 1.2: the network sees the 40 px in the middle, HEIGHT px large in the picture."""
    pack = made_up(3)
    pack.crops.pixels[:] = 0
    pack.people.visibility[:] = 0
    pack.people.visibility[1, NOSE] = 2
    pack.people.points[1, NOSE] = (20, 33)
    pack.matrices[:, 0, 2] = 3  # three px to the right, from image to crop
    pack.people.boxes[:, 0] -= 3
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
        drawn = np.argwhere(one.any(axis=2))
        expected = (np.array([y, x]) - 4 + 0.5) * HEIGHT / 40 - 0.5
        assert np.abs(drawn.mean(axis=0) - expected).max() < 1


def test_sheets_rank_people_by_score(pack: CropPack) -> None:
    scores = np.linspace(0, 1, 40)
    scores[3] = np.nan
    found = Predictions(pack.people.points, np.ones((40, 17), np.float32))
    assert [name for name, _ in ranked(pack, found, scores, 4, "OKS")] == ["best", "median", "worst"]
