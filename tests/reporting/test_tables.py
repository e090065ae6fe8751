import csv
import io
import math
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from made_runs import ABLATION, BASES, COMMIT, DIFFERS, FINGERPRINT, SWEEP, record, runs_of, write_resamples

from semipose.reporting.cells import NOT_RUN, NOTHING
from semipose.reporting.protocol import SHARED
from semipose.reporting.results import Grid
from semipose.reporting.tables import ablation_table, ablation_tables, main_table
from semipose.reporting.typeset import escape, to_csv, to_latex, to_markdown

VALUES = {
    ("supervised", "L100"): [31.25, 33.5],
    ("akm", "L100"): [40.0, 44.5],
    ("supervised", "L400"): [50.0, 51.0],
    ("akm", "L400"): [56.5, 55.0],
}


@pytest.fixture
def runs(tmp_path):
    return runs_of(tmp_path, *(record(*key, seed, value) for key, values in VALUES.items() for seed, value in enumerate(values)))


def cell(table, row, name, group=""):
    column = [(column.group, column.name) for column in table.columns].index((group, name))
    return {line[0].text: line for line in table.rows}[row][column].text


def rows_of_csv(table):
    return list(csv.DictReader(io.StringIO(to_csv(table))))


def test_mean_deviation_and_paired_gain(runs):
    table = main_table(runs, SWEEP)
    for labels in SWEEP.labels:
        ours, theirs = np.array(VALUES["akm", labels]), np.array(VALUES["supervised", labels])
        assert cell(table, "akm", "AP", labels) == f"{ours.mean():.1f} ± {ours.std(ddof=1):.1f}"
        gain = ours - theirs
        assert cell(table, "akm", "gain", labels) == f"{gain.mean():+.1f} ± {gain.std(ddof=1):.1f}"
        assert cell(table, "supervised", "gain", labels) == NOTHING
    assert not any("uses only the seeds" in note for note in table.notes)


def test_gain_pairs_only_seeds_that_both_have(runs):
    del runs["supervised", "L100", 1]
    table = main_table(runs, SWEEP)
    # Over all values the difference of the means would be 42.25 - 31.25 = 11.0.
    assert cell(table, "akm", "gain", "L100") == f"{40.0 - 31.25:+.1f}"
    assert cell(table, "supervised", "seeds") == "1 of 2 / 2"
    assert "not run: supervised-L100-s1" in table.notes
    assert any("uses only the seeds that both runs have" in note for note in table.notes)


def test_single_seed_carries_its_interval(runs):
    table = main_table(runs, replace(SWEEP, seeds=(1,)))
    assert cell(table, "akm", "AP", "L100") == "44.5 [43.5, 46.5]"
    assert cell(table, "akm", "gain", "L100") == "+11.0"
    statistics = [note for note in table.notes if note.startswith("Statistics")]
    assert "1,000 resamples" in statistics[1]
    assert "This interval covers validation people only: another seed may change a result by more." in table.notes
    assert not any("±" in note for note in statistics)


def test_a_gain_carries_the_interval_of_the_same_resamples(tmp_path):
    rng = np.random.default_rng(0)
    scores = {
        (method, seed): value
        for method, values in (("supervised", [30.0, 32.0]), ("akm", [35.0, 38.0]))
        for seed, value in enumerate(values)
    }
    resample = rng.normal(0, 3, 400)  # hard and easy resamples move all runs alike
    resamples = {key: np.round(value + resample + rng.normal(0, 0.5, 400), 4) for key, value in scores.items()}
    for (method, seed), values in resamples.items():
        write_resamples(tmp_path, f"demo-{method}-L100-s{seed}", values)
    runs = runs_of(tmp_path, *(record(method, "L100", seed, value) for (method, seed), value in scores.items()))
    table = main_table(runs, replace(SWEEP, labels=("L100",)))
    mean = (resamples["akm", 0] - resamples["supervised", 0] + resamples["akm", 1] - resamples["supervised", 1]) / 2
    low, high = np.quantile(mean, [0.025, 0.975])
    assert cell(table, "akm", "gain", "L100") == f"+5.5 ± 0.7 [{low:+.1f}, {high:+.1f}]"
    line = next(line for line in rows_of_csv(table) if line["method"] == "akm" and line["seed"] == "1")
    low, high = np.quantile(resamples["akm", 1] - resamples["supervised", 1], [0.025, 0.975])
    assert (float(line["gain"]), float(line["gain_low"]), float(line["gain_high"])) == pytest.approx((6.0, low, high))
    alone = main_table(runs, replace(SWEEP, labels=("L100",), seeds=(0,)))
    assert cell(alone, "akm", "gain", "L100").startswith("+5.0 [+3")


