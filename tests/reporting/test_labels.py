import numpy as np
import pytest
from made_runs import record, runs_of, write_resamples

from semipose.reporting.figures import budgets
from semipose.reporting.labels import labels_for, labels_saved
from semipose.reporting.results import Grid
from semipose.reporting.style import styles

GRID = Grid("train", ("supervised", "akm"), ("L100", "L400"), (0, 1))


def test_between_two_budgets_the_score_is_linear_in_the_logarithm():
    curve = {100: 20.0, 400: 40.0, 1600: 50.0}
    assert labels_for(curve, 30.0) == pytest.approx(200)  # halfway in the logarithm
    assert labels_for(curve, 45.0) == pytest.approx(800)
    assert labels_for(curve, 20.0) == pytest.approx(100)
    assert labels_for(curve, 50.0) == pytest.approx(1600)


@pytest.mark.parametrize("score", [19.9, 50.1])
def test_outside_the_curve_nobody_knows(score):
    assert labels_for({100: 20.0, 400: 40.0, 1600: 50.0}, score) is None


def test_a_curve_that_begins_above_the_score_is_not_asked_where_it_comes_back():
    assert labels_for({25: 30.0, 50: 28.0, 100: 35.0}, 29.0) is None


def test_a_curve_that_falls_and_rises_reaches_a_score_where_it_first_does():
    assert labels_for({100: 15.0, 400: 10.0, 1600: 30.0, 6400: 20.0, 25600: 40.0}, 20.0) == pytest.approx(800)


def only_sentence(runs):
    (found,) = labels_saved(runs, GRID, "akm")
    return str(found)


CURVES = [("supervised", "L100", 20.0), ("supervised", "L400", 40.0), ("akm", "L100", 30.0), ("akm", "L400", 45.0)]


def test_the_sentence_is_in_the_caption_of_the_learning_curves(tmp_path):
    runs = runs_of(tmp_path, *(record(method, labels, seed, score) for seed in (0, 1) for method, labels, score in CURVES))
    sentence = "With 100 labels, akm is as good as supervised with 200 (2.0 times; 2 seeds)."
    assert [str(found) for found in labels_saved(runs, GRID, "akm")] == [sentence]  # nobody ran supervised with enough labels to reach 45
    assert budgets(runs, GRID, styles(GRID.methods)).caption.endswith(sentence)


def test_each_seed_has_its_own_curve_and_one_that_ends_too_early_is_left_out(tmp_path):
    made = [record(method, labels, 0, score) for method, labels, score in CURVES]
    made += [record("supervised", "L100", 1, 25.0), record("akm", "L100", 1, 33.0)]
    sentence = only_sentence(runs_of(tmp_path, *made))
    assert sentence == "With 100 labels, akm is as good as supervised with 200 (2.0 times; one seed)."
    made.append(record("supervised", "L400", 1, 33.0))
    sentence = only_sentence(runs_of(tmp_path, *made))
    assert "with 283 (2.8 times; 2 seeds)" in sentence  # 200 and 400: the geometric mean
    made[made.index(record("akm", "L100", 1, 33.0))] = record("akm", "L100", 1, 24.0)  # worse than supervised with as many
    sentence = only_sentence(runs_of(tmp_path, *made))
    assert "with 200 (2.0 times; 1 of 2 seeds)" in sentence, "a seed that saves nothing is not passed over in silence"


def test_the_interval_is_that_of_the_resamples(tmp_path):
    shifts = np.linspace(-20, 20, 401)  # of akm's score at 100 labels, in steps of 0.1; supervised stays
    for method, labels, score in CURVES:
        moved = shifts if (method, labels) == ("akm", "L100") else 0 * shifts
        write_resamples(tmp_path, f"demo-{method}-{labels}-s0", score + moved)
    runs = runs_of(tmp_path, *(record(method, labels, 0, score) for method, labels, score in CURVES))
    sentence = only_sentence(runs)
    assert "with 200 [fewer than 100, more than 400] (" in sentence  # 2.5 % of the shifts are below -19, and 2.5 % above 19
    for method, labels, score in CURVES:
        moved = shifts / 4 if (method, labels) == ("akm", "L100") else 0 * shifts
        write_resamples(tmp_path, f"demo-{method}-{labels}-s0", score + moved)
    runs = runs_of(tmp_path, *(record(method, labels, 0, score) for method, labels, score in CURVES))
    sentence = only_sentence(runs)
    low, high = (100 * 4 ** ((10 + shift) / 20) for shift in (-4.75, 4.75))
    assert f"with 200 [{low:.0f}, {high:.0f}] (" in sentence
