"""Evaluation, probe and gallery: known predictions give known figures, and measuring a method does not change it."""

import csv
import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from semipose.augment.pseudo import MaskedLabels
from semipose.augment.task import Task
from semipose.augment.views import sample_weak
from semipose.config.tree import Params
from semipose.data.annotations import annotations_of
from semipose.data.ground_truth import ground_truth
from semipose.data.loading.batches import Batches
from semipose.data.loading.pack import CropPack
from semipose.data.packing.writing import Recipe, write_pack
from semipose.data.sources import read_people
from semipose.evaluation.evaluate import evaluate, headline, mean, validate
from semipose.evaluation.metrics.average_precision import evaluate_oks
from semipose.evaluation.metrics.pck import pck, torso_sizes
from semipose.evaluation.metrics.statistics import rank_correlation
from semipose.inference.predict import Predictions, to_results
from semipose.methods import AKM, build
from semipose.models.network import build as build_network
from semipose.pose.geometry import from_box, transform
from semipose.training.gallery import masks_of_clear_and_hard, training_views
from semipose.training.probe import probe
from semipose.utils.seeding import generator_of


def test_the_coco_road_from_json_to_figures(real_data: Path, demo: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Real images: JSON -> people -> pack -> results; the truth itself scores AP 1, and so does a network that knows it."""
    root = real_data / "coco-mini"
    people = read_people("coco", root, "val")
    write_pack(people, root, tmp_path / "val", Recipe(64, 1.25, 1.5, 1.0), max_broken=0, processes=1)
    pack = CropPack.open(tmp_path / "val")
    truth = ground_truth("coco", root, people)
    assert any(one["iscrowd"] for one in truth["annotations"])
    assert not any("segmentation" in one for one in truth["annotations"])
    results = to_results(Predictions(people.points, (people.visibility > 0).astype(np.float32)), people.image_ids)
    assert evaluate_oks(truth, results)["AP"] == pytest.approx(1.0)

    found = Predictions(people.points, np.ones(people.visibility.shape, np.float32))
    monkeypatch.setattr("semipose.evaluation.evaluate.predict_pack", lambda *a, **k: found)
    task = Task(people.skeleton, 64, 64, torch.device("cpu"), 1.0, demo.augment)
    done = evaluate(nn.Conv2d(1, 1, 1), task, pack, truth, demo.evaluate)
    assert done.metrics["AP"]["value"] == pytest.approx(100)
    assert done.scores == pytest.approx(np.ones(len(people)))
    assert done.metrics["joint/left_knee"]["value"] == pytest.approx(100)
    # Against official annotations and against the people table alone: the same people, so nearly the same figure.
    assert evaluate_oks(annotations_of(people), results)["AP"] == pytest.approx(1.0)


def test_annotations_of_a_table_are_cocos(pack: CropPack) -> None:
    made = annotations_of(pack.people)
    assert json.loads(json.dumps(made)) == made
    one = made["annotations"][7]
    points = np.array(one["keypoints"]).reshape(17, 3)
    seen = pack.people.visibility[7] > 0
    assert points[seen, :2] == pytest.approx(pack.people.points[7][seen])
    assert not points[~seen].any()
    assert one["num_keypoints"] == seen.sum()


def test_validation_names_its_figure(pack: CropPack, task: Task, tiny: Params) -> None:
    net = build_network(tiny.model, 17, 0)
    assert set(validate(net, task, pack, np.arange(10), 4)) == {"val/AP"}
    assert headline(demo_pck(tiny)) == "PCK@0.2 torso"


def test_an_undefined_figure_is_no_number(pack: CropPack, task: Task, tiny: Params) -> None:
    """Of people none of whom has an annotated torso: no point of the curve, None in the record, NaN in every resample."""
    net = build_network(tiny.model, 17, 0)
    people = replace(pack.people, visibility=pack.people.visibility.copy(), skeleton=replace(task.skeleton, sigmas=()))
    people.visibility[:, [task.skeleton.joints.index(name) for name in task.skeleton.torso]] = 0
    without = replace(pack, people=people)
    assert validate(net, task, without, np.arange(10), 4) == {}
    p = demo_pck(tiny).model_copy(update={"bootstrap": 5})
    found = evaluate(net.eval(), task, without, annotations_of(people), p)
    assert found.metrics[headline(p)] == {"value": None, "low": None, "high": None}
    assert np.isnan(found.resamples[headline(p)]).all()
    assert np.isnan(found.scores).all()
    assert mean([found, found]).metrics[headline(p)]["value"] is None


def test_results_carry_the_sets_category(pack: CropPack, task: Task, tiny: Params) -> None:
    truth = annotations_of(pack.people)
    truth["categories"][0]["id"] = 9
    truth["annotations"] = [one | {"category_id": 9} for one in truth["annotations"]]
    net = build_network(tiny.model, 17, 0).eval()
    found = evaluate(net, task, pack, truth, tiny.evaluate.model_copy(update={"bootstrap": 5}))
    assert {one["category_id"] for one in found.results} == {9}


@pytest.mark.parametrize("metric", ["oks", "pck"])
def test_one_evaluation_has_oks_and_pck(pack: CropPack, task: Task, tiny: Params, metric: str) -> None:
    net = build_network(tiny.model, 17, 0).eval()
    p = tiny.evaluate.model_copy(update={"metric": metric, "bootstrap": 20})
    found = evaluate(net, task, pack, annotations_of(pack.people), p)
    assert {"AP", "AR", "PCK@0.05 torso", "PCK@0.1 torso", "PCK@0.2 torso", "PCK area torso", "joint/nose"} <= set(found.measures)
    assert set(found.resamples) == set(found.measures)
    hits = pck(
        found.predictions.points, pack.people.points, pack.people.visibility,
        torso_sizes(pack.people.points, pack.people.visibility, task.skeleton.joints, task.skeleton.torso),
        task.skeleton.joints, 0.1, "torso",
    )  # fmt: skip
    assert found.measures["PCK@0.1 torso"].value == pytest.approx(hits.values()["PCK@0.1 torso"])
    bare = replace(pack.people, skeleton=replace(task.skeleton, torso=("", "")))
    names = set(evaluate(net, task, replace(pack, people=bare), annotations_of(bare), p.model_copy(update={"metric": "oks"})).measures)
    assert {"PCK@0.2 box", "PCK area box"} <= names


def demo_pck(params: Params):
    return params.evaluate.model_copy(update={"metric": "pck"})


class Knowing(nn.Module):
    """A teacher that says, on weak views of the probe, where the keypoints truly are, moved by `shift` px to the right."""

    def __init__(self, task: Task, pack: CropPack, shift: Tensor) -> None:
        super().__init__()
        self.task, self.pack, self.shift = task, pack, shift
        self.weight = nn.Parameter(torch.zeros(1))
        self.start = 0

    def pseudo_labels(self, weak: Tensor, generator: torch.Generator) -> MaskedLabels:
        count = len(weak)
        people = np.arange(self.start, self.start + count)
        matrices, flipped = self.task.weak(self.pack.read(people, self.task.size), generator_of(0, "probe", self.start))
        points, visible = self.pack.points(people)
        there = transform(matrices, points)
        there = torch.where(flipped[:, None, None], there[:, self.task.skeleton.flip], there)
        there[..., 0] += self.shift[people][:, None]
        self.start += count
        heatmaps, _ = self.task.targets(there, torch.ones_like(visible))
        return MaskedLabels(heatmaps, self.task.sigma, simple=torch.zeros_like(visible), counts=(10 - self.shift[people]).long())


def test_probe_measures_the_teachers_error(pack: CropPack, task: Task) -> None:
    right = probe(Knowing(task, pack, torch.zeros(40)), task, pack, np.arange(40), 8, torch.device("cpu"))  # type: ignore[arg-type]
    assert right is not None
    assert right.pck > 0.85  # points that a view turns out of its frame cannot be said
    shift = torch.arange(40) * 0.2
    wrong = probe(Knowing(task, pack, shift), task, pack, np.arange(40), 8, torch.device("cpu"))  # type: ignore[arg-type]
    assert wrong is not None
    assert wrong.pck < right.pck - 0.2
    assert wrong.row()["pseudo/correlation"] < -0.7, "fewer masks on people with a larger error"
    assert list(wrong.ids) == list(pack.people.ids)


def test_the_teachers_error_is_counted_in_boxes(pack: CropPack, task: Task) -> None:
    """The same error in the view is the same share of every box, be its crop shrunk or not."""
    found = probe(Knowing(task, pack, torch.full((40,), 6.0)), task, pack, np.arange(40), 8, torch.device("cpu"))  # type: ignore[arg-type]
    assert found is not None
    kept, shrunk = (np.median(found.error[start::2]) for start in (0, 1))
    assert (pack.matrices[::2, 0, 0] == 1).all()
    assert kept == pytest.approx(shrunk, rel=0.15)
    assert kept == pytest.approx(6 / (32 / 1.25), rel=0.35)  # views shrink and grow by a quarter


def test_a_weak_view_is_a_draw_on_the_box(pack: CropPack, task: Task) -> None:
    """Through crop and base, or straight from the image: the same place, of everybody."""
    matrices, _ = task.weak(pack.read(np.arange(40), task.size), generator_of(3, "v", 0))
    sampled, _ = sample_weak(40, task.augment.weak, task.centre, generator_of(3, "v", 0))
    straight = transform(from_box(torch.from_numpy(pack.people.boxes), task.size, 1.25), torch.from_numpy(pack.people.points))
    assert (transform(matrices, pack.points(np.arange(40))[0]) - transform(sampled, straight)).abs().max() < 1e-3


def test_measuring_a_method_leaves_it_as_it_was(pack: CropPack, task: Task, tiny: Params) -> None:
    method = build([build_network(tiny.model, 17, 0)], tiny.method["akm"], task)
    before = {name: value.clone() for name, value in method.state_dict().items()}
    probe(method, task, pack, np.arange(40), 8, torch.device("cpu"))
    pictures = training_views(method, task, pack, np.arange(40))
    assert set(pictures) == {"strip", "masks"}
    validate(method.net, task, pack, np.arange(10), 4)
    assert all(torch.equal(value, before[name]) for name, value in method.state_dict().items())
    assert all(module.training for module in method.modules())
    supervised = build([build_network(tiny.model, 17, 0)], tiny.method["supervised"], task)
    assert set(training_views(supervised, task, pack, np.arange(40))) == {"strip"}


def test_the_picture_of_masks_shows_the_surest_and_the_least_sure(
    pack: CropPack, task: Task, tiny: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A teacher that is the surer the redder a person is: the two shown are those with the most and the fewest masks."""
    akm = tiny.method["akm"].model_copy(update={"response": "absolute", "tau": 0.7, "count": "share", "n_min": 1, "n_max": 5})
    method = build([build_network(tiny.model, 17, 0)], akm, task)
    assert isinstance(method, AKM)
    everybody = pack.read(np.arange(40), task.size)
    redness = task.view(*everybody)[:, 0].mean(dim=(1, 2))
    rank = redness.argsort().argsort() / 39

    def pseudo_labels(weak: Tensor, generator: torch.Generator) -> MaskedLabels:
        sure = torch.stack([rank[(redness - one).abs().argmin()] for one in weak[:, 0].mean(dim=(1, 2))])
        peaks = torch.linspace(0.6, 1, 17) * sure[:, None]
        return method.counted(peaks[:, :, None, None].expand(-1, -1, 16, 16), generator)

    said: list[str] = []
    monkeypatch.setattr(method, "pseudo_labels", pseudo_labels)
    monkeypatch.setattr("semipose.training.gallery.sheet", lambda tiles, captions, *_: said.extend(captions))
    masks_of_clear_and_hard(method, task, pack, np.arange(40))
    assert said[1] == "its heatmaps: 13 of 17 keypoints simple"  # 0.6 to 1 in steps of 0.025
    assert said[5] == "its heatmaps: 0 of 17 keypoints simple"
    assert [said[3], said[7]] == ["adaptive: 4 masks", "adaptive: 1 mask"]


def test_rank_correlation_is_spearmans() -> None:
    generator = np.random.default_rng(0)
    a, b = generator.integers(0, 5, 200).astype(float), generator.normal(size=200)
    assert rank_correlation(a, b + a) == pytest.approx(spearmanr(a, b + a).statistic)
    assert np.isnan(rank_correlation(np.ones(5), np.arange(5.0)))
    with warnings.catch_warnings(action="error"):
        assert np.isnan(rank_correlation(np.full(5, np.nan), np.arange(5.0))), "a method without masks"


def test_labelled_views_swap_left_and_right_when_mirrored(pack: CropPack, task: Task) -> None:
    """The target's peak of a joint is where the joint of the other side was, in mirrored views only."""
    from semipose.pose.heatmap import decode

    batch = Batches(pack, (32, 32), np.arange(40), np.arange(40), 32, 0)(0)
    seen = batch.labelled.visible.clone()
    seen[:, [5, 7, 9]] = 0  # the left shoulder, elbow and wrist: hidden, while the right ones are as they were
    batch = batch._replace(labelled=batch.labelled._replace(visible=seen))
    images, targets, weight = task.labelled(batch.labelled, generator_of(1, "v", 0))
    matrices, flipped = task.weak(batch.labelled.crops, generator_of(1, "v", 0))
    for mirrored, hidden, shown in ((False, [5, 7, 9], [6, 8, 10]), (True, [6, 8, 10], [5, 7, 9])):
        assert not weight[flipped == mirrored][:, hidden].any()
        assert weight[flipped == mirrored][:, shown].any()
    assert 5 < int(flipped.sum()) < 27
    points, _ = decode(targets, 4, "dark", task.sigma)
    swap = task.skeleton.flip
    checked = 0
    for b in range(32):
        there = transform(matrices[b : b + 1], batch.labelled.points[b : b + 1])[0]
        for j in range(17):
            k = swap[j] if flipped[b] else j
            assert float(weight[b, j]) <= float(batch.labelled.visible[b, k])
            if weight[b, j] and (there[k] > 8).all() and (there[k] < 23).all():
                assert torch.allclose(points[b, j], there[k], atol=0.6)
                checked += 1
    assert checked > 50
    assert images.shape == (32, 3, 32, 32)


def test_history_and_masks_are_tables(tmp_path: Path, pack: CropPack, task: Task) -> None:
    from pipeline.runtime.outputs import write_masks, write_rows

    write_rows(tmp_path / "history.csv", [{"epoch": 1, "step": 5, "val/AP": 1 / 3}, {"epoch": 2, "step": 10}])
    with (tmp_path / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["val/AP"] == "0.333333"
    assert rows[1]["val/AP"] == ""
    write_masks(tmp_path / "masks.csv", None)
    assert (tmp_path / "masks.csv").read_text() == "id,count,simple,teacher_error\n"