def test_with_more_methods_each_stands_against_the_row_above(tmp_path, runs):
    more = runs | runs_of(tmp_path, *(record("posecons", "L100", seed, value) for seed, value in enumerate([35.0, 38.0])))
    table = main_table(more, replace(SWEEP, methods=("supervised", "posecons", "akm")))
    assert [column.name for column in table.columns if column.group == "L100"] == ["AP", "gain", "over row above"]
    steps = np.array([40.0, 44.5]) - np.array([35.0, 38.0])
    assert cell(table, "akm", "over row above", "L100") == f"{steps.mean():+.1f} ± {steps.std(ddof=1):.1f}"
    assert cell(table, "posecons", "over row above", "L100") == cell(table, "posecons", "gain", "L100")
    assert [cell(table, name, "over row above", "L400") for name in ("supervised", "posecons", "akm")] == [NOTHING, NOT_RUN, NOT_RUN]
    assert "over row above" not in {column.name for column in main_table(runs, SWEEP).columns}


def test_missing_runs_are_not_run_in_their_place(runs):
    fewer = {key: run for key, run in runs.items() if key[:2] != ("akm", "L400")}
    table = main_table(fewer, SWEEP)
    assert [cell(table, "akm", name, "L400") for name in ("AP", "gain")] == [NOT_RUN, NOT_RUN]
    assert cell(table, "akm", "AP", "L100") != NOT_RUN
    lines = [line for line in rows_of_csv(table) if line["method"] == "akm" and line["labels"] == "L400"]
    assert [(line["seed"], line["status"], line["value"]) for line in lines] == [("0", NOT_RUN, ""), ("1", NOT_RUN, "")]
    nothing = main_table({}, SWEEP)
    assert all(cell(nothing, "akm", name) == NOT_RUN for name in ("masks",))
    assert "Protocol: none of these runs has finished." in nothing.notes


def test_each_topic_has_a_table_and_the_rest_another(tmp_path):
    values = {"akm": 40.0, "posedual": 30.0, "akm_fixed": 41.0, "akm_off": 37.5, "akm_raw": 39.0, "posedual_raw": 32.0}
    runs = runs_of(tmp_path, *(record(name, "L100", 0, value) for name, value in values.items()))
    bases = {"akm_fixed": "akm", "akm_off": "akm", "akm_raw": "akm", "posedual_raw": "posedual"}
    grid = Grid("ablate", tuple(bases), ("L100",), (0,))
    changes = {name: {"key": name} for name in bases}
    topics = {"pseudo_labels": ["posedual_raw", "akm_raw"], "masks": ["akm_off", "akm_raw"]}
    labels, masks, rest = ablation_tables(runs, grid, bases, changes, topics)
    assert [(table.name, table.caption) for table in (labels, masks, rest)] == [
        ("ablation-pseudo_labels", "Ablation of posedual, akm: pseudo labels"),
        ("ablation-masks", "Ablation of akm: masks"),
        ("ablation", "Ablation of akm"),
    ]
    rows = {name: cell(labels, name, "difference", "L100") for name in (row[0].text for row in labels.rows)}
    assert rows == {"posedual": NOTHING, "posedual_raw": "+2.0", "akm": NOTHING, "akm_raw": "-1.0"}
    assert {line["method"]: (line["changes"], line["difference"]) for line in rows_of_csv(labels)} == {
        "posedual": ("", ""),
        "posedual_raw": ("key: posedual_raw", "2.0"),
        "akm": ("", ""),
        "akm_raw": ("key: akm_raw", "-1.0"),
    }
    assert "Difference: mean over seeds of the paired difference to posedual, akm (each row with its own)." in labels.notes
    assert "Difference: mean over seeds of the paired difference to akm." in masks.notes
    assert [row[0].text for row in masks.rows] == ["akm", "akm_off", "akm_raw"]
    assert [row[0].text for row in rest.rows] == ["akm", "akm_fixed"]
    (whole,) = ablation_tables(runs, grid, bases, changes, {})
    assert [row[0].text for row in whole.rows] == ["akm", "akm_fixed", "akm_off", "akm_raw", "posedual", "posedual_raw"]
    assert [table.name for table in ablation_tables(runs, grid, bases, changes, {"all": list(bases)})] == ["ablation-all"]


