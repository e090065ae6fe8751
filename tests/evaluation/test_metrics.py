import copy
import io
import json
import math
import os
import sys
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from semipose.evaluation.metrics.average_precision import KEYS, evaluate_oks, match
from semipose.evaluation.metrics.oks import joint_hits, person_oks
from semipose.evaluation.metrics.pck import Hits, box_sizes, evaluate_pck, pck, pck_area, torso_sizes
from semipose.evaluation.metrics.statistics import interval, intervals, resampled, sample_weights
from semipose.pose.skeleton import COCO17, LSP14
from semipose.utils.errors import InputError

PERSON = {"id": 1, "name": "person", "keypoints": list(COCO17.joints)}


def made_set(rng, images=12, people=4):
    """Annotations as COCO has them: several sizes, joints that are not annotated, a crowd, a person without joints."""
    annotations = []
    for image_id in range(1, images + 1):
        for _ in range(rng.integers(0, people + 1)):
            x, y, w = rng.uniform(0, 300), rng.uniform(0, 200), rng.uniform(30, 250)
            h = w * rng.uniform(0.8, 2.5)
            visibility = rng.choice([0, 1, 2], 17, p=[0.3, 0.2, 0.5])
            visibility[rng.integers(17)] = 2
            points = np.stack([rng.uniform(x, x + w, 17), rng.uniform(y, y + h, 17)], 1) * (visibility[:, None] > 0)
            keypoints = np.concatenate([points, visibility[:, None]], 1)
            annotations.append(person(len(annotations) + 1, image_id, keypoints, [x, y, w, h], 0.6 * w * h))
    annotations.append(person(len(annotations) + 1, 1, np.zeros((17, 3)), [10, 10, 200, 200], 20000.0))
    crowd = person(len(annotations) + 1, 2, np.zeros((17, 3)), [0, 0, 400, 300], 50000.0)
    annotations.append(crowd | {"iscrowd": 1})
    return {"images": [{"id": i + 1} for i in range(images)], "categories": [PERSON], "annotations": annotations}


def person(number, image_id, keypoints, box, area):
    return {
        "id": number, "image_id": image_id, "category_id": 1, "iscrowd": 0, "area": float(area),
        "bbox": [float(v) for v in box], "num_keypoints": int((keypoints[:, 2] > 0).sum()),
        "keypoints": keypoints.ravel().tolist(),
    }  # fmt: skip


def noisy(annotations, noise, rng, extra=0):
    """One result for each person with joints, moved by `noise` times the person's size, and some that belong to
    nobody."""
    results = []
    for a in annotations["annotations"]:
        if a["num_keypoints"]:
            points = np.reshape(np.array(a["keypoints"], float), (-1, 3)).copy()
            points[:, :2] += noise * math.sqrt(a["area"]) * rng.normal(size=(len(points), 2))
            results.append(result(a["image_id"], points, rng.uniform()))
    for _ in range(extra):
        points = np.concatenate([rng.uniform(0, 400, (17, 2)), np.ones((17, 1))], 1)
        results.append(result(int(rng.choice([i["id"] for i in annotations["images"]])), points, rng.uniform()))
    return results


def result(image_id, points, score):
    return {"image_id": image_id, "category_id": 1, "keypoints": points.ravel().tolist(), "score": float(score)}


def reference(annotations, results, sigmas=None):
    """pycocotools alone."""
    with redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = copy.deepcopy(annotations)
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(copy.deepcopy(results)), "keypoints")
        if sigmas is not None:
            evaluation.params.kpt_oks_sigmas = np.array(sigmas)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return dict(zip(KEYS, evaluation.stats, strict=True))


@pytest.fixture(scope="module")
def coco_mini():
    root = os.environ.get("SEMIPOSE_TEST_DATA")
    if root is None:
        pytest.skip("SEMIPOSE_TEST_DATA is not set: it names the folder that holds coco-mini")
    return Path(root) / "coco-mini" / "annotations" / "person_keypoints_val2017.json"


# OKS


