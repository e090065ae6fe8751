"""Whom to label next: people who stand for many others on whom the networks disagree."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semipose.data.loading.normalise import normalise
from semipose.data.loading.pack import Crops
from semipose.inference.poser import Person, Picture, Poser
from semipose.inference.predict import Predictions
from semipose.models.network import PoseNet, evaluating
from semipose.pose.geometry import compose, invert, similarity, transform, warp
from semipose.pose.heatmap import decode
from semipose.pose.skeleton import DEFAULT_SIGMA

VIEWS = ((1.0, False), (1.0, True), (0.8, False), (1.25, False))
"""How each network sees a person: the scale of the content, and whether the view is mirrored.
The first view is the one that the pose is taken from."""


LARGEST = 2.0
"""The distance of opposite unit vectors."""
EVERYBODY = 5000
"""People at most that others are asked to stand for: a matrix of 5,000 columns."""


@dataclass(frozen=True, eq=False)
class Findings:
    """What the networks say of N people.

    Attributes:
        poses: Of the first network, in px of each person's image.
        boxes: [N, 4], xywh px.
        disagreement: [N], from 0 (all answers are one pose) to 1: the mean of 1 - OKS over all pairs of answers.
        features: [N, C], of the first network's backbone, averaged over the view.
    """

    poses: Predictions
    boxes: NDArray[np.float32]
    disagreement: NDArray[np.float64]
    features: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.boxes)


class Suggestion(NamedTuple):
    """A person to label: its row in the findings, and the disagreement that it stands for (`choose`)."""

    row: int
    worth: float


def ask_networks(posers: Sequence[Poser], images: Iterable[tuple[Picture, NDArray[np.floating] | None]]) -> Findings:
    """Ask every network of every person, once in each of the VIEWS.

    Args:
        posers: Networks of one skeleton; their input sizes may differ.
        images: As `Poser.predict_all` takes them.
    """
    first = posers[0]
    parts: list[tuple[NDArray[np.float32], ...]] = []
    waiting: list[list[Person]] = [[] for _ in posers]
    boxes: list[NDArray[np.float32]] = []

    def ask(least: int) -> None:
        while len(waiting[0]) >= least:
            answers = [_answers(poser, people[: first.batch_size]) for poser, people in zip(posers, waiting, strict=True)]
            points, confidence, features = answers[0]
            everyone = torch.cat([found for found, _, _ in answers]).numpy()
            parts.append((points[0].numpy(), confidence.numpy(), features.numpy(), everyone))
            for people in waiting:
                del people[: first.batch_size]

    for image, given in images:
        cut = [list(poser.cut(image, given)) for poser in posers]
        for people, more in zip(waiting, cut, strict=True):
            people += more
        size = image.size if not isinstance(image, np.ndarray) else image.shape[1::-1]
        boxes.append(np.asarray([[0, 0, *size]] if given is None else given, np.float32).reshape(-1, 4))
        ask(first.batch_size)
    ask(1)
    joints = len(first.skeleton.joints)
    if not parts:
        nobody = np.zeros((0, joints), np.float32)
        return Findings(Predictions(np.zeros((0, joints, 2), np.float32), nobody), np.zeros((0, 4), np.float32), np.zeros(0), nobody)
    points, confidence, features = (np.concatenate([part[k] for part in parts]) for k in range(3))
    answers = np.concatenate([part[3] for part in parts], axis=1)
    found = np.concatenate(boxes)
    areas = found[:, 2:].prod(axis=1, dtype=np.float64)
    sigmas = np.array(first.skeleton.sigmas or [DEFAULT_SIGMA] * joints)
    return Findings(Predictions(points, confidence), found, disagreement(answers, areas, sigmas), features)


def disagreement(answers: NDArray[np.floating], areas: NDArray[np.floating], sigmas: NDArray[np.floating]) -> NDArray[np.float64]:
    """The mean of 1 - OKS over all pairs of answers, [N].

    Args:
        answers: [A, N, K, 2] px, at least two answers.
        areas: [N] px^2, of the boxes.
        sigmas: [K], OKS's.
    """
    pairs = list(combinations(answers.astype(np.float64), 2))
    allowed = 2 * areas[:, None] * (2 * sigmas) ** 2
    return np.mean([1 - np.exp(-((one - other) ** 2).sum(-1) / allowed).mean(-1) for one, other in pairs], axis=0)


def choose(
    disagreement: NDArray[np.float64], features: NDArray[np.floating], labelled: NDArray[np.floating], count: int
) -> list[Suggestion]:
    """One person after another, each time the one who stands for most disagreement that nobody labelled or chosen stands for yet.

    A person n stands as far from its nearest labelled or chosen person as their features do, d(n).
    Choosing i is worth the sum over n of disagreement(n) times max(0, d(n) - |f(n) - f(i)|): facility location, greedily.
    So a person that resembles one chosen before is worth little, and so is an outlier that resembles nobody.
    Features are centred and scaled to unit length.
    Of more than EVERYBODY people, as many, evenly spread over the list, are those that are stood for.

    Args:
        disagreement: [N].
        features: [N, C].
        labelled: [L, C], features of the people that have labels; L may be 0.
        count: At most N.
    """
    known = np.concatenate([features, labelled]).astype(np.float32)
    known -= known.mean(axis=0)
    known /= np.linalg.norm(known, axis=1, keepdims=True).clip(1e-12)
    own, theirs = known[: len(features)], known[len(features) :]
    some = np.linspace(0, len(own) - 1, min(len(own), EVERYBODY)).astype(int)
    apart = _distances(own, own[some])  # [N, S]
    nearest = _distances(own[some], theirs).min(axis=1) if len(theirs) else np.full(len(some), LARGEST, np.float32)
    left, chosen = np.ones(len(own), bool), []
    for _ in range(count):
        worth = (np.maximum(nearest - apart, 0) * disagreement[some].astype(np.float32)).sum(axis=1)
        row = int(np.argmax(np.where(left, worth, -1)))
        chosen.append(Suggestion(row, float(worth[row])))
        left[row] = False
        nearest = np.minimum(nearest, apart[row])
    return chosen


def _distances(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    """[N, M], of unit vectors [N, C] and [M, C]."""
    return np.sqrt((2 - 2 * one @ other.T).clip(0))


def _answers(poser: Poser, people: Sequence[Person]) -> tuple[Tensor, Tensor, Tensor]:
    """Points [V, B, K, 2] in image px of every view; of the first one also confidence [B, K] and features [B, C]."""
    pixels, to_crop, to_view = zip(*people, strict=True)
    crops = Crops(torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2), torch.stack(to_view)).to(poser.device)
    in_crop = torch.stack(to_crop).to(poser.device)
    height, width = poser.size
    scales, mirrored = (torch.tensor(column, device=poser.device) for column in zip(*VIEWS, strict=True))
    turns = similarity(torch.zeros_like(scales), scales, mirrored, ((width - 1) / 2, (height - 1) / 2))
    deepest = cast(PoseNet, poser.net).places[-1]
    points, confidences, levels = [], [], []
    with evaluating(poser.net), torch.inference_mode():
        for turn, (_, mirror) in zip(turns, VIEWS, strict=True):
            base, level = compose(turn, crops.base), cast(dict[str, Any], {deepest: None})
            heatmaps = poser.net(warp(crops.pixels, base, poser.size, normalise), levels=level)
            found, confidence = decode(heatmaps, width // heatmaps.shape[-1], poser.decode, poser.sigma)
            found = transform(invert(compose(base, in_crop)), found)
            points.append(found[:, poser.skeleton.flip] if mirror else found)
            confidences.append(confidence)
            levels.append(level[deepest])
    features = levels[0].mean(dim=1) if levels[0].ndim == 3 else levels[0].mean(dim=(2, 3))
    return torch.stack(points).cpu(), confidences[0].float().cpu(), features.float().cpu()
