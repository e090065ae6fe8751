"""Evaluate a network on the validation people under one
protocol: OKS AP and PCK with 95 % intervals.

One of the two metrics is the headline.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from semipose.data.annotations import annotations_of
from semipose.data.loading.pack import CropPack
from semipose.data.people import People
from semipose.evaluation.metrics.average_precision import evaluate_oks, match
from semipose.evaluation.metrics.nms import oks_nms
from semipose.evaluation.metrics.oks import joint_hits, person_oks
from semipose.evaluation.metrics.pck import Hits, box_sizes, pck, pck_tables, torso_sizes
from semipose.evaluation.metrics.pckh import pckh
from semipose.evaluation.metrics.statistics import Measure, interval, intervals, resampled
from semipose.inference.predict import Predictions, pose_scores, predict_pack, shared_out, to_results
from semipose.utils.memory import enough_memory

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from semipose.augment.task import Task
    from semipose.config.tree import Evaluate

Metrics = dict[str, dict[str, float | None]]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The evaluation of one network.

    Attributes:
        measures: Name -> value, low, high in 0-1 (-1 if undefined).
        resamples: Name -> the metric in each of B resamples, 0-1, NaN if undefined; the resamples are
            the same for every network, so that networks can be compared on them.
        scores: OKS or PCK of each person, [N], 0-1, NaN if none of the joints counts.
        results: COCO keypoint results of the N people, in the pack's order.
    """

    measures: dict[str, Measure]
    resamples: dict[str, NDArray[np.float64]]
    scores: NDArray[np.float64]
    results: list[dict[str, Any]]
    predictions: Predictions

    @property
    def metrics(self) -> Metrics:
        """Name -> value, low, high in 0-100 (None if undefined)."""
        return {name: _percent(measure) for name, measure in self.measures.items()}


def headline(p: "Evaluate") -> str:
    """The name of the metric that tables show."""
    return {"oks": "AP", "pck": f"PCK@{p.pck_threshold:g} {p.pck_reference}", "pckh": "PCKh@0.5"}[p.metric]


def validate(net: nn.Module, task: "Task", pack: CropPack, positions: NDArray[np.int64], batch_size: int) -> dict[str, float]:
    """Compute a validation score for the curves of a training, on some of the validation people.

    The protocol is always that of the released code, so that `evaluate` can change without training
    again.

    Args:
        net: The network, in any mode.
        task: Says the size of its input.
        pack: Pack of the validation people.
        positions: Whom to score, positions in the pack.
        batch_size: People in one pass.

    Returns:
        {"val/AP": 31.2} (0-100), or PCK@0.2 of the torso if the skeleton has no OKS sigmas; empty
        if undefined.
    """
    people = pack.people.subset(positions)
    device = next(net.parameters()).device
    found = predict_pack(net, pack, positions, task.size, False, "quarter", batch_size, device)
    if people.skeleton.sigmas:
        name, values = "AP", evaluate_oks(annotations_of(people), to_results(found, people.image_ids), people.skeleton.sigmas)
    else:
        name, values = "PCK@0.2 torso", _hits(people, found, "pck", 0.2, "torso").values()
    return {} if values[name] < 0 else {f"val/{name}": 100 * values[name]}


def evaluate(
    net: nn.Module,
    task: "Task",
    pack: CropPack,
    annotations: dict[str, Any],
    p: "Evaluate",
    detected: CropPack | None = None,
    fabric: "Fabric | None" = None,
) -> Evaluation:
    """Compute all scores of a network on a validation pack.

    Args:
        net: The network, in any mode.
        task: Says the size of its input and sigma.
        pack: Pack of the validation people.
        annotations: The data set's own, in COCO's format, with crowds and people without keypoints,
            because pycocotools ignores results on those instead of counting them as wrong.
        p: The protocol.
        detected: A pack of a detector's boxes; AP and AR are then of the poses in those, while
            joints and single people are still evaluated in annotated boxes.
        fabric: Its processes share the people, and each gets all scores.
    """
    people = pack.people
    found = _predict(net, task, pack, p, fabric)
    category = annotations["categories"][0]["id"]
    if detected is None:
        results = to_results(found, people.image_ids, category=category)
    else:
        results = [one | {"category_id": category} for one in detected_results(net, task, detected, p, fabric)]
    generator = np.random.default_rng(0)
    resamples: dict[str, NDArray[np.float64]] = {}
    measures: dict[str, Measure] = {}
    if p.metric == "oks" or people.skeleton.sigmas:
        matches = match(annotations, results, people.skeleton.sigmas)
        resamples = resampled(matches.metrics, matches.images, p.bootstrap, generator)
        measures = intervals(matches.metrics, matches.images, resamples)
    if p.metric == "oks":
        hits = joint_hits(found.points, people.points, people.visibility, people.areas, people.skeleton)
        scores = person_oks(found.points, people.points, people.visibility, people.areas, people.skeleton.sigmas)
    else:
        hits = _hits(people, found, p.metric, p.pck_threshold, p.pck_reference)
        scores = hits.per_person()
    reference = p.pck_reference if people.skeleton.torso[0] else "box"
    hits = replace(hits, more=pck_tables(found.points, people.points, people.visibility, _sizes(people, reference), reference))
    of_hits = resampled(hits.metrics, len(people), p.bootstrap, generator)
    measures |= intervals(hits.metrics, len(people), of_hits)
    return Evaluation(measures, resamples | of_hits, scores, results, found)