@pytest.mark.parametrize("joint", [0, 5, 11])
@pytest.mark.parametrize("distance", [0.0, 0.5, 1.0, 2.5])
def test_oks_of_a_single_joint_is_the_closed_form(joint, distance):
    truth, points, visibility = np.zeros((1, 17, 2)), np.zeros((1, 17, 2)), np.zeros((1, 17), int)
    visibility[0, joint] = 1
    area = 5000.0
    unit = 2 * COCO17.sigmas[joint] * math.sqrt(area)  # k s
    points[0, joint] = [0.6 * distance * unit, -0.8 * distance * unit]
    points[0, joint - 1] = 1e4  # not annotated: must not matter
    found = person_oks(points, truth, visibility, np.array([area]), COCO17.sigmas)
    assert found == pytest.approx([math.exp(-(distance**2) / 2)], abs=1e-12)


def test_oks_of_a_person_is_that_of_cocoeval():
    rng = np.random.default_rng(0)
    annotations = made_set(rng)
    people = [a for a in annotations["annotations"] if a["num_keypoints"]]
    results = noisy(annotations, 0.08, rng)
    truth, found = (np.array([a["keypoints"] for a in part]).reshape(-1, 17, 3) for part in (people, results))
    ours = person_oks(found[..., :2], truth[..., :2], truth[..., 2].astype(int), np.array([a["area"] for a in people]), COCO17.sigmas)
    for a, r, oks in zip(people, results, ours, strict=True):
        evaluation = COCOeval(iouType="keypoints")
        evaluation._gts[1, 1], evaluation._dts[1, 1] = [a], [r]
        assert oks == pytest.approx(evaluation.computeOks(1, 1)[0, 0], abs=1e-12)


def test_oks_without_an_annotated_joint_is_undefined():
    nothing = np.zeros((1, 17, 2))
    assert np.isnan(person_oks(nothing, nothing, np.zeros((1, 17), int), np.ones(1), COCO17.sigmas)).all()


def test_joint_hits_are_the_terms_of_at_least_a_half():
    unit = 2 * np.array(COCO17.sigmas) * 100
    half = math.sqrt(2 * math.log(2))
    truth = np.zeros((3, 17, 2))
    points = truth.copy()
    points[0, :, 0], points[1, :, 1], points[2] = 0.999 * half * unit, -1.001 * half * unit, 0
    visibility = np.full((3, 17), 2)
    visibility[2, 3] = 0
    hits = joint_hits(points, truth, visibility, np.full(3, 100.0**2), COCO17)
    assert hits.hit[0].all()
    assert not hits.hit[1].any()
    values = hits.values()
    assert list(values) == [f"joint/{name}" for name in COCO17.joints]
    assert values["joint/nose"] == pytest.approx(2 / 3)
    assert values["joint/left_ear"] == pytest.approx(1 / 2)


# AP and AR


def test_truth_given_as_predictions_is_found_whole(coco_mini):
    results = noisy(json.loads(coco_mini.read_text()), 0.0, np.random.default_rng(0))
    assert evaluate_oks(coco_mini, results) == dict.fromkeys(KEYS, 1.0)


@pytest.mark.parametrize("noise", [0.01, 0.04, 0.09])
def test_real_annotations_give_what_pycocotools_gives(coco_mini, tmp_path, noise, capsys):
    annotations = json.loads(coco_mini.read_text())
    results = noisy(annotations, noise, np.random.default_rng(1), extra=15)
    file = tmp_path / "results.json"
    file.write_text(json.dumps(results))
    assert evaluate_oks(coco_mini, file) == reference(annotations, results)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("with_box", [False, True])
def test_made_annotations_give_what_pycocotools_gives(seed, with_box):
    rng = np.random.default_rng(seed)
    annotations = made_set(rng)
    results = noisy(annotations, 0.06, rng, extra=10)
    if with_box:
        results = [r | {"bbox": [0, 0, 60, 60]} for r in results]
    before = copy.deepcopy((annotations, results))
    assert evaluate_oks(annotations, results) == reference(annotations, results)
    assert (annotations, results) == before


