import pytest
from made_runs import record, runs_of

from semipose.reporting.figures import budgets
from semipose.reporting.labels import labels_for, labels_saved, learning_curve
from semipose.reporting.results import Grid
from semipose.reporting.style import styles

GRID = Grid("train", ("supervised", "akm"), ("L100", "L400"), (0, 1))


def test_the_curve_is_the_mean_of_the_seeds_that_were_run(tmp_path):
    made = [record("akm", "L100", 0, 30.0), record("akm", "L100", 1, 33.0), record("akm", "L400", 1, 50.0)]
    assert learning_curve(runs_of(tmp_path, *made), GRID, "akm") == {100: 31.5, 400: 50.0}


def test_between_two_budgets_the_score_is_linear_in_the_logarithm():
    curve = {100: 20.0, 400: 40.0, 1600: 50.0}
    assert labels_for(curve, 30.0) == pytest.approx(200)  # halfway in the logarithm
    assert labels_for(curve, 45.0) == pytest.approx(800)
    assert labels_for(curve, 20.0) == pytest.approx(100)
    assert labels_for(curve, 50.0) == pytest.approx(1600)


@pytest.mark.parametrize("score", [19.9, 50.1])
def test_outside_the_curve_nobody_knows(score):
    assert labels_for({100: 20.0, 400: 40.0, 1600: 50.0}, score) is None


def test_a_curve_that_falls_and_rises_reaches_a_score_where_it_first_does():
    assert labels_for({100: 15.0, 400: 10.0, 1600: 30.0, 6400: 20.0, 25600: 40.0}, 20.0) == pytest.approx(800)


def test_the_sentence_is_in_the_caption_of_the_learning_curves(tmp_path):
    made = [
        record(method, labels, seed, score)
        for seed in (0, 1)
        for method, labels, score in [
            ("supervised", "L100", 20.0),
            ("supervised", "L400", 40.0),
            ("akm", "L100", 30.0),
            ("akm", "L400", 45.0),
        ]
    ]
    runs = runs_of(tmp_path, *made)
    sentence = "With 100 labels, akm is as good as supervised with 200 (2.0 times as many)."
    assert labels_saved(runs, GRID, "akm") == [sentence]  # nobody ran supervised with enough labels to reach 45
    assert budgets(runs, GRID, styles(GRID.methods)).caption.endswith(sentence)
