"""The table of one method with several settings."""

import numpy as np
from made_runs import record, runs_of, write_resamples

from semipose.reporting.results import Grid
from semipose.reporting.settings import settings_table
from semipose.reporting.typeset import to_csv, to_markdown

SWEEP = Grid("train", ("supervised", "posecons", "reviewer"), ("L100",), (0, 1))
SETTINGS = {
    "paper": {"supervised": "supervised", "posecons": "posecons", "reviewer": "reviewer"},
    "shared": {"supervised": "supervised", "posecons": "posecons_shared"},
}


def test_a_row_for_each_method_and_columns_for_each_setting(tmp_path) -> None:
    values = {"supervised": 30.0, "posecons": 34.0, "posecons_shared": 37.0}
    made = [record(name, "L100", seed, value + seed, gflop=1000.0) for name, value in values.items() for seed in (0, 1)]
    for one in made:
        one["training"]["warmup_gflop"] = 250.0
        write_resamples(tmp_path, one["cell"], one["metrics"]["AP"]["value"] + np.arange(4.0))
    table = settings_table(runs_of(tmp_path, *made), SWEEP, SETTINGS)
    heads = [(column.group, column.name) for column in table.columns]
    assert heads[:6] == [
        ("", "method"),
        ("L100, paper", "AP"),
        ("L100, paper", "gain"),
        ("L100, shared", "AP"),
        ("L100, shared", "gain"),
        ("L100", "shared − paper"),
    ]
    assert heads[6:] == [(setting, cost) for setting in SETTINGS for cost in ("steps", "networks", "passes", "GFLOP", "seeds")]
    rows = {row[0].text: [cell.text for cell in row[1:]] for row in table.rows}
    assert rows["supervised"][:5] == ["30.5 ± 0.7", "–", "30.5 ± 0.7", "–", "–"]
    assert rows["posecons"][:5] == [
        "34.5 ± 0.7",
        "+4.0 ± 0.0 [+4.0, +4.0]",
        "37.5 ± 0.7",
        "+7.0 ± 0.0 [+7.0, +7.0]",
        "+3.0 ± 0.0 [+3.0, +3.0]",
    ]
    assert rows["posecons"][5:] == ["1,500", "1", "4", "1,250", "2"] * 2, "GFLOP with the warm-up"
    assert rows["reviewer"] == ["not run", "not run", "–", "–", "–", *["not run"] * 4, "0 of 2", *["–"] * 5]
    assert "not run: reviewer-L100" in table.notes
    assert "paper,posecons,L100" in to_csv(table)
    assert "L100, shared: gain" in to_markdown(table)
    assert not any("Reconstructions" in note for note in table.notes)


def test_missing_seeds_are_counted_and_said(tmp_path) -> None:
    made = [record(name, "L100", 0, 30.0) for name in ("supervised", "posecons", "posecons_shared")] + [record("posecons", "L100", 1, 40.0)]
    table = settings_table(runs_of(tmp_path, *made), SWEEP, SETTINGS)
    row = next(row for row in table.rows if row[0].text == "posecons")
    texts = {(column.group, column.name): cell.text for column, cell in zip(table.columns, row, strict=True)}
    assert (texts["paper", "seeds"], texts["shared", "seeds"]) == ("2", "1 of 2")
    assert texts["L100", "shared − paper"] == "+0.0", "of the one seed that both have, though the columns differ by 5"
    assert any(note.startswith("A difference uses only the seeds that both runs have") for note in table.notes)


def test_reconstructions_are_called_so_under_every_table(tmp_path) -> None:
    runs = runs_of(tmp_path, *(record(name, "L100", 0, 30.0) for name in ("supervised", "reviewer")))
    note = "Reconstructions from the papers' abstracts, no code being public: reviewer."
    assert note in settings_table(runs, SWEEP, SETTINGS).notes
    from semipose.reporting.tables import main_table

    assert note in main_table(runs, SWEEP).notes