@pytest.mark.parametrize("with_box", [False, True])
def test_the_faster_backend_agrees_to_rounding(coco_mini, with_box):
    pytest.importorskip("faster_coco_eval", reason="the extra `fast` is not installed")
    boxed = {"bbox": [0.0, 0.0, 60.0, 60.0]} if with_box else {}
    for seed in range(8):
        rng = np.random.default_rng(seed)
        annotations = made_set(rng, images=20) if seed else json.loads(coco_mini.read_text())
        results = [r | boxed for r in noisy(annotations, 0.05, rng, extra=20)]
        for r in results[: 20 if seed % 2 else 0]:
            r["score"] = round(r["score"], 1)  # equal scores: whose turn it is first is a rule of its own
        faster = evaluate_oks(annotations, results, backend="faster-coco-eval")
        assert faster == pytest.approx(evaluate_oks(annotations, results), abs=1e-15)
    assert evaluate_oks(annotations, [], backend="faster-coco-eval") == evaluate_oks(annotations, [])


def test_a_backend_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "faster_coco_eval", None)
    with pytest.raises(InputError, match="faster-coco-eval is not installed; run pip install"):
        evaluate_oks(made_set(np.random.default_rng(0)), [], backend="faster-coco-eval")


def test_without_a_bbox_the_area_is_that_of_the_keypoints():
    """One person who is medium, found, and a better scored result of nobody, which counts if it is of medium area."""
    keypoints = np.concatenate([np.random.default_rng(0).uniform(0, 60, (17, 2)), np.full((17, 1), 2)], 1)
    annotations = {
        "images": [{"id": 1}], "categories": [PERSON],
        "annotations": [person(1, 1, keypoints, [0, 0, 60, 60], 50.0**2)],
    }  # fmt: skip
    far = np.array([500.0, 500.0, 0.0])
    small, medium = (far + keypoints * [extent / 60, extent / 60, 1] for extent in (20, 60))
    found = result(1, keypoints, 0.5)
    assert evaluate_oks(annotations, [found, result(1, small, 0.9)])["AP_M"] == pytest.approx(1)
    assert evaluate_oks(annotations, [found, result(1, medium, 0.9)])["AP_M"] == pytest.approx(0.5)
    boxed = [r | {"bbox": [0.0, 0.0, 10.0, 10.0]} for r in (found, result(1, medium, 0.9))]
    assert evaluate_oks(annotations, boxed)["AP_M"] == pytest.approx(1)


def test_no_predictions_find_nobody():
    annotations = made_set(np.random.default_rng(0))
    assert evaluate_oks(annotations, []) == dict.fromkeys(KEYS, 0.0)


def test_what_is_not_annotated_is_undefined():
    annotations = made_set(np.random.default_rng(0))
    annotations["annotations"] = [a for a in annotations["annotations"] if a["area"] > 96**2]
    values = evaluate_oks(annotations, noisy(annotations, 0.05, np.random.default_rng(1)))
    assert values["AP_M"] == values["AR_M"] == -1
    assert values["AP_L"] > 0
    annotations["annotations"] = []
    assert evaluate_oks(annotations, []) == dict.fromkeys(KEYS, -1.0)
    measures = bootstrapped(match(annotations, []).metrics, 12, 10, np.random.default_rng(0))
    assert all(measure == (-1, -1, -1) for measure in measures.values())


@pytest.mark.parametrize("said", [0, None, 17.0, "17"])
def test_joints_are_counted_whatever_the_file_says(said):
    annotations = made_set(np.random.default_rng(0))
    results = noisy(annotations, 0.05, np.random.default_rng(1))
    whole = evaluate_oks(annotations, results)
    for a in annotations["annotations"][::3]:
        a["num_keypoints"] = said if any(a["keypoints"]) else 0
    assert evaluate_oks(annotations, results) == whole


def test_an_annotation_with_id_0_counts():
    annotations = made_set(np.random.default_rng(0))
    results = noisy(annotations, 0.0, np.random.default_rng(1))
    for a in annotations["annotations"]:
        a["id"] -= 1
    assert reference(annotations, results)["AP"] < 1  # COCOeval takes the id 0 for "not matched"
    assert evaluate_oks(annotations, results)["AP"] == 1.0


