"""Splits: nested, sampled from the seed alone, and verified against the table they were made from."""

import hashlib
import json
import struct
from contextlib import nullcontext
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pytest

from pipeline.stages.split import split
from semipose.data.people import People
from semipose.data.splits import make_splits, read_split
from semipose.pose.skeleton import LSP14
from semipose.utils.errors import InputError


def crowd(count: int = 200, first: int = 1000) -> People:
    ids = np.random.default_rng(5).permutation(count) + first  # ids are in no order, as COCO's
    return People(
        LSP14, ids, ids, [f"{number}.jpg" for number in ids], np.ones((count, 2), np.int64), np.ones((count, 4)),
        np.ones(count), np.zeros((count, 14, 2)), np.zeros((count, 14)),
    )  # fmt: skip


def split_of(tmp_path, people, record):
    path = tmp_path / "split.json"
    path.write_text(json.dumps(record))
    return read_split(path, people)


@pytest.mark.parametrize("selection", ["first", "random"])
@pytest.mark.parametrize("unlabelled", ["all", "rest"])
def test_record_and_positions_agree(tmp_path, selection, unlabelled):
    people = crowd()
    record = make_splits(people, {"few": 30}, selection, 3, unlabelled)["few"]
    split = split_of(tmp_path, people, record)
    assert split.labelled.dtype == split.unlabelled.dtype == np.int64
    assert people.ids[split.labelled].tolist() == record["labelled"]
    assert len(set(record["labelled"])) == 30
    rest = [i for i in range(200) if i not in set(split.labelled.tolist())]
    assert split.unlabelled.tolist() == (list(range(200)) if unlabelled == "all" else rest)
    assert record["counts"] == {"pool": 200, "labelled": 30, "unlabelled": 200 if unlabelled == "all" else 170}
    assert record["first_image"] == people.images[split.labelled[0]]
    assert record["last_image"] == people.images[split.labelled[-1]]
    if selection == "first":
        assert split.labelled.tolist() == list(range(30))


@pytest.mark.parametrize("selection", ["first", "random"])
def test_smaller_budgets_are_part_of_larger_ones(selection):
    records = make_splits(crowd(), {"c": 200, "a": 10, "b": 50}, selection, 0, "all")
    a, b, c = (set(records[name]["labelled"]) for name in "abc")
    assert a < b < c
    assert (len(a), len(b), len(c)) == (10, 50, 200)


def test_the_stage_counts_unlabelled_people_only_if_training_takes_them(tmp_path, monkeypatch, capsys, demo):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(People, "load", lambda path: crowd())
    for others in (None, MagicMock()):
        stage, tracker = SimpleNamespace(params=demo.model_copy(update={"data": SimpleNamespace(unlabelled=others)})), MagicMock()
        monkeypatch.setattr("pipeline.runtime.stage.opened", lambda *_, given=(stage, tracker): nullcontext(given))
        split()
        said = capsys.readouterr().out.strip()
        if others is None:
            assert said == "L50, seed 0: 50 labelled, 200 unlabelled of 200 people"
        else:
            assert said == "L50, seed 0: 50 labelled of 200 people; unlabelled: those of data.unlabelled"
        assert ("L50/unlabelled" in tracker.final.call_args.args[0]) == (others is None)


@pytest.mark.parametrize("per_seed", [False, True])
def test_the_stage_gives_each_seed_people_of_its_own_if_asked(tmp_path, monkeypatch, demo, per_seed):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(People, "load", lambda path: crowd())
    law = demo.split.model_copy(update={"selection": "random", "per_seed": per_seed})
    params = demo.model_copy(update={"split": law, "sweep": demo.sweep.model_copy(update={"seeds": [0, 1]})})
    monkeypatch.setattr("pipeline.runtime.stage.opened", lambda *_: nullcontext((SimpleNamespace(params=params), MagicMock())))
    split()
    first, second = (json.loads((tmp_path / f"data/split/L50-s{seed}.json").read_text())["labelled"] for seed in (0, 1))
    assert (set(first) != set(second)) == per_seed


def test_all_is_everybody():
    people = crowd(30)
    record = make_splits(people, {"few": 3, "All": "all"}, "first", 0, "all")["All"]
    assert record["labelled"] == people.ids.tolist()
    assert record["counts"] == {"pool": 30, "labelled": 30, "unlabelled": 30}


