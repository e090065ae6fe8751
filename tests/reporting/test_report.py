import csv
import math
import re
from contextlib import nullcontext
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pytest
from made_runs import ABLATION, COMMIT, DIFFERS, FINGERPRINT, SWEEP, record, write, write_resamples
from pages import ROOT
from PIL import Image

from pipeline.stages import report as stage
from pipeline.stages.report import report
from semipose.config.text import whole_text
from semipose.reporting.results import LONG, Grid, read_columns, read_runs
from semipose.utils.errors import InputError

VALUES = {
    ("supervised", "L100"): 30.0,
    ("akm", "L100"): 40.0,
    ("supervised", "L400"): 50.0,
    ("akm_shuffled", "L100"): 38.0,
}


def fill(root):
    for (method, labels), value in VALUES.items():
        for seed in (0, 1):
            made = record(method, labels, seed, value + seed)
            made["metrics"] |= {"AP_M": {"value": None}, "AP_L": {"value": math.nan}}
            write(root, made)
            folder = root / "reports" / "runs" / made["cell"]
            (folder / "history.csv").write_text("epoch,step,lr,loss/a,val/AP\n1,10,0.1,2.0,\n2,20,0.1,1.0,31\n")
            (folder / "pseudo_labels.csv").write_text("peak,disagreement,spread,error\n0.9,0.1,,0.05\n0.2,0.5,,0.4\n")
            (folder / "masks.csv").write_text("id,count,simple,teacher_error\n7,5,9,0.01\n8,1,2,0.5\n")
    write(root, record("akm", "L100", 7, 99.0))
    write(root, record("posedual", "L100", 0, 99.0))
    write(root, record("akm", "L100", 0, 99.0, data="lsp", cell="lsp-akm-L100-s0"))
    (root / "reports" / "runs" / "coco-akm-L100-s0.json").write_text("not even JSON")


def write_report(root, ablation=ABLATION, topics=()):
    names = report(root, "Title <&>", "demo", SWEEP, ablation, dict.fromkeys(ablation.methods, "akm"), DIFFERS, dict(topics))
    assert {path.stem for path in (root / "reports" / "tables").iterdir()} == set(names)
    return root / "reports"