def test_other_skeletons_need_their_sigmas():
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.uniform(0, 100, (14, 2)), np.full((14, 1), 2)], 1)
    annotations = {
        "images": [{"id": 7}], "categories": [PERSON | {"keypoints": list(LSP14.joints)}],
        "annotations": [person(1, 7, points, [0, 0, 100, 100], 6000)],
    }  # fmt: skip
    results = noisy(annotations, 0.05, rng)
    sigmas = rng.uniform(0.02, 0.1, 14)
    assert evaluate_oks(annotations, results, sigmas) == reference(annotations, results, sigmas)
    with pytest.raises(InputError, match=r"joint .* has no OKS sigma; give the sigmas .*pck"):
        evaluate_oks(annotations, results)


def test_matches_counted_by_image_are_those_of_cocoeval():
    rng = np.random.default_rng(3)
    annotations = made_set(rng, images=40)
    results = noisy(annotations, 0.05, rng, extra=30)
    matches = match(annotations, results)
    ones = matches.metrics(np.ones((1, matches.images), np.int64))
    assert {key: value[0] for key, value in ones.items()} == pytest.approx(evaluate_oks(annotations, results), abs=1e-12)


def test_a_resample_is_a_data_set_with_images_repeated(monkeypatch):
    rng = np.random.default_rng(4)
    annotations = made_set(rng, images=15)
    results = noisy(annotations, 0.05, rng, extra=12)
    matches = match(annotations, results)
    weights = sample_weights(15, 6, rng)
    ours = matches.metrics(weights)
    monkeypatch.setattr("semipose.evaluation.metrics.average_precision.CHUNK", 1)
    in_pieces = matches.metrics(weights)
    assert all(np.array_equal(ours[key], in_pieces[key]) for key in KEYS)
    for b, row in enumerate(weights):
        repeated = {"images": [], "categories": [PERSON], "annotations": []}
        again = []
        for image_id, copy_number in ((i, c) for i in range(15) for c in range(row[i])):
            new = 1000 * copy_number + image_id + 1
            repeated["images"].append({"id": new})
            of_image = [a for a in annotations["annotations"] if a["image_id"] == image_id + 1]
            for a in of_image:
                repeated["annotations"].append(a | {"image_id": new, "id": len(repeated["annotations"]) + 1})
            again += [r | {"image_id": new} for r in results if r["image_id"] == image_id + 1]
        assert {key: ours[key][b] for key in KEYS} == pytest.approx(reference(repeated, again), abs=1e-9)


def without(record, field):
    return {key: value for key, value in record.items() if key != field}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda r: [r[0], without(r[1], "score")], ["[1]: score: is missing"]),
        (lambda r: [r[0] | {"score": float("nan")}], ["[0]: score: should be a finite number, not nan"]),
        (lambda r: [r[0] | {"score": 10**400}], ["[0]: score: should be a"]),
        (lambda r: [r[0] | {"keypoints": r[0]["keypoints"][:50]}], ["keypoints: has 50 numbers", "51", "17 joints"]),
        (lambda r: [r[0] | {"keypoints": "no"}], ["[0]: keypoints: should be a valid array, not 'no'"]),
        (lambda r: [r[0] | {"keypoints": [*r[0]["keypoints"][:50], float("inf")]}], ["[0]: keypoints[50]: should be a finite"]),
        (lambda r: [r[0] | {"keypoints": [*r[0]["keypoints"][:50], "a"]}], ["keypoints[50]: should be a valid number, not 'a'"]),
        (lambda r: [r[0] | {"image_id": 999}], ["[0]: image_id: 999 is not an image of"]),
        (lambda r: [r[0] | {"image_id": "a"}], ["[0]: image_id: should be a valid integer, not 'a'"]),
        (lambda r: [r[0] | {"category_id": 2}], ["[0]: category_id: 2, must be 1"]),
        (lambda r: [r[0] | {"bbox": [0, 0, 1, 1]}, r[1]], ["[1]: bbox: is missing, but [0] has one"]),
        (lambda r: {"annotations": r}, ["should be a valid array"]),
        (lambda r: [r[0], 5], ["[1]: should be an object, not 5"]),
    ],
)  # fmt: skip
def test_bad_results_are_named(change, words, tmp_path):
    rng = np.random.default_rng(0)
    annotations = made_set(rng)
    file = tmp_path / "DT.json"
    file.write_text(json.dumps(change(noisy(annotations, 0.05, rng))))
    with pytest.raises(InputError) as error:
        evaluate_oks(annotations, file)
    assert all(word in str(error.value) for word in ["DT.json", *words])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: without(d, "images"), ["images: is missing"]),
        (lambda d: [], ["should be an object"]),
        (lambda d: d | {"categories": []}, ["0 categories with `keypoints`"]),
        (lambda d: d | {"categories": [PERSON, PERSON | {"id": 2}]}, ["2 categories with `keypoints`"]),
        (lambda d: d | {"images": [*d["images"], d["images"][0] | {"width": 7}]}, ["images[12]: id: 1 occurs twice"]),
        (lambda d: d | {"annotations": [d["annotations"][0], d["annotations"][0] | {"area": 7}]}, ["annotations[1]: id: 1 occurs twice"]),
        (lambda d: d | {"annotations": [d["annotations"][0] | {"area": -1}]}, ["annotations[0]: area: -1"]),
        (lambda d: d | {"annotations": [without(d["annotations"][0], "bbox")]}, ["annotations[0]: bbox: is missing"]),
        (lambda d: d | {"annotations": [d["annotations"][0] | {"image_id": 99}]}, ["annotations[0]: image_id: 99"]),
        (lambda d: d | {"annotations": [d["annotations"][0] | {"keypoints": [1, 2]}]}, ["keypoints: has 2 numbers"]),
    ],
)  # fmt: skip
def test_bad_annotations_are_named(change, words, tmp_path):
    file = tmp_path / "GT.json"
    file.write_text(json.dumps(change(made_set(np.random.default_rng(0)))))
    with pytest.raises(InputError) as error:
        evaluate_oks(file, [])
    assert all(word in str(error.value) for word in ["GT.json", *words])