def test_ablation_begins_with_akm_of_its_own_seeds(tmp_path, runs):
    more = runs_of(tmp_path, record("akm", "L100", 2, 90.0), record("akm_no_mixup", "L100", 0, 39.0, masks=None))
    more |= runs_of(tmp_path, record("akm_no_mixup", "L100", 1, 42.5, masks=None))
    table = ablation_table(runs | more, ABLATION, BASES, DIFFERS)
    assert [row[0].text for row in table.rows] == ["akm", "akm_shuffled", "akm_no_mixup"]
    assert cell(table, "akm", "AP", "L100") == f"{np.mean([40.0, 44.5]):.1f} ± {np.std([40.0, 44.5], ddof=1):.1f}"
    assert cell(table, "akm_shuffled", "AP", "L100") == NOT_RUN
    difference = np.array([39.0 - 40.0, 42.5 - 44.5])
    assert cell(table, "akm_no_mixup", "difference", "L100") == f"{difference.mean():+.1f} ± {difference.std(ddof=1):.1f}"
    assert cell(table, "akm_no_mixup", "changes") == "mixup.place: none, lambda_m: 0.0"
    plain = ablation_table(runs | more, ABLATION, BASES, DIFFERS | {"akm_no_mixup": {"strong": []}})
    assert cell(plain, "akm_no_mixup", "changes") == "strong: none"
    assert [cell(table, name, "masks") for name in ("akm", "akm_no_mixup")] == ["2.50", NOTHING]
    assert [cell(table, name, "seeds") for name in ("akm", "akm_shuffled")] == ["2", "0 of 2"]


def test_costs_differ_by_budget(tmp_path, runs):
    runs |= runs_of(tmp_path, *(record("akm", "L400", seed, 56.0, gflop=1234567.0, networks=2) for seed in (0, 1)))
    table = main_table(runs, SWEEP)
    assert cell(table, "akm", "GFLOP", "training") == "2,010 / 1,230,000"
    assert cell(table, "akm", "networks", "training") == "1 / 2"
    assert cell(table, "supervised", "passes", "training") == "4"


UNEQUAL = {
    "steps": ("steps", 750),
    "batch_size": ("batch size", 16),
    "warmup_steps": ("warm-up steps", 0),
    "input": ("input", "256x192"),
    "backbone": ("backbone", "resnet50"),
    "people": ("validation people", 300),
    "labelled": ("labelled people", 99),
    "unlabelled": ("unlabelled people", 1),
    "metric": ("metric", "pck"),
    "boxes": ("boxes", "detector"),
    "flip_test": ("flip test", True),
    "decode": ("decode", "dark"),
    "epoch": ("epoch", "best"),
}


@pytest.mark.parametrize("field", UNEQUAL)
def test_unequal_columns_say_so(tmp_path, runs, field):
    assert not any(note.startswith("unequal") for note in main_table(runs, SWEEP).notes)
    name, value = UNEQUAL[field]
    runs |= runs_of(tmp_path, record("akm", "L100", 1, 44.5, **{field: value}))
    (note,) = [note for note in main_table(runs, SWEEP).notes if note.startswith("unequal")]
    assert note.startswith(f"unequal: {name} at L100: ")
    assert note.endswith("(akm)")
    assert "(supervised, akm); " in note
    assert f"**{note}**" in to_markdown(main_table(runs, SWEEP))
    assert rf"\textbf{{{escape(note)}}}" in to_latex(main_table(runs, SWEEP))


