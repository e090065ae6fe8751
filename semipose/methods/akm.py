"""Adaptive Keypoint Masking with Mixup (AKM, arXiv 2404.14835), in the paper's symbols.

For an unlabelled person i, x is the weak view and H_i = f(x) the teacher's heatmaps (no gradient).
W(., theta) warps an image or heatmaps.
augment/adaptive.py computes the number of masks n_i.
What the paper leaves open is a key of `method.akm` in params.yaml.
docs/methods.md explains each key and its value.
"""

import copy
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

import torch
from torch import Generator, Tensor

from semipose.augment import mixing, patches
from semipose.augment.adaptive import adaptive_count, simple_keypoints
from semipose.augment.pseudo import MaskedLabels, PseudoLabels, View, agreement
from semipose.augment.strong import augment, channels_of, clamp_of
from semipose.augment.task import Task
from semipose.config.methods import AKM as Params
from semipose.data.loading.batch import Batch
from semipose.methods.base import Losses, Method, teach, view_loss
from semipose.models.ema import follow
from semipose.models.network import PoseNet
from semipose.pose.heatmap import flip_back, heatmap_loss
from semipose.utils.seeding import on_host


class AKM(Method):
    """L = L_s + lambda_u L_u + lambda_m L_m on one network f, which is its own teacher unless a
    moving average teaches.
    """

    def __init__(self, nets: list[PoseNet], params: Params, task: Task) -> None:
        super().__init__()
        (self.net,) = nets
        self.p, self.task = params, task
        self.paths = {"strong view": params.strong}
        self.teacher = copy.deepcopy(self.net).requires_grad_(False) if params.ema > 0 else None
        self.average = copy.deepcopy(self.net).requires_grad_(False) if params.average > 0 else None

    @property
    def networks(self) -> dict[str, PoseNet]:
        """The student, which is reported, and the moving averages, which are evaluated too."""
        kept = {"net": self.net, "teacher": self.teacher, "average": self.average}
        return {name: net for name, net in kept.items() if net is not None}

    def decisions(self, step: int, host: Generator) -> Iterator[Any]:
        """lambda_u and lambda_m, ramped up; then for each mixed pass its place, its alpha and 1 - alpha."""
        p = self.p
        ramp = min(1.0, (step + 1) / p.ramp_up_steps) if p.ramp_up_steps else 1.0
        yield from (p.lambda_u * ramp, p.lambda_m * ramp)
        for _ in range(self.mixed_passes):
            yield p.mixup.place[int(torch.randint(len(p.mixup.place), (1,), generator=host))]
            alpha = mixing.sample_alpha(p.mixup.alpha, host) if p.mixup.weight is None else p.mixup.weight
            yield from (alpha, 1 - alpha)

    @property
    def mixed_passes(self) -> int:
        """Passes of mixed people in a step."""
        p = self.p
        if p.mixup.place == ["none"]:
            return 0
        return 1 + (p.strong_views if p.lambda_u > 0 and p.mixup.branches == "both" else 0)

    def forward(self, batch: Batch, generator: Generator, decided: Iterator[Any] | None = None) -> Losses:
        p, f, task = self.p, self.net, self.task
        decided = self.decisions(batch.step, on_host(generator)) if decided is None else decided
        lambda_u, lambda_m = islice(decided, 2)
        terms = {"supervised": view_loss(f, task.labelled(batch.labelled, generator))}

        weak = task.weak_view(batch.unlabelled, generator)
        pseudo = self.pseudo_labels(weak, generator)
        masked = None
        if p.lambda_u > 0:  # without a loss, the pass would still change the batch statistics
            losses = []
            for _ in range(p.strong_views):
                masked = self.strong_view(weak, pseudo, generator)
                losses.append(self.mixed_loss(masked, generator, decided) if self.mixed_passes > 1 else view_loss(f, masked))
            terms["masked"] = lambda_u * (torch.stack(losses).mean() if len(losses) > 1 else losses[0])
        if self.mixed_passes:
            if p.mixup.view == "weak":
                second = task.moved(weak, pseudo, None, p.pseudo_label)
            else:
                second = masked if masked and p.second_view == "shared" else self.strong_view(weak, pseudo, generator)
            terms["mixed"] = lambda_m * self.mixed_loss(second, generator, decided)
        return Losses(terms, {"masks": pseudo.counts.mean(dtype=torch.float32), "simple": pseudo.simple.mean(dtype=torch.float32)})

    def mixed_loss(self, view: View, generator: Generator, decided: Iterator[Any]) -> Tensor:
        """L_m = alpha ||f(X_m) - H_i||^2 + (1 - alpha) ||f(X_m) - H_j||^2, X_m = alpha X_i + (1 - alpha) X_j at image or features."""
        place, alpha, rest = islice(decided, 3)  # rest: 1 - alpha
        partner = mixing.partner(len(view.images), generator)
        predicted = self.net(view.images, place, lambda x: mixing.mix(x, partner, alpha, rest))
        return alpha * heatmap_loss(predicted, view.targets, view.weight) + rest * heatmap_loss(
            predicted, view.targets[partner], view.weight[partner]
        )

    def strong_view(self, weak: Tensor, pseudo: MaskedLabels, generator: Generator) -> View:
        """W(M(x), theta) with its pseudo-labels W(H, theta): masks are
        put on the weak view, then the view moves.
        """
        p, task, bugs = self.p, self.task, self.task.augment.reference_bugs
        eligible = pseudo.simple if p.joints == "simple" else None
        channels = channels_of(bugs) if eligible is None else None  # of 24 channels, those without a keypoint are never simple
        mask = patches.keypoint_masks(
            pseudo.points, pseudo.counts, eligible, task.size, p.patch, generator, channels=channels, clamp=clamp_of(bugs)
        )
        theta = task.strong(len(weak), generator)
        augmented = augment(patches.mask_keypoints(weak, mask), pseudo, p.strong, task.augment, generator)
        return task.moved(augmented, pseudo, theta, p.pseudo_label)

    def pseudo_labels(self, weak: Tensor, generator: Generator) -> MaskedLabels:
        """H_i on the weak views [B, 3, H, W], with the number of masks of each person."""
        p, teacher = self.p, self.net if self.teacher is None else self.teacher
        pseudo = self.counted(teach(teacher, weak, p.teacher_bn), generator)
        if p.confidence == "peak":
            return pseudo
        mirrored = flip_back(teach(teacher, weak.flip(-1), p.teacher_bn), self.task.flip)
        weight = agreement(pseudo, PseudoLabels(mirrored, pseudo.sigma))
        return replace(pseudo, weight=weight, spread=1 - weight)

    def counted(self, heatmaps: Tensor, generator: Generator) -> MaskedLabels:
        """Add simple keypoints and numbers of masks to these heatmaps [B, K, h, w]."""
        p, device = self.p, heatmaps.device
        simple = simple_keypoints(heatmaps, p.response, p.tau)
        counts = adaptive_count(heatmaps, simple, p)  # n_i
        if p.masking == "shuffled":
            counts = counts[torch.randperm(len(counts), generator=generator, device=device)]
        elif p.masking == "random":
            counts = torch.randint(p.n_min, p.n_max + 1, counts.shape, generator=generator, device=device)
        elif p.masking != "adaptive":
            counts = torch.full_like(counts, p.fixed_count if p.masking == "fixed" else 0)
        return MaskedLabels(heatmaps, self.task.sigma, simple, counts)

    def after_step(self) -> None:
        if self.teacher is not None:
            follow(self.teacher, self.net, self.p.ema)
        if self.average is not None:
            follow(self.average, self.net, self.p.average)
