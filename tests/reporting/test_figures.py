import math

import numpy as np
import pytest
from made_runs import SWEEP, record, runs_of, write_resamples
from scipy.stats import spearmanr

from semipose.reporting import style
from semipose.reporting.curves import curves, mean_band, shuffled
from semipose.reporting.figures import binned, budgets, costs, keypoints, masks, rank_correlation
from semipose.reporting.results import Grid

STYLES = style.styles(["supervised", "akm", "akm_shuffled"])


@pytest.fixture
def runs(tmp_path):
    values = {"supervised": 30.0, "akm": 40.0}
    made = [
        record(method, labels, seed, value + 10 * (labels == "L400") + 2 * seed)
        for method, value in values.items()
        for labels in SWEEP.labels
        for seed in SWEEP.seeds
    ]
    return runs_of(tmp_path, *made)


def history(shift=0.0, epochs=4):
    at = range(1, epochs + 1)
    validation = [30 + shift + epoch if epoch % 2 == 0 else math.nan for epoch in at]
    return {
        "epoch": list(map(float, at)),
        "step": [100.0 * epoch for epoch in at],
        "loss/labelled": [1.0 / epoch for epoch in at],
        "loss/masked": [2.0 / epoch + shift for epoch in at],
        "val/AP": validation,
    }


def line(axes, label):
    return next(line for line in axes.lines if line.get_label() == label)


def test_budgets_show_mean_and_deviation_of_each_method(runs):
    axes = budgets(runs, SWEEP, STYLES).figure.axes[0]
    container = {bars.get_label(): bars for bars in axes.containers}["akm"]
    np.testing.assert_allclose(container.lines[0].get_ydata(), [41.0, 51.0])
    np.testing.assert_allclose(container.lines[0].get_xdata(), [100, 400], rtol=0.05)
    segments = np.array(container.lines[2][0].get_segments())[..., 1]
    deviation = np.std([40, 42], ddof=1)
    np.testing.assert_allclose(segments, [[41 - deviation, 41 + deviation], [51 - deviation, 51 + deviation]])


def test_budgets_show_the_interval_of_a_single_seed(runs):
    one = Grid("train", SWEEP.methods, ("L100",), (0,))
    axes = budgets({key: run for key, run in runs.items() if key[1:] == ("L100", 0)}, one, STYLES).figure.axes[0]
    container = {bars.get_label(): bars for bars in axes.containers}["akm"]
    np.testing.assert_allclose(np.array(container.lines[2][0].get_segments())[..., 1], [[39.0, 42.0]])


def test_costs_show_each_method_at_its_training_cost(tmp_path):
    made = [
        record(method, labels, seed, value + seed, gflop=gflop)
        for method, labels, value, gflop in [
            ("supervised", "L100", 30.0, 1000.0),
            ("akm", "L100", 40.0, 4000.0),
            ("akm", "L400", 50.0, 8000.0),
        ]
        for seed in SWEEP.seeds
    ]
    picture = costs(runs_of(tmp_path, *made), SWEEP, STYLES)
    small, large = picture.figure.axes
    points = {bars.get_label(): bars.lines[0].get_xydata().tolist() for bars in small.containers}
    assert points == {"supervised": [[1000.0, 30.5]], "akm": [[4000.0, 40.5]]}
    for axes, least, most in ((small, 1000, 4000), (large, 8000, 8000)):
        assert axes.get_xlim()[0] < least <= most < axes.get_xlim()[1]
    (bars,) = large.containers
    assert bars.lines[0].get_xydata().tolist() == [[8000.0, 50.5]]
    deviation = np.std([50, 51], ddof=1)
    np.testing.assert_allclose(bars.lines[2][0].get_segments(), [[[8000, 50.5 - deviation], [8000, 50.5 + deviation]]])


def test_nothing_to_draw_is_no_picture():
    assert budgets({}, SWEEP, STYLES) is None
    assert costs({}, SWEEP, STYLES) is None
    assert keypoints({}, SWEEP, STYLES) is None
    assert masks({}, SWEEP, STYLES) is None
    assert curves({}, SWEEP, "L100", "AP", STYLES) is None
    only = {("akm", "L100", 0): history()}
    assert shuffled(only, Grid("ablate", ("akm", "akm_shuffled"), ("L100",), (0,)), "AP", STYLES) is None


