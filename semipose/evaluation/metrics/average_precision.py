"""The average precision and recall of COCO's keypoint evaluation, which matches results to people by OKS (`oks`).

Sources: pycocotools (the reported numbers are its own); cocodataset.org, keypoint evaluation.
"""

import io
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from semipose.data.annotations import Annotations, read_annotations
from semipose.evaluation.joints import given_sigmas, sigmas_of
from semipose.evaluation.results import read_predictions
from semipose.utils.errors import InputError

Backend = Literal["pycocotools", "faster-coco-eval"]

KEYS = ("AP", "AP50", "AP75", "AP_M", "AP_L", "AR", "AR50", "AR75", "AR_M", "AR_L")
CHUNK = 500_000  # numbers at a time in each array of resampled results: 4 MB, which stays in the processor's cache


def evaluate_oks(
    annotations: Path | dict[str, Any] | Annotations,
    predictions: Path | list[dict[str, Any]],
    sigmas: Sequence[float] | None = None,
    backend: Backend = "pycocotools",
) -> dict[str, float]:
    """pycocotools' ten keypoint metrics under KEYS, in 0-1, -1 if
    undefined (no person of that size is annotated).

    A result without `bbox`, as this project writes them, has the
    area of the smallest box around its keypoints.
    That area decides in AP_M and AP_L whether an unmatched result counts.
    With a `bbox`, pycocotools uses the area of that box (reference bug T18), so the same poses can
    have other AP_M and AP_L.

    Args:
        annotations: In COCO's format, a file or its content.
        predictions: Results in COCO's format, a file or its content; without any, AP is 0.
        sigmas: K numbers; None: found by the joints' names (`joints.sigmas_of`).
        backend: faster-coco-eval counts the same in C++ and adds up in another order, which changes
            the last of 16 digits.

    Raises:
        InputError: Names the file, the index and the field; or says how to install the backend.
    """
    evaluation = _evaluate(annotations, predictions, sigmas, backend)
    with redirect_stdout(io.StringIO()):
        evaluation.accumulate()
        evaluation.summarize()
    return {key: float(value) for key, value in zip(KEYS, evaluation.stats, strict=True)}


def match(
    annotations: Path | dict[str, Any] | Annotations, predictions: Path | list[dict[str, Any]], sigmas: Sequence[float] | None = None
) -> "Matches":
    """Match results to people with COCOeval, by image, so that images can be resampled.

    Arguments are those of `evaluate_oks`.

    Raises:
        InputError: As `evaluate_oks`.
    """
    evaluation = _evaluate(annotations, predictions, sigmas, "pycocotools")
    images = len(evaluation.params.imgIds)
    ranges = len(evaluation.params.areaRng)
    everyone, medium, large = (_table(evaluation.evalImgs[a * images : (a + 1) * images]) for a in range(ranges))
    image_ids = tuple(int(image_id) for image_id in evaluation.params.imgIds)
    return Matches(images, image_ids, everyone, medium, large, evaluation.params.recThrs)


@dataclass(frozen=True)
class Table:
    """The matches of one range of areas: D results, best score
    first, at T OKS thresholds, in I images.
    """

    image: NDArray[np.int64]  # [D]: the image of each result, 0..I-1
    found: NDArray[np.bool_]  # [T, D]: matched with a person
    false: NDArray[np.bool_]  # [T, D]: matched with no person; False in both if the result is to be ignored
    people: NDArray[np.int64]  # [I]: people to be found


