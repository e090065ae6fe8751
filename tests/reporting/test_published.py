"""Published numbers stand beside ours only where data, backbone, input, metric and budget are the same."""

import csv
from pathlib import Path

import pytest
from made_runs import record, runs_of, write

from semipose.config.load import load
from semipose.reporting.published import published, published_table
from semipose.reporting.results import Grid, read_run
from semipose.reporting.typeset import to_csv, to_markdown

SWEEP = Grid("train", ("supervised", "posedual", "akm"), ("1K", "5K"), (0, 1))


def made(method: str, labels: str, seed: int, value: float, **changed: object) -> dict:
    told = {"data": "coco", "cell": f"coco-{method}-{labels}-s{seed}", "input": "256x192", "labelled": 1000} | changed
    return record(method, "L1", seed, value, **told) | {"labels": labels}


def runs(tmp_path: Path, **changed: object):
    found = {}
    for method, labels, seed, value in (("supervised", "1K", 0, 30.0), ("supervised", "1K", 1, 32.0), ("posedual", "1K", 0, 44.0)):
        path = write(tmp_path, made(method, labels, seed, value, **changed))
        found[method, labels, seed] = read_run(path, "coco", "train", (method, labels, seed))
    return found


def test_every_row_is_read() -> None:
    rows = published()
    assert len(rows) == 447
    assert set(rows[0]) >= {
        "table",
        "method",
        "entry",
        "backbone",
        "input",
        "dataset",
        "labelled",
        "unlabelled",
        "metric",
        "value",
        "source",
    }
    preset = load(Path(__file__).parent.parent.parent / "pipeline/presets/coco-methods.yaml")
    assert {row["entry"] for row in rows} - {""} <= set(preset.method)
    assert {row["networks"] for row in rows if "net num" in row["note"]} == {"1", "2", "3"}


def test_ours_and_theirs_side_by_side(tmp_path: Path) -> None:
    table = published_table(runs(tmp_path), SWEEP)
    assert table is not None
    assert [column.group for column in table.columns] == ["", "", "1K", "1K", "5K", "5K"]
    assert [[cell.text for cell in row] for row in table.rows] == [
        ["supervised", "AP", "31.0 ± 1.4", "31.5", "not run", "46.4"],
        ["posedual", "AP", "44.0 [43.0, 46.0]", "44.6", "not run", "55.6"],
        ["akm", "AP", "not run", "–", "not run", "–"],
    ]
    assert table.rows[0][3].number.value == 31.5
    text = to_markdown(table)
    assert "MultiAugs" in text
    assert "best epoch" in text
    lines = list(csv.DictReader(to_csv(table).splitlines()))
    line = next(line for line in lines if (line["method"], line["labels"]) == ("posedual", "1K"))
    assert (float(line["ours"]), line["published"]) == (44.0, "44.6")
    assert "xierc/Semi_Human_Pose" in line["source"]


def test_what_must_be_equal_and_is_not_is_said(tmp_path: Path) -> None:
    """PoseDual is published with two networks; the made-up run has one."""
    table = published_table(runs(tmp_path), SWEEP)
    assert table is not None
    assert [note for note in table.notes if note.startswith("unequal:")] == ["unequal: networks of posedual: ours 1; published: 2"]
    other = published_table(runs(tmp_path, flip_test=True, boxes="detector", decode="dark", networks=2), SWEEP)
    assert other is not None
    assert [note for note in other.notes if note.startswith("unequal:")] == [
        "unequal: boxes: ours detector; published: ground truth",
        "unequal: flip test: ours True; published: False",
        "unequal: decode: ours dark; published: quarter",
        "unequal: networks of supervised: ours 2; published: 1",
    ]


@pytest.mark.parametrize("changed", [{"backbone": "resnet50"}, {"input": "64x48"}, {"headline": "AP50"}])
def test_another_protocol_has_nothing_beside_it(tmp_path: Path, changed: dict) -> None:
    if "headline" in changed:
        from made_runs import write_resamples

        for name in ("coco-supervised-1K-s0", "coco-supervised-1K-s1", "coco-posedual-1K-s0"):
            write_resamples(tmp_path, name, [], "AP50")
    assert published_table(runs(tmp_path, **changed), SWEEP) is None


def test_all_labels_are_the_papers_train2017(tmp_path: Path) -> None:
    told = {"data": "coco", "cell": "coco-supervised-All-s0", "input": "256x192", "backbone": "resnet50"}
    made_run = read_run(
        write(tmp_path, record("supervised", "L1", 0, 70.0, **told) | {"labels": "All"}), "coco", "train", ("supervised", "All", 0)
    )
    table = published_table({("supervised", "All", 0): made_run}, Grid("train", ("supervised",), ("All",), (0,)))
    assert table is not None
    rows = [[cell.text for cell in row] for row in table.rows]
    assert rows[0] == ["supervised", "AP", "70.0 [69.0, 72.0]", "70.9"]
    assert rows[1] == ["supervised", "AP50", "80.0", "91.4"]
    assert [row[1] for row in rows] == ["AP", "AP50", "AR", "AR50"], "what is published, and no more"


def test_synthetic_people_have_nothing_beside_them(tmp_path: Path) -> None:
    synthetic = runs_of(tmp_path, record("supervised", "L100", 0, 30.0))
    assert published_table(synthetic, Grid("train", ("supervised",), ("L100",), (0,))) is None
    assert published_table({}, SWEEP) is None