@pytest.mark.parametrize("content", [None, b"{", b"\xff\xfe\x00", b""])
def test_files_that_are_no_json_are_named(content, tmp_path):
    file = tmp_path / "GT.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InputError, match=r"GT\.json"):
        evaluate_oks(file, [])


def test_annotations_may_hold_other_categories_and_leave_out_what_can_be_counted():
    rng = np.random.default_rng(0)
    annotations = made_set(rng)
    results = noisy(annotations, 0.05, rng)
    expected = evaluate_oks(annotations, results)
    sparse = [without(a if a["iscrowd"] else without(a, "iscrowd"), "num_keypoints") for a in annotations["annotations"]]
    dog = {"id": 500, "image_id": 1, "category_id": 18}
    mixed = annotations | {"categories": [{"id": 18, "name": "dog"}, PERSON], "annotations": [dog, *sparse]}
    assert evaluate_oks(mixed, results) == pytest.approx(expected)


# PCK


def test_pck_is_the_naive_loop():
    rng = np.random.default_rng(0)
    n, k = 25, 14
    truth = rng.uniform(0, 100, (n, k, 2))
    visibility = rng.choice([0, 1, 2], (n, k))
    points = truth + rng.normal(0, 8, (n, k, 2))
    sizes = torso_sizes(truth, visibility, LSP14.joints, LSP14.torso)
    hits = pck(points, truth, visibility, sizes, LSP14.joints, 0.2, "torso")
    left, right = LSP14.joints.index("left_shoulder"), LSP14.joints.index("right_hip")
    found, total, left_out = np.zeros(k), np.zeros(k), 0
    for i in range(n):
        if not (visibility[i, left] and visibility[i, right]):
            left_out += 1
            continue
        size = math.dist(truth[i, left], truth[i, right])
        for j in range(k):
            if visibility[i, j]:
                total[j] += 1
                found[j] += math.dist(points[i, j], truth[i, j]) <= 0.2 * size
    values = hits.values()
    assert 0 < left_out == hits.left_out < n
    assert values.pop("PCK@0.2 torso") == pytest.approx(found.sum() / total.sum())
    assert values == pytest.approx({f"joint/{name}": found[j] / total[j] for j, name in enumerate(LSP14.joints)})
    own = hits.per_person()
    assert np.isnan(own).sum() == left_out
    assert np.nanmax(own) <= 1
    assert np.nansum(own * hits.counted.sum(1)) == pytest.approx(found.sum())