def test_keypoints_average_sides_and_seeds(runs):
    figure = keypoints(runs, SWEEP, STYLES).figure
    heights = [bar.get_height() for bar in figure.axes[0].patches]
    np.testing.assert_allclose(heights, [np.mean([45.0, 45.5])] * 2)


def test_keypoints_name_their_measure(tmp_path):
    made = record("akm", "L100", 0, 40.0)
    (axes,) = keypoints(runs_of(tmp_path, made), SWEEP, STYLES).figure.axes
    assert axes.get_ylabel() == "share with OKS ≥ 0.5 (%)"
    made["protocol"] |= {"metric": "pck", "headline": "PCK@0.2 torso"}
    made["metrics"]["PCK@0.2 torso"] = {"value": 70.0}
    write_resamples(tmp_path, made["cell"], [], "PCK@0.2 torso")
    (axes,) = keypoints(runs_of(tmp_path, made), SWEEP, STYLES).figure.axes
    assert axes.get_ylabel() == "PCK@0.2 torso (%)"


def test_mean_band_uses_places_that_all_seeds_share():
    seeds = [history(0.0), history(4.0), history(2.0, epochs=3)]
    band = mean_band(seeds, "step", lambda columns: columns["val/AP"])
    np.testing.assert_allclose(band, [[200, np.mean([32, 36, 34]), np.std([32, 36, 34], ddof=1)]])
    alone = mean_band(seeds[:1], "epoch", lambda columns: columns["loss/masked"])
    np.testing.assert_allclose(alone, [[1, 2, 0], [2, 1, 0], [3, 2 / 3, 0], [4, 0.5, 0]])


def test_curves_have_a_panel_for_the_metric_and_each_loss():
    supervised = {name: values for name, values in history().items() if name != "loss/masked"}
    histories = {("supervised", "L100", 0): supervised, ("akm", "L100", 0): history(), ("akm", "L400", 0): history(9)}
    picture = curves(histories, SWEEP, "L100", "AP", STYLES)
    panels = picture.figure.axes
    assert len(panels) == 3
    np.testing.assert_allclose(line(panels[0], "akm").get_xydata(), [[200, 32], [400, 34]])
    assert [line.get_label() for line in panels[2].lines] == ["akm"]


def test_shuffled_sums_the_losses_over_epochs():
    grid = Grid("ablate", ("akm", "akm_shuffled"), ("L100",), (0, 1))
    histories = {(method, "L100", seed): history(seed + 1.0) for method in grid.methods for seed in grid.seeds}
    left, right = shuffled(histories, grid, "AP", STYLES).figure.axes
    np.testing.assert_allclose(line(left, "akm").get_xydata(), [[2, 33.5], [4, 35.5]])
    epochs = np.arange(1, 5)
    np.testing.assert_allclose(line(right, "akm_shuffled").get_ydata(), 3 / epochs + 1.5)
    assert len(left.collections) == 2  # the two bands


def test_masks_bin_people_by_the_teachers_error():
    generator = np.random.default_rng(0)
    error = generator.permutation(np.linspace(0.01, 0.3, 200))
    count = np.round(5 - 12 * error)
    halves = {("akm", "L100", seed): {"teacher_error": error[seed::2], "count": count[seed::2]} for seed in (0, 1)}
    axes = masks(halves, Grid("", ("akm",), ("L100",), (0, 1)), STYLES).figure.axes[0]
    bars = axes.containers[0]
    order = np.argsort(error)
    np.testing.assert_allclose(bars.lines[0].get_xdata(), error[order].reshape(10, 20).mean(axis=1))
    np.testing.assert_allclose(bars.lines[0].get_ydata(), count[order].reshape(10, 20).mean(axis=1))
    assert bars.get_label() == f"akm (ρ = {spearmanr(error, count).statistic:+.2f})"


def test_binned_standard_error():
    x, y = np.arange(6.0), np.array([1.0, 2.0, 6.0, 3.0, 3.0, 3.0])
    np.testing.assert_allclose(binned(x, y, 2), [[1, 4], [3, 3], [np.std([1, 2, 6], ddof=1) / np.sqrt(3), 0]])


def test_rank_correlation_with_ties():
    generator = np.random.default_rng(1)
    first, second = generator.integers(0, 5, 80), generator.normal(size=80)
    assert math.isclose(rank_correlation(first, second), spearmanr(first, second).statistic, abs_tol=1e-12)
    assert math.isnan(rank_correlation(np.ones(5), np.arange(5)))