def test_the_seed_alone_decides():
    def draw(seed):
        return make_splits(crowd(), {"few": 20}, "random", seed, "all")["few"]

    np.random.seed(1)
    one = draw(7)
    np.random.seed(2)
    assert draw(7) == one
    assert set(draw(8)["labelled"]) != set(one["labelled"])
    assert draw(8)["digest"] != one["digest"]
    assert draw(8)["pool_digest"] == one["pool_digest"]


def test_each_seed_of_a_sweep_has_people_of_its_own():
    records = [make_splits(crowd(), {"a": 10, "b": 50}, "random", (0, seed), "all") for seed in (0, 1)]
    assert set(records[0]["b"]["labelled"]) != set(records[1]["b"]["labelled"])
    assert all(set(record["a"]["labelled"]) < set(record["b"]["labelled"]) for record in records)


def test_random_is_uniform_over_people():
    people = crowd(40)
    place = {number: i for i, number in enumerate(people.ids.tolist())}
    counts = np.zeros(40)
    for seed in range(400):
        for number in make_splits(people, {"few": 10}, "random", seed, "all")["few"]["labelled"]:
            counts[place[number]] += 1
    assert abs(counts - 100).max() < 5 * np.sqrt(400 * 0.25 * 0.75)


def test_digest_is_over_labelled_and_unlabelled_ids():
    people = crowd(5)
    record = make_splits(people, {"two": 2}, "first", 0, "rest")["two"]
    ids = people.ids.tolist()
    bytes_ = struct.pack("<q2q", 2, *ids[:2]) + struct.pack("<q3q", 3, *ids[2:])
    assert record["digest"] == hashlib.sha256(bytes_).hexdigest()
    assert record["pool_digest"] == hashlib.sha256(struct.pack("<q5q", 5, *ids)).hexdigest()


@pytest.mark.parametrize("budget", [0, -1, 201])
def test_impossible_budgets_are_named(budget):
    with pytest.raises(InputError, match=rf"split\.budgets\.many: {budget} .*200"):
        make_splits(crowd(), {"ok": 5, "many": budget}, "first", 0, "all")


def test_nobody_left_unlabelled_is_named():
    with pytest.raises(InputError, match=r"split\.budgets\.full.*has no people"):
        make_splits(crowd(), {"full": 200}, "first", 0, "rest")


def test_another_table_is_refused(tmp_path):
    people = crowd()
    record = make_splits(people, {"few": 30}, "random", 3, "rest")["few"]
    for other in (crowd(199), crowd(first=1001), people.subset(np.arange(200)[::-1])):
        with pytest.raises(InputError, match=r"split\.json.*other person annotations; make the split again"):
            split_of(tmp_path, other, record)


@pytest.mark.parametrize(
    "change",
    [
        lambda r: r["labelled"].pop(),
        lambda r: r["labelled"].append(r["labelled"][0]),
        lambda r: r["labelled"].__setitem__(0, 99),
        lambda r: r["labelled"].reverse(),
        lambda r: r.update(unlabelled="rest"),
        lambda r: r.update(digest="0" * 64),
    ],
)
def test_a_changed_record_is_refused(tmp_path, change):
    record = make_splits(crowd(), {"few": 30}, "random", 3, "all")["few"]
    change(record)
    with pytest.raises(InputError, match=r"split\.json.*does not fit `digest`"):
        split_of(tmp_path, crowd(), record)


def test_an_unknown_rule_in_a_record_is_refused(tmp_path):
    record = make_splits(crowd(), {"few": 30}, "random", 3, "rest")["few"]
    with pytest.raises(InputError, match=r"split\.json: unlabelled: should be 'all' or 'rest', not 'some'"):
        split_of(tmp_path, crowd(), record | {"unlabelled": "some"})


def test_files_that_are_no_split_are_named(tmp_path):
    with pytest.raises(InputError, match=r"absent\.json: no such file; make the split again"):
        read_split(tmp_path / "absent.json", crowd())
    for text, message in (
        ("{", "is not JSON"),
        ("[1]", "should be an object"),
        ('{"labelled": [1]}', "unlabelled: is missing"),
    ):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(InputError, match=rf"bad\.json.*{message}"):
            read_split(tmp_path / "bad.json", crowd())