def test_pck_of_the_box_is_of_its_longer_side_and_the_limit_counts():
    sizes = box_sizes(np.array([[5, 5, 40, 100], [0, 0, 50, 20], [0, 0, 0, 0]], np.float32))
    assert sizes[:2].tolist() == [100, 50]
    assert np.isnan(sizes[2])
    truth = np.zeros((3, 1, 2))
    points = np.array([[[0, 10.0]], [[0, 10.0]], [[0, 0.0]]])
    hits = pck(points, truth, np.ones((3, 1), int), sizes, ("nose",), 0.1, "box")
    assert hits.hit[:, 0].tolist() == [True, False, False]
    assert hits.left_out == 1
    assert hits.values() == {"PCK@0.1 box": 0.5, "joint/nose": 0.5}


def test_a_torso_of_no_length_or_unknown_joints():
    truth = np.ones((1, 17, 2))
    assert np.isnan(torso_sizes(truth, np.full((1, 17), 2), COCO17.joints, COCO17.torso)).all()
    with pytest.raises(InputError, match=r"'left_shoulder'.*not among the joints a, b"):
        torso_sizes(truth[:, :2], np.ones((1, 2), int), ("a", "b"), COCO17.torso)


def test_results_are_given_to_people_whatever_their_order():
    rng = np.random.default_rng(2)
    annotations = made_set(rng, images=20)
    people = [a for a in annotations["annotations"] if a["num_keypoints"]]
    results = noisy(annotations, 0.03, rng)
    truth, found = (np.array([a["keypoints"] for a in part]).reshape(-1, 17, 3) for part in (people, results))
    sizes = torso_sizes(truth[..., :2], truth[..., 2].astype(int), COCO17.joints, COCO17.torso)
    known = pck(found[..., :2], truth[..., :2], truth[..., 2].astype(int), sizes, COCO17.joints, 0.2, "torso")
    order = rng.permutation(len(results))
    shuffled = replace(evaluate_pck(annotations, [results[i] for i in order]), more=())
    assert shuffled.values() == known.values()
    assert 0.5 < known.values()["PCK@0.2 torso"] < 1
    assert shuffled.left_out == known.left_out

    missing = evaluate_pck(annotations, results[1:])
    assert np.array_equal(missing.counted, known.counted)
    assert not missing.hit[0].any()
    assert np.array_equal(missing.hit[1:], known.hit[1:])
    assert evaluate_pck(annotations, []).values()["PCK@0.2 torso"] == 0


def test_the_area_is_that_under_the_curve():
    rng = np.random.default_rng(3)
    truth = rng.uniform(0, 100, (30, 5, 2))
    points = truth + rng.normal(0, 4, truth.shape)
    points[3, 2] = np.nan  # not predicted
    visibility = rng.integers(0, 3, (30, 5))
    sizes = np.where(rng.random(30) < 0.1, np.nan, rng.uniform(20, 60, 30))
    steps = (np.arange(2000) + 0.5) / 2000 * 0.2
    curve = [pck(points, truth, visibility, sizes, tuple("abcde"), step, "torso").values()[f"PCK@{step:g} torso"] for step in steps]
    area = pck_area(points, truth, visibility, sizes, 0.2, "torso")
    assert area.values() == {"PCK area torso": pytest.approx(np.mean(curve), abs=1e-4)}
    assert area.left_out == np.isnan(sizes).sum()


# Bootstrap


def made_hits(rng, people, joints=5, share=0.7):
    """Joints of one person stand and fall together in part, so that people, not joints, are the unit."""
    ease = rng.beta(2 * share, 2 * (1 - share), (people, 1))
    hit = rng.random((people, joints)) < ease
    return Hits(hit, np.ones_like(hit), tuple("abcde"[:joints]), "PCK@0.2 torso")


def test_weights_count_the_draws():
    weights = sample_weights(30, 4000, np.random.default_rng(0))
    assert weights.shape == (4000, 30)
    assert (weights.sum(1) == 30).all()
    assert weights.mean() == 1
    assert weights.var() == pytest.approx(29 / 30, rel=0.03)
    assert np.array_equal(weights, sample_weights(30, 4000, np.random.default_rng(0)))