@dataclass(frozen=True)
class Matches:
    """What AP and AR are computed from, by image; two can be
    compared if their image_ids are the same.
    """

    images: int
    image_ids: tuple[int, ...]
    everyone: Table
    medium: Table
    large: Table
    recalls: NDArray[np.float64]  # [R]: recalls at which precision is read

    def metrics(self, weights: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        """The ten metrics in each of B resamples of the images,
        weights [B, I]; a statistic for `bootstrap`.

        They equal COCOeval on a data set that contains image i as often as the weights say.
        Only the order of results with equal scores may differ (COCOeval's is that of the files).
        With weights of one, they are `evaluate_oks`, with NaN for -1.
        """
        step = max(1, CHUNK // max(1, len(self.everyone.image)))
        parts = [self._metrics(weights[start : start + step]) for start in range(0, max(1, len(weights)), step)]
        return {key: np.concatenate([part[key] for part in parts]) for key in KEYS}

    def _metrics(self, weights: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        tables = (self.everyone, self.medium, self.large)
        everyone, medium, large = (_precision_recall(table, weights, self.recalls) for table in tables)  # [B, T] each
        found: dict[str, NDArray[np.float64]] = {}
        for which, name in enumerate(("AP", "AR")):
            at = everyone[which]  # OKS thresholds 0.50, 0.55 .. 0.95: columns 0 and 5 are 0.50 and 0.75
            found |= {name: at.mean(1), f"{name}50": at[:, 0], f"{name}75": at[:, 5]}
            found |= {f"{name}_M": medium[which].mean(1), f"{name}_L": large[which].mean(1)}
        return found


def _evaluate(
    annotations: Path | dict[str, Any] | Annotations,
    predictions: Path | list[dict[str, Any]],
    sigmas: Sequence[float] | None,
    backend: Backend,
) -> Any:
    """A COCOeval that has matched results and people."""
    truth = read_annotations(annotations)
    results = read_predictions(predictions, truth)
    sigmas = sigmas_of(truth) if sigmas is None else given_sigmas(truth, tuple(sigmas))
    coco, cocoeval = _classes(backend)
    with redirect_stdout(io.StringIO()):
        known, found = coco(), coco()
        known.dataset, found.dataset = truth.dataset, truth.dataset | {"annotations": [_sized(k, one) for k, one in enumerate(results, 1)]}
        known.createIndex()
        found.createIndex()
        evaluation = cocoeval(known, found, "keypoints")
        evaluation.params.kpt_oks_sigmas = np.asarray(sigmas, np.float64)
        evaluation.evaluate()
    return evaluation


def _classes(backend: Backend) -> tuple[Any, Any]:
    """The classes COCO and COCOeval of one package or the other."""
    if backend == "pycocotools":
        return COCO, COCOeval
    try:
        from faster_coco_eval import COCO as COCOFaster
        from faster_coco_eval import COCOeval_faster
    except ImportError:
        raise InputError("faster-coco-eval is not installed; run pip install faster-coco-eval, or use pycocotools") from None
    return COCOFaster, COCOeval_faster


def _sized(number: int, result: dict[str, Any]) -> dict[str, Any]:
    """A result with the fields that COCO.loadRes adds (it cannot load an empty list, and takes a
    fifth of the evaluation's time).
    """
    if "bbox" in result:
        area = result["bbox"][2] * result["bbox"][3]
    else:
        x, y = result["keypoints"][0::3], result["keypoints"][1::3]
        area = (max(x) - min(x)) * (max(y) - min(y))
    return result | {"id": number, "area": area, "iscrowd": 0}


def _table(images: list[dict[str, Any] | None]) -> Table:
    present = [(number, image) for number, image in enumerate(images) if image is not None]
    people = np.zeros(len(images), np.int64)
    for number, image in present:
        people[number] = np.count_nonzero(np.asarray(image["gtIgnore"]) == 0)
    owner = np.array([number for number, image in present for _ in image["dtScores"]], np.int64)
    scores = np.concatenate([np.zeros(0), *(image["dtScores"] for _, image in present)])
    order = np.argsort(-scores, kind="mergesort")  # stable, as COCOeval sorts
    thresholds = len(present[0][1]["dtMatches"]) if present else 10
    nothing = np.zeros((thresholds, 0))
    matched = np.concatenate([nothing, *(image["dtMatches"] for _, image in present)], axis=1)[:, order] > 0
    ignored = np.concatenate([nothing, *(image["dtIgnore"] for _, image in present)], axis=1)[:, order] > 0
    return Table(owner[order], matched & ~ignored, ~matched & ~ignored, people)


def _precision_recall(
    table: Table, weights: NDArray[np.int64], recalls: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Interpolated precision, averaged over the recall levels, and
    final recall: [B, T] each, NaN without people.

    This is COCOeval.accumulate with every result and person
    counted as often as its image was sampled.
    A result that was sampled n times adds n to its running sum at once.
    The steps between are never the best precision at their recall, so nothing is lost.
    """
    resamples, thresholds = len(weights), len(table.found)
    to_find = (weights @ table.people).astype(np.float64)[:, None]  # [B, 1]
    precision, recall = np.full((2, resamples, thresholds), np.nan)
    each = weights[:, table.image].astype(np.float64)  # [B, D]
    for t in range(thresholds):
        found = np.cumsum(each * table.found[t], axis=1)
        false = np.cumsum(each * table.false[t], axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            reached = found / to_find
        envelope = np.maximum.accumulate((found / (false + found + np.spacing(1)))[:, ::-1], axis=1)[:, ::-1]
        # Beyond the last result precision is 0.
        padded = np.concatenate([envelope, np.zeros((resamples, 1))], axis=1)
        for b in np.flatnonzero(to_find[:, 0]):
            precision[b, t] = padded[b, np.searchsorted(reached[b], recalls, side="left")].mean()
            recall[b, t] = reached[b, -1] if reached.shape[1] else 0.0
    return precision, recall
