"""PCK: the share of visible joints whose error is at most a fraction of the person's size.

Source: Yang and Ramanan, Articulated Human Detection with
Flexible Mixtures of Parts, TPAMI 2013 (box).
The torso reference is that of the Leeds Sports Pose literature:
the distance from left shoulder to right hip.
"""

from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from semipose.data.annotations import Annotations, read_annotations
from semipose.evaluation.joints import torso_of
from semipose.evaluation.results import read_predictions
from semipose.utils.errors import InputError

PCK_THRESHOLDS = (0.05, 0.1, 0.2)
"""Shares of the reference length at which PCK is reported;
the area under the curve ends at the last.
"""


@dataclass(frozen=True)
class Hits:
    """Which joints were found; pooled values weigh every visible joint
    equally, so people with more of them count more.
    """

    hit: NDArray[Any]  # [N, K]: found or not (bool), or a part (0-1); 0 if counted is False
    counted: NDArray[np.bool_]  # [N, K]: visible, and the person's size is known
    joints: tuple[str, ...]  # K names
    pooled: str | None  # name of the share over all visible joints; None: not reported
    left_out: int = 0  # number of people without a size; none of their joints counts
    more: "tuple[Hits, ...]" = ()  # other tables of the same people; their metrics come first

    def metrics(self, weights: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        """Shares 0-1 in each of B resamples (weights [B, N]): the pooled one and `joint/<name>`;
        NaN if no joint counts.
        """
        weighted = weights.astype(np.float64)
        found, total = weighted @ self.hit, weighted @ self.counted  # [B, K]
        shares = {name: share for hits in self.more for name, share in hits.metrics(weights).items()}
        shares |= {} if self.pooled is None else {self.pooled: _share(found.sum(1), total.sum(1))}
        return shares | {f"joint/{name}": _share(found[:, j], total[:, j]) for j, name in enumerate(self.joints)}

    def values(self) -> dict[str, float]:
        """The metrics themselves, 0-1, -1 if no joint counts."""
        values = self.metrics(np.ones((1, len(self.hit)), np.int64))
        return {name: -1.0 if np.isnan(value[0]) else float(value[0]) for name, value in values.items()}

    def per_person(self) -> NDArray[np.float64]:
        """The share of found joints among each person's counted joints, [N], NaN if none counts."""
        return _share(self.hit.sum(1), self.counted.sum(1))


def torso_sizes(
    truth: NDArray[np.floating], visibility: NDArray[np.integer], joints: tuple[str, ...], torso: tuple[str, str]
) -> NDArray[np.float64]:
    """Compute the distance between the two torso joints of each person.

    Args:
        truth: Annotated joints, [N, K, 2] px.
        visibility: [N, K]; 0: not annotated.
        joints: K names.
        torso: Names of the two joints.

    Returns:
        [N] px; NaN if either joint is not visible, or if both are at the same place.

    Raises:
        InputError: A torso joint is not among the joints.
    """
    for name in torso:
        if name not in joints:
            raise InputError(f"joint {name!r}, an end of the torso, is not among the joints {', '.join(joints)}; give two of them")
    a, b = (joints.index(name) for name in torso)
    sizes = np.linalg.norm(truth[:, a].astype(np.float64) - truth[:, b], axis=1)
    known = (visibility[:, a] > 0) & (visibility[:, b] > 0) & (sizes > 0)
    return np.where(known, sizes, np.nan)


def box_sizes(boxes: NDArray[np.floating]) -> NDArray[np.float64]:
    """The longer side [N] in px of boxes [N, 4] xywh; NaN for an empty box."""
    sizes = boxes[:, 2:].max(axis=1).astype(np.float64)
    return np.where(sizes > 0, sizes, np.nan)


def pck(
    points: NDArray[np.floating],
    truth: NDArray[np.floating],
    visibility: NDArray[np.integer],
    sizes: NDArray[np.floating],
    joints: tuple[str, ...],
    threshold: float,
    reference: str,
) -> Hits:
    """Compute PCK: a joint is found if its error is at most threshold * size.

    The pooled value has the name of its reference, as in "PCK@0.2 torso".

    Args:
        points: Predicted joints, [N, K, 2] px; a point that is NaN was not predicted, and counts as
            missed.
        truth: Annotated joints, [N, K, 2] px.
        visibility: [N, K]; joints with 0 do not count.
        sizes: [N] px, of `torso_sizes` or `box_sizes`; people with NaN are left out and counted in
            `left_out`.
        joints: Names of the joints to report, K; none: only the pooled value is reported.
        threshold: Share of the size.
        reference: Name of the sizes: "torso", "box" or "head".
    """
    errors = np.linalg.norm(points.astype(np.float64) - truth, axis=2)
    counted = (visibility > 0) & np.isfinite(sizes)[:, None]
    hit = counted & (errors <= threshold * sizes[:, None])
    return Hits(hit, counted, tuple(joints), f"PCK@{threshold:g} {reference}", int((~np.isfinite(sizes)).sum()))


def pck_area(
    points: NDArray[np.floating],
    truth: NDArray[np.floating],
    visibility: NDArray[np.integer],
    sizes: NDArray[np.floating],
    limit: float,
    reference: str,
) -> Hits:
    """Compute the area under the curve of PCK, as a share of the largest possible one.

    The thresholds go from 0 to `limit`; the other arguments are those of `pck`.
    A joint with error e contributes max(0, 1 - e / (limit * size)): the part of the thresholds at
    which it is found.
    """
    errors = np.linalg.norm(points.astype(np.float64) - truth, axis=2)
    counted = (visibility > 0) & np.isfinite(sizes)[:, None]
    part = np.clip(1 - errors / (limit * sizes[:, None]), 0, 1)
    return Hits(np.where(counted & np.isfinite(errors), part, 0.0), counted, (), f"PCK area {reference}", int((~np.isfinite(sizes)).sum()))


def pck_tables(
    points: NDArray[np.floating],
    truth: NDArray[np.floating],
    visibility: NDArray[np.integer],
    sizes: NDArray[np.floating],
    reference: str,
) -> tuple[Hits, ...]:
    """PCK of all joints together at each of PCK_THRESHOLDS, and the
    area under its curve; arguments as for `pck`.
    """
    at = [pck(points, truth, visibility, sizes, (), threshold, reference) for threshold in PCK_THRESHOLDS]
    return *at, pck_area(points, truth, visibility, sizes, PCK_THRESHOLDS[-1], reference)


def evaluate_pck(
    annotations: Path | dict[str, Any] | Annotations,
    predictions: Path | list[dict[str, Any]],
    torso: tuple[str, str] | None = None,
    reference: Literal["torso", "box"] = "torso",
) -> Hits:
    """PCK@0.2 of keypoint results, and `pck_tables`.

    Results do not say whose they are.
    Within an image, every annotated person gets at most one result and every result at most one
    person, such that the sum of the mean joint errors is least.
    A person without a result has only missed joints; results that are left over cost nothing.
    Crowds and people without annotated joints are left out; scores are not used.

    Args:
        annotations: In COCO's format, a file or its content.
        predictions: Results in COCO's format, a file or its content.
        torso: Two joints whose distance is the unit; None: found by the joints' names
            (`joints.torso_of`).
        reference: "box" uses the longer side of the annotated box instead.

    Raises:
        InputError: Names the file, the index and the field; or the
            ends of the torso are not among the joints.
    """
    known = read_annotations(annotations)
    people, truth, visible, points = assigned(known, predictions)
    if reference == "torso":
        sizes = torso_sizes(truth, visible, known.joints, torso or torso_of(known))
    else:
        sizes = box_sizes(np.array([person["bbox"] for person in people], np.float64).reshape(-1, 4))
    last = pck(points, truth, visible, sizes, known.joints, PCK_THRESHOLDS[-1], reference)
    return replace(last, more=pck_tables(points, truth, visible, sizes, reference))


def assigned(
    known: Annotations, predictions: Path | list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], NDArray[np.float64], NDArray[np.uint8], NDArray[np.float64]]:
    """Assign results to people, as `evaluate_pck` describes.

    Args:
        known: The annotations.
        predictions: Results in COCO's format, a file or its content.

    Returns:
        The N annotations of people with keypoints.
        Their joints [N, K, 2] px, and which of them are annotated [N, K] (0 or 1).
        The joints of each person's result [N, K, 2] px; NaN without a result.

    Raises:
        InputError: Names the file, the index and the field.
    """
    from scipy.optimize import (
        linear_sum_assignment,
    )  # its import takes a second, which evaluation by the pipeline's own boxes does not need

    shape = (-1, len(known.joints), 3)
    people = [person for person in known.dataset["annotations"] if not person["iscrowd"] and person["num_keypoints"] > 0]
    keypoints = np.array([person["keypoints"] for person in people], np.float64).reshape(shape)
    truth, visible = keypoints[..., :2], (keypoints[..., 2] > 0).astype(np.uint8)
    results = read_predictions(predictions, known)
    found = np.array([result["keypoints"] for result in results], np.float64).reshape(shape)[..., :2]
    points = np.full_like(truth, np.nan)
    in_image: dict[int, list[int]] = defaultdict(list)
    for number, result in enumerate(results):
        in_image[result["image_id"]].append(number)
    image_ids = np.array([person["image_id"] for person in people])
    for image_id, candidates in in_image.items():
        there = np.flatnonzero(image_ids == image_id)
        errors = np.linalg.norm(found[candidates][None] - truth[there][:, None], axis=3)  # [people, results, K]
        costs = np.where(visible[there][:, None] > 0, errors, 0).sum(2) / visible[there].sum(1).clip(1)[:, None]
        rows, columns = linear_sum_assignment(costs.clip(max=1e300))  # further away than numbers go
        points[there[rows]] = found[np.array(candidates)[columns]]
    return people, truth, visible, points


def _share(found: NDArray[np.floating], total: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.divide(found, total, out=np.full(len(found), np.nan), where=total > 0)
