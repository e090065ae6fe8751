"""How sure a teacher is of its pseudo-labels, and whether it is right: against loops, and the figure of it."""

import math

import numpy as np
import pytest
import torch

from semipose.augment.task import Task
from semipose.config.tree import Params
from semipose.data.loading.pack import CropPack
from semipose.methods import build
from semipose.models.network import build as build_network
from semipose.reporting import style
from semipose.reporting.calibration import calibration, calibration_error, separation
from semipose.reporting.results import Grid
from semipose.training.reliability import reliability
from semipose.utils.seeding import generator_of

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", ["posecons", "pseudopose", "denoise_select"])
def test_columns_equal_a_loop_over_keypoints(tiny: Params, task: Task, pack: CropPack, name: str) -> None:
    method = build([build_network(tiny.model, 17, seed=k) for k in range(tiny.method[name].trains)], tiny.method[name], task)
    before = {key: value.clone() for key, value in method.state_dict().items()}
    people = np.arange(10, 22)
    found = reliability(method, task, pack, people, 4, CPU)
    assert found is not None
    assert all(torch.equal(value, before[key]) for key, value in method.state_dict().items()), "the method is left as it was"
    rows, flip = [], task.skeleton.flip
    for start in (0, 4, 8):
        chosen = people[start : start + 4]
        crops = pack.read(chosen, task.size)
        views = []
        for purpose in ("probe", "second look"):
            g = generator_of(0, purpose, start)
            matrices, flipped = task.weak(crops, g)
            views.append((method.pseudo_labels(task.view(crops.pixels, matrices), g), matrices, flipped))
        points, visible = pack.points(chosen)
        for k, j in ((k, j) for k in range(4) for j in range(17) if visible[k, j]):
            places = []
            for pseudo, matrices, flipped in views:
                at = pseudo.points[k, flip[j] if flipped[k] else j]
                whole = torch.eye(3)
                whole[:2] = matrices[k]
                back = torch.linalg.inv(whole)
                places.append(back[:2, :2] @ at + back[:2, 2])
            (pseudo, _, flipped), own = views[0], j
            own = flip[j] if flipped[k] else j
            box = max(task.size) / (float(crops.base[k, 0, 0]) * pack.padding)
            rows.append(
                [
                    float(pseudo.heatmaps[k, own].max()),
                    math.dist(places[0].tolist(), places[1].tolist()) / box,
                    math.nan if pseudo.spread is None else float(pseudo.spread[k, own]),
                    math.dist(places[0].tolist(), points[k, j].tolist()) / box,
                ]
            )
    assert list(found) == ["peak", "disagreement", "spread", "error"]
    np.testing.assert_allclose(np.array(list(found.values())).T, rows, rtol=1e-3, atol=1e-4)
    assert np.isfinite(found["spread"]).all() == (name == "denoise_select")


def test_nobody_teaches_or_nothing_is_known(tiny: Params, task: Task, pack: CropPack) -> None:
    method = build([build_network(tiny.model, 17, seed=0)], tiny.method["supervised"], task)
    assert reliability(method, task, pack, np.arange(8), 4, CPU) is None
    teacher = build([build_network(tiny.model, 17, seed=0)], tiny.method["posecons"], task)
    assert reliability(teacher, task, pack, np.arange(3), 4, CPU) is None, "not one whole batch"


def test_separation_is_the_share_of_pairs_in_order() -> None:
    generator = np.random.default_rng(0)
    sure, right = generator.integers(0, 8, 60).astype(float), generator.random(60) < 0.4
    pairs = [(a > b) + 0.5 * (a == b) for a in sure[right] for b in sure[~right]]
    assert separation(sure, right) == pytest.approx(np.mean(pairs))
    assert math.isnan(separation(sure, np.ones(60, bool)))


def test_calibration_error_is_the_distance_to_the_diagonal() -> None:
    confidence = np.repeat([0.25, 0.75], 100)
    assert calibration_error(confidence, np.tile([1.0, 0.0, 0.0, 0.0], 50)) == pytest.approx(0.25)  # a quarter is right in both halves
    assert calibration_error(confidence, np.concatenate([np.tile([1.0, 0, 0, 0], 25), np.tile([0.0, 1, 1, 1], 25)])) == pytest.approx(0)


def test_the_figure_pools_seeds_and_has_a_panel_for_each_signal() -> None:
    generator = np.random.default_rng(1)
    peak = generator.random(400)
    error = np.where(generator.random(400) < peak, 0.05, 0.3)
    rows = {"peak": peak, "disagreement": 1 - peak, "spread": np.full(400, np.nan), "error": error}
    halves = {("akm", "L50", seed): {name: list(values[seed::2]) for name, values in rows.items()} for seed in (0, 1)}
    grid = Grid("train", ("supervised", "akm"), ("L50",), (0, 1))
    picture = calibration(halves, grid, style.styles(grid.methods))
    assert picture is not None
    left, right = picture.figure.axes
    assert [axes.get_xlabel() for axes in (left, right)] == ["height of the heatmap's peak", "distance between two weak views (box sizes)"]
    order = np.argsort(peak)
    bars = left.containers[0]
    np.testing.assert_allclose(bars.lines[0].get_xdata(), peak[order].reshape(10, 40).mean(axis=1))
    np.testing.assert_allclose(bars.lines[0].get_ydata(), (error <= 0.1)[order].reshape(10, 40).mean(axis=1))
    assert picture.caption.count(f"AUROC {separation(peak, error <= 0.1):.2f}") == 2  # of both seeds together, for each signal
    nothing = {("supervised", "L50", 0): {name: list[float]() for name in rows}}
    assert calibration(nothing, grid, style.styles(grid.methods)) is None
    assert calibration({}, grid, style.styles(grid.methods)) is None