@pytest.fixture
def root(tmp_path):
    fill(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """A whole report, written once; the tests that use it only read."""
    root = tmp_path_factory.mktemp("whole")
    fill(root)
    return write_report(root)


def long_rows(reports):
    with (reports / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_results_are_long_with_one_row_per_run_and_metric(reports):
    rows = long_rows(reports)
    assert tuple(rows[0]) == LONG
    assert len(rows) == len(VALUES) * 2 * 6
    found = [row for row in rows if (row["method"], row["seed"], row["metric"]) == ("akm_shuffled", "1", "AP")]
    assert [list(row.values()) for row in found] == [
        ["demo", "ablate", "akm_shuffled", "L100", "1", "AP", "39.0", "38.0", "41.0", FINGERPRINT, COMMIT]
    ]
    half = next(row for row in rows if row["metric"] == "AP50")
    assert (half["value"], half["low"], half["high"]) == ("80.0", "", "")
    assert {row["value"] for row in rows if row["metric"] in ("AP_M", "AP_L")} == {""}


def test_other_sweeps_and_data_sets_are_left_out(reports):
    assert {row["method"] for row in long_rows(reports)} == {"supervised", "akm", "akm_shuffled"}
    assert {row["seed"] for row in long_rows(reports)} == {"0", "1"}
    assert "99.0" not in (reports / "index.html").read_text() + (reports / "tables" / "main.md").read_text()


def test_everything_is_written_and_again_with_equal_bytes(reports):
    def contents():
        return {path.relative_to(reports): path.read_bytes() for path in reports.rglob("*") if path.is_file()}

    first = contents()
    names = {str(name) for name in first if name.parts[0] != "runs"}
    tables = {f"tables/{table}.{ending}" for table in ("main", "ablation") for ending in ("md", "csv", "tex")}
    plotted = ("budgets", "costs", "keypoints", "curves-L100", "curves-L400", "shuffled", "masks", "calibration")
    assert names == {"results.csv", "index.html"} | tables | {f"figures/{name}.png" for name in plotted}
    write_report(reports.parent)
    assert contents() == first


def test_the_last_line_of_the_stage_says_where_to_look(tmp_path, monkeypatch, capsys, demo):
    (tmp_path / "params.yaml").write_text(whole_text(ROOT / "pipeline/presets/demo.yaml"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pipeline.runtime.stage.opened", lambda *_: nullcontext((SimpleNamespace(params=demo), MagicMock())))
    stage.main()
    assert capsys.readouterr().out.splitlines()[-1] == "open reports/index.html, or run `make ui` for MLflow"


def test_nothing_has_run(tmp_path):
    reports = write_report(tmp_path)
    assert (reports / "results.csv").read_text() == ",".join(LONG) + "\n"
    for name in ("main", "ablation"):
        assert "not run" in (reports / "tables" / f"{name}.md").read_text()
    assert "not run" in (reports / "index.html").read_text()


def test_variants_that_mask_have_their_pictures_on_the_page(tmp_path):
    names = ("akm_tau_half", "akm_raw")
    for method in ("akm", *names):
        made = record(method, "L100", 0, 40.0)
        write(tmp_path, made)
        folder = tmp_path / "reports" / "runs" / made["cell"]
        (folder / "masks.csv").write_text("id,count,simple,teacher_error\n7,5,9,0.01\n8,1,2,0.5\n")
        (folder / "people.csv").write_text("id,score\n1,0.5\n")
        pictures = [f"pictures/{made['cell']}/{name}" for name in ("1", "1-truth")]
        for name in (*pictures, f"views/{made['cell']}/strip", f"views/{made['cell']}/masks"):
            path = tmp_path / "reports" / f"{name}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8)).save(path)
    sweep, ablation = Grid("train", ("akm",), ("L100",), (0,)), Grid("ablate", names, ("L100",), (0,))
    differs = {"akm_tau_half": {"tau": 0.35}, "akm_raw": {"pseudo_label": "raw"}}
    report(tmp_path, "Title", "demo", sweep, ablation, dict.fromkeys(names, "akm"), differs, {})
    page = (tmp_path / "reports" / "index.html").read_text()
    assert page.count("under fixed and adaptive masking (demo-akm_tau_half-L100-s0)") > 0
    assert "under fixed and adaptive masking (demo-akm_raw-L100-s0)" not in page
    assert "other variants are in <code>reports/views/" in page
    assert re.search("masks over difficulty: L100 akm .*L100 akm_tau_half ", page)


def headline_of(root, seeds, values, spread):
    """The text of the page's headline for runs whose paired differences have this standard deviation."""
    generator = np.random.default_rng(0)
    for method, value in values.items():
        for seed in range(seeds):
            made = record(method, "L100", seed, value)
            write(root, made)
            write_resamples(root, made["cell"], value + spread * generator.normal(size=200))
    grid = Grid("train", tuple(values), ("L100",), tuple(range(seeds)))
    report(root, "Title", "demo", grid, Grid("ablate", (), (), ()), {}, {}, {})
    text = (root / "reports" / "index.html").read_text()
    return " ".join(re.sub("<[^>]+>", " ", text[text.index("<header>") : text.index("</header>")]).split())


@pytest.mark.parametrize(
    ("seeds", "values", "spread", "said", "unsaid"),
    [
        (1, {"supervised": 30.0, "akm": 32.0}, 0.1, ["akm is best", "validation people only", "another seed"], ["hardly", "weak"]),
        (2, {"supervised": 30.0, "akm": 32.0}, 0.1, ["akm is best", "hardly reverse it"], ["another seed"]),
        (1, {"supervised": 30.0, "akm": 32.0}, 5.0, ["no difference is shown", "(akm)", "contains 0", "another seed"], ["best"]),
        (1, {"supervised": 30.0, "akm": 29.0}, 5.0, ["no difference is shown", "(supervised)", "akm: -1.0"], ["best"]),
        (1, {"supervised": 30.0, "akm": 20.0}, 0.1, ["supervised is best", "akm: -10.0", "excludes 0"], ["no difference"]),
        (1, {"supervised": 4.9, "akm": 4.8}, 5.0, ["no difference is shown", "far too weak to use", "pretrained"], []),
        (1, {"supervised": 30.0}, 0.1, ["supervised is best", "no method gains on it"], ["interval"]),
    ],
)
def test_the_headline_is_as_sure_as_the_numbers(tmp_path, seeds, values, spread, said, unsaid):
    text = headline_of(tmp_path, seeds, values, spread)
    assert all(words in text for words in said), text
    assert not any(words in text for words in unsaid), text


def test_no_ablation_no_table(tmp_path):
    reports = write_report(tmp_path, ablation=Grid("ablate", (), (), ()))
    assert sorted(path.name for path in (reports / "tables").iterdir()) == ["main.csv", "main.md", "main.tex"]


def test_tables_of_topics_take_the_place_of_others(root):
    first = root / "reports/tables"
    first.mkdir()
    (first / "ablation.md").touch()
    reports = write_report(root, topics={"order_of_masks": ["akm_shuffled"], "mixup": ["akm_no_mixup"]})
    names = {"main", "ablation-order_of_masks", "ablation-mixup"}
    assert {path.name for path in first.iterdir()} == {f"{name}.{ending}" for name in names for ending in ("md", "csv", "tex")}
    page = (reports / "index.html").read_text()
    ablations = page[page.index("Ablation of akm: order of masks") :]
    assert ablations.index("Ablation of akm: mixup") > 0
    assert ablations.count("paired difference to akm") == 1, "what a table says, the next one need not"
    assert ablations.count("All else as under the table above") == 1
    assert ablations.count("not run: akm_no_mixup-L100-s0") == 1


def test_different_headlines_do_not_share_a_table(root):
    made = record("akm", "L100", 1, 40.0, headline="PCK@0.2 torso")
    made["metrics"]["PCK@0.2 torso"] = {"value": 70.0}
    write(root, made)
    write_resamples(root, made["cell"], [], "PCK@0.2 torso")
    with pytest.raises(InputError, match=r"demo-.*json: protocol.headline is .* but .* reports .*PCK@0.2 torso"):
        write_report(root)
    assert not (root / "reports" / "results.csv").exists()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda made: made.pop("commit"), "field 'commit' is missing"),
        (lambda made: made["protocol"].pop("decode"), "field 'protocol.decode' is missing"),
        (lambda made: made["training"].pop("gflop"), "field 'training.gflop' is missing"),
        (lambda made: made["metrics"].pop("AP"), "field 'metrics.AP' is missing"),
        (lambda made: made.update(seed=1), "is of ('demo', 'train', 'akm', 'L100', 1,"),
        (lambda made: made.update(stage="ablate"), "is of ('demo', 'ablate'"),
        (lambda made: made["metrics"]["AP"].update(value="high"), "not readable as a run"),
    ],
)
def test_a_wrong_record_is_named(root, spoil, said):
    made = record("akm", "L100", 0, 40.0)
    spoil(made)
    path = write(root, made | {"cell": "demo-akm-L100-s0"})
    with pytest.raises(InputError, match=re.escape(said)) as caught:
        read_runs(path.parent, "demo", SWEEP)
    assert str(path) in str(caught.value)
    assert "evaluate" in str(caught.value)


def test_a_broken_file_is_named(root):
    path = root / "reports" / "runs" / "demo-akm-L100-s0.json"
    path.write_text(path.read_text()[:50])
    with pytest.raises(InputError, match=r"demo-akm-L100-s0\.json is not readable"):
        write_report(root)


def test_missing_resamples_are_named(root):
    (root / "reports" / "runs" / "demo-akm-L100-s0" / "bootstrap.csv").unlink()
    with pytest.raises(InputError, match=r"bootstrap\.csv is missing; run the stage `evaluate` of this run again"):
        write_report(root)


def test_columns_are_numbers(tmp_path):
    path = tmp_path / "history.csv"
    path.write_text("epoch,val/AP\n1,\n2,3.5\n")
    columns = read_columns(path)
    assert columns["epoch"] == [1.0, 2.0]
    assert math.isnan(columns["val/AP"][0])
    assert columns["val/AP"][1] == 3.5
    path.write_text("epoch,val/AP\n1,2\n2,x\n")
    with pytest.raises(InputError, match=r"history\.csv: .*'x'; train this run again"):
        read_columns(path)