def test_every_shared_quantity_is_tested():
    assert {name for name, _ in UNEQUAL.values()} == set(SHARED.values())


def test_budgets_may_differ_from_each_other(tmp_path, runs):
    longer = runs_of(tmp_path, *(record(*key, seed, 50.0, steps=9000) for key in VALUES for seed in (0, 1) if key[1] == "L400"))
    table = main_table(runs | longer, SWEEP)
    assert not any(note.startswith("unequal") for note in table.notes)
    training = [note.partition(" after ")[0] for note in table.notes if note.startswith("Training")]
    assert training == [
        "Training, L100: 100 labelled and 4,000 unlabelled people; 1,500 steps × batch 32",
        "Training, L400: 400 labelled and 4,000 unlabelled people; 9,000 steps × batch 32",
    ]


def test_protocol_is_under_the_table(runs):
    text = to_markdown(main_table(runs, SWEEP))
    for part in (
        "AP (OKS, 0–100",
        "boxes: ground truth",
        "flip test: no",
        "decode: quarter",
        "epoch: last",
        "700 validation",
    ):
        assert part in text
    assert "input: 64x64" in text
    assert "backbone: resnet18" in text
    assert "seeds 0, 1" in text


def test_undefined_headline(tmp_path, runs):
    runs |= runs_of(tmp_path, *(record("akm", "L100", seed, None) for seed in (0, 1)))
    table = main_table(runs, SWEEP)
    assert cell(table, "akm", "AP", "L100") == "undefined"
    assert cell(table, "akm", "gain", "L100") == NOT_RUN


def test_csv_keeps_digits_and_leads_to_the_run(runs):
    lines = rows_of_csv(main_table(runs, SWEEP))
    assert len(lines) == 8
    line = next(line for line in lines if (line["method"], line["labels"], line["seed"]) == ("akm", "L100", "0"))
    assert (line["value"], line["low"], line["high"], line["gain"]) == ("40.0", "39.0", "42.0", str(40.0 - 31.25))
    assert (line["cell"], line["fingerprint"], line["commit"]) == ("demo-akm-L100-s0", FINGERPRINT, COMMIT)
    assert math.isclose(float(line["gflop"]), 2012.3)


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("a_b % c & #1 ± 2", r"a\_b \% c \& \#1 $\pm$ 2"),
        (r"\x{1}~^$", r"\textbackslash{}x\{1\}\textasciitilde{}\textasciicircum{}\$"),
        ("3 × 4 – <5> n − 1", r"3 $\times$ 4 -- $<$5$>$ n $-$ 1"),
    ],
)
def test_escape(text, latex):
    assert escape(text) == latex


def test_latex_has_as_many_cells_in_every_row(runs):
    text = to_latex(ablation_table(runs, ABLATION, BASES, DIFFERS))
    body = text.split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()
    columns = text.split(r"\begin{tabular}{@{}")[1].split("@{}}")[0]
    assert [line.count(" & ") + 1 for line in body] == [len(columns)] * 3
    assert r"\label{tab:ablation}" in text
    assert r"akm\_no\_mixup" in text
    assert text.isascii()


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles(tmp_path, runs):
    odd = {**DIFFERS, "akm_no_mixup": {"odd.key": r"50 % & #1 ~ ^ \ {x} $y$ <z>"}}
    (tmp_path / "main.tex").write_text(to_latex(main_table(runs, SWEEP)), encoding="utf-8")
    (tmp_path / "ablation.tex").write_text(to_latex(ablation_table(runs, ABLATION, BASES, odd)), encoding="utf-8")
    head = "\\documentclass{article}\n\\usepackage{booktabs,graphicx}\n\\begin{document}\n"
    (tmp_path / "all.tex").write_text(head + "\\input{main}\n\\input{ablation}\n\\end{document}\n")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull \\hbox" not in done.stdout