def detected_results(
    net: nn.Module, task: "Task", detected: CropPack, p: "Evaluate", fabric: "Fabric | None" = None
) -> list[dict[str, Any]]:
    """Predict the poses in a detector's boxes, with the box score times the pose score.

    Only poses that OKS non-maximum suppression leaves are in the results (methods.md 1.5); its area
    is that of the padded box.

    Args:
        net: The network, in any mode.
        task: Says the size of its input and sigma.
        detected: Pack of the detector's boxes.
        p: The protocol.
        fabric: Its processes share the people, and each gets all results.

    Returns:
        COCO keypoint results.
    """
    people = detected.people
    width = detected.padding * np.maximum(people.boxes[:, 2], people.boxes[:, 3] * detected.aspect)
    return suppressed(_predict(net, task, detected, p, fabric), people, width**2 / detected.aspect, p.nms_oks)


def suppressed(found: Predictions, people: People, areas: NDArray[np.floating], threshold: float) -> list[dict[str, Any]]:
    """Make COCO keypoint results of poses found in boxes, after OKS non-maximum suppression.

    Args:
        found: N poses.
        people: Their boxes, with `scores`.
        areas: Of the poses, for OKS, [N] px^2.
        threshold: As `oks_nms` takes it.
    """
    scores = pose_scores(found.confidence, people.scores)
    kept = np.sort(oks_nms(found.points, scores, areas, people.image_ids, people.skeleton.sigmas, threshold))
    chosen = Predictions(found.points[kept], found.confidence[kept])
    return to_results(chosen, people.image_ids[kept], None if people.scores is None else people.scores[kept])


def mean(found: Sequence[Evaluation]) -> Evaluation:
    """The mean of each metric over several networks, in each
    resample too; the poses are those of the first.
    """
    first = found[0]
    resamples = {name: np.mean([one.resamples[name] for one in found], axis=0) for name in first.resamples}
    measures = {}
    for name, measure in first.measures.items():
        undefined = measure.value < 0
        value = float(np.mean([one.measures[name].value for one in found]))
        measures[name] = measure if undefined else Measure(*interval(value, resamples[name]))
    return replace(first, measures=measures, resamples=resamples)


def _predict(net: nn.Module, task: "Task", pack: CropPack, p: "Evaluate", fabric: "Fabric | None") -> Predictions:
    """Poses of everybody in the pack."""
    device, size = next(net.parameters()).device, task.size

    def share(positions: NDArray[np.int64]) -> Predictions:
        with enough_memory(f"lower evaluate.batch_size from {p.batch_size}"):
            return predict_pack(net, pack, positions, size, p.flip_test, p.decode, p.batch_size, device, task.sigma)

    everybody = np.arange(len(pack))
    return share(everybody) if fabric is None else shared_out(share, everybody, fabric)


def _hits(people: People, found: Predictions, metric: str, threshold: float, reference: str) -> Hits:
    skeleton = people.skeleton
    if metric == "pckh":
        return pckh(found.points, people.points, people.visibility, people.head_sizes, skeleton.joints)
    return pck(found.points, people.points, people.visibility, _sizes(people, reference), skeleton.joints, threshold, reference)


def _sizes(people: People, reference: str) -> NDArray[np.float64]:
    if reference == "torso":
        return torso_sizes(people.points, people.visibility, people.skeleton.joints, people.skeleton.torso)
    return box_sizes(people.boxes)


def _percent(measure: Measure) -> dict[str, float | None]:
    return {key: None if measure.value < 0 else 100 * value for key, value in measure._asdict().items()}
