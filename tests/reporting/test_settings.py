"""The table of one method with several settings."""

import numpy as np
from made_runs import record, runs_of, write_resamples

from semipose.reporting.results import Grid
from semipose.reporting.settings import settings_tables
from semipose.reporting.typeset import to_csv, to_markdown

SWEEP = Grid("train", ("supervised", "posecons", "reviewer"), ("L100",), (0, 1))
SETTINGS = {
    "paper": {"supervised": "supervised", "posecons": "posecons", "reviewer": "reviewer"},
    "shared": {"supervised": "supervised", "posecons": "posecons_shared"},
}


def test_scores_have_columns_for_each_setting_and_costs_a_row(tmp_path) -> None:
    values = {"supervised": 30.0, "posecons": 34.0, "posecons_shared": 37.0}
    made = [record(name, "L100", seed, value + seed, gflop=1000.0) for name, value in values.items() for seed in (0, 1)]
    for one in made:
        one["training"]["warmup_gflop"] = 250.0
        write_resamples(tmp_path, one["cell"], one["metrics"]["AP"]["value"] + np.arange(4.0))
    scores, costs = settings_tables(runs_of(tmp_path, *made), SWEEP, SETTINGS)
    assert [(column.group, column.name) for column in scores.columns] == [
        ("", "method"),
        ("paper", "AP"),
        ("paper", "gain"),
        ("shared", "AP"),
        ("shared", "gain"),
        ("", "shared − paper"),
    ]
    rows = {row[0].text: [cell.text for cell in row[1:]] for row in scores.rows}
    assert rows == {
        "supervised": ["30.5 ± 0.7", "–", "30.5 ± 0.7", "–", "–"],
        "posecons": ["34.5 ± 0.7", "+4.0 ± 0.0 [+4.0, +4.0]", "37.5 ± 0.7", "+7.0 ± 0.0 [+7.0, +7.0]", "+3.0 ± 0.0 [+3.0, +3.0]"],
        "reviewer": ["not run", "not run", "–", "–", "–"],
    }
    assert "not run: reviewer" in scores.notes
    assert "paper,posecons,L100" in to_csv(scores)
    assert "shared: gain" in to_markdown(scores)
    assert not any("Reconstructions" in note for note in scores.notes)
    assert [[cell.text for cell in row] for row in costs.rows] == [
        ["supervised", "paper", "supervised", "1,500", "1", "4", "1,250", "2"],
        ["supervised", "shared", "supervised", "1,500", "1", "4", "1,250", "2"],
        ["posecons", "paper", "posecons", "1,500", "1", "4", "1,250", "2"],
        ["posecons", "shared", "posecons_shared", "1,500", "1", "4", "1,250", "2"],
        ["reviewer", "paper", "reviewer", *["not run"] * 4, "0 of 2"],
    ], "GFLOP with the warm-up"
    assert "posecons,shared,posecons_shared,L100,1500,1,4,1250" in to_csv(costs).replace(".0", "")


def test_missing_seeds_are_counted_and_said(tmp_path) -> None:
    made = [record(name, "L100", 0, 30.0) for name in ("supervised", "posecons", "posecons_shared")] + [record("posecons", "L100", 1, 40.0)]
    scores, costs = settings_tables(runs_of(tmp_path, *made), SWEEP, SETTINGS)
    assert [row[-1].text for row in costs.rows if row[0].text == "posecons"] == ["2", "1 of 2"]
    row = next(row for row in scores.rows if row[0].text == "posecons")
    assert row[-1].text == "+0.0", "shared − paper: of the one seed that both have, though the columns differ by 5"
    assert any(note.startswith("A difference uses only the seeds that both runs have") for note in scores.notes)


def test_reconstructions_are_called_so_under_every_table(tmp_path) -> None:
    runs = runs_of(tmp_path, *(record(name, "L100", 0, 30.0) for name in ("supervised", "reviewer")))
    note = "Reconstructions from the papers' abstracts, no code being public: reviewer."
    assert note in settings_tables(runs, SWEEP, SETTINGS)[0].notes
    from semipose.reporting.tables import main_table

    assert note in main_table(runs, SWEEP).notes