def test_weights_are_repetitions():
    hits = made_hits(np.random.default_rng(0), 20)
    weights = sample_weights(20, 5, np.random.default_rng(1))
    found = hits.metrics(weights)
    for b, row in enumerate(weights):
        again = np.repeat(hits.hit, row, axis=0)
        assert found["PCK@0.2 torso"][b] == pytest.approx(again.mean())
        assert found["joint/c"][b] == pytest.approx(again[:, 2].mean())


def bootstrapped(statistic, units, resamples, generator, level=0.95):
    return intervals(statistic, units, resampled(statistic, units, resamples, generator), level)


def resampled_by(statistic, units, resamples, name):
    return resampled(statistic, units, resamples, np.random.default_rng(1))[name]


def test_intervals_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(0)
    held = [
        measure.low <= 0.7 <= measure.high
        for measure in (
            bootstrapped(made_hits(rng, 80).metrics, 80, 400, rng)["PCK@0.2 torso"] for _ in range(200)
        )
    ]  # fmt: skip
    assert 0.90 <= np.mean(held) <= 0.98  # 0.95 by construction; its own standard error is 0.013


def test_an_interval_is_as_wide_as_the_spread_of_people_says():
    hits = made_hits(np.random.default_rng(5), 400)
    measure = bootstrapped(hits.metrics, 400, 4000, np.random.default_rng(0))["PCK@0.2 torso"]
    error = hits.hit.mean(1).std(ddof=1) / math.sqrt(400)
    assert measure.value == hits.hit.mean()
    assert measure.high - measure.low == pytest.approx(2 * 1.96 * error, rel=0.05)
    narrow = bootstrapped(hits.metrics, 400, 4000, np.random.default_rng(0), level=0.5)["PCK@0.2 torso"]
    assert narrow.high - narrow.low == pytest.approx(2 * 0.674 * error, rel=0.08)


def test_a_paired_difference_knows_that_the_people_are_the_same():
    rng = np.random.default_rng(0)
    first = made_hits(rng, 300)
    better = Hits(first.hit | (rng.random(first.hit.shape) < 0.1), first.counted, first.joints, first.pooled)
    gained = (better.hit ^ first.hit).mean(1)
    resamples = [resampled_by(hits.metrics, 300, 2000, "PCK@0.2 torso") for hits in (first, better)]
    difference = interval(gained.mean(), resamples[1] - resamples[0])
    assert difference.low < difference.value < difference.high
    width = 2 * 1.96 * gained.std(ddof=1) / math.sqrt(300)
    assert difference.high - difference.low == pytest.approx(width, rel=0.06)
    alone = bootstrapped(first.metrics, 300, 2000, np.random.default_rng(1))["PCK@0.2 torso"]
    assert difference.high - difference.low < 0.5 * (alone.high - alone.low)
    assert np.array_equal(resamples[0], resampled_by(first.metrics, 300, 2000, "PCK@0.2 torso"))


def test_undefined_values_are_minus_one():
    hits = made_hits(np.random.default_rng(0), 10)
    counted = hits.counted.copy()
    counted[:, 0] = False
    partly = Hits(hits.hit & counted, counted, hits.joints, hits.pooled, 0)
    assert bootstrapped(partly.metrics, 10, 20, np.random.default_rng(0))["joint/a"] == (-1, -1, -1)
    nobody = Hits(hits.hit[:0], hits.counted[:0], hits.joints, hits.pooled)
    assert bootstrapped(nobody.metrics, 0, 20, np.random.default_rng(0))["PCK@0.2 torso"] == (-1, -1, -1)


def test_the_interval_of_ap_is_quick_and_holds_the_value():
    rng = np.random.default_rng(0)
    annotations = made_set(rng, images=60)
    matches = match(annotations, noisy(annotations, 0.05, rng))
    worse = match(annotations, noisy(annotations, 0.07, rng))
    measures = bootstrapped(matches.metrics, matches.images, 200, np.random.default_rng(1))
    assert tuple(measures) == KEYS
    assert 0 < measures["AP"].low < measures["AP"].value < measures["AP"].high < 1
    assert matches.image_ids == worse.image_ids
    resamples = [resampled_by(found.metrics, found.images, 200, "AP") for found in (matches, worse)]
    assert interval(-0.1, resamples[1] - resamples[0]).high < 0
