"""Adaptive Keypoint Masking with Mixup (AKM, arXiv 2404.14835), in the paper's symbols.

For an unlabelled person i: x weak view, H_i = f(x) the teacher's heatmaps (no gradient), W(., theta) warps image or heatmaps. How many
masks n_i a person gets is in augment/adaptive.py. What the paper leaves open is a key of `method.akm` in params.yaml; docs/methods.md
says what each key means and why its value.
"""

import copy

import torch
from torch import Generator, Tensor

from semipose.augment import mixing, patches
from semipose.augment.adaptive import adaptive_count, simple_keypoints
from semipose.augment.strong import channels_of, clamp_of
from semipose.augment.task import Task
from semipose.config.methods import AKM as Params
from semipose.data.loading.batch import Batch
from semipose.methods.base import Losses, Method, Passes, View, moved_targets, teach
from semipose.models.ema import follow
from semipose.models.network import PoseNet
from semipose.pose.heatmap import STRIDE, decode, heatmap_loss
from semipose.utils.seeding import on_host


class AKM(Method):
    """L = L_s + lambda_u L_u + lambda_m L_m on one network f, teacher and student in one (or a moving average as teacher)."""

    def __init__(self, nets: list[PoseNet], params: Params, task: Task) -> None:
        super().__init__()
        (self.net,) = nets
        self.p, self.task = params, task
        self.teacher = copy.deepcopy(self.net).requires_grad_(False) if params.ema > 0 else None
        gradient = 1 + (params.lambda_u > 0) + (params.mixup.place != ["none"])
        self.passes = {"net": Passes(gradient, no_gradient=0), "teacher": Passes(gradient=0, no_gradient=1)}
        if self.teacher is None:
            self.passes = {"net": Passes(gradient, no_gradient=1)}

    @property
    def networks(self) -> dict[str, PoseNet]:
        """A moving average is kept and measured too; the student is what is reported."""
        return {"net": self.net} if self.teacher is None else {"net": self.net, "teacher": self.teacher}

    def forward(self, batch: Batch, generator: Generator) -> Losses:
        p, f = self.p, self.net
        images, targets, weight = self.task.labelled(batch.labelled, generator)
        loss_s = heatmap_loss(f(images), targets, weight)

        weak = self.task.weak_view(batch.unlabelled, generator)
        taught = self.pseudo_labels(weak)
        counts = self.sample_counts(taught, generator)

        terms, first = {"supervised": loss_s}, None
        mixed = p.mixup.place != ["none"]
        ramp = min(1.0, (batch.step + 1) / p.ramp_up_steps) if p.ramp_up_steps else 1.0
        if p.lambda_u > 0:  # else the branch is not there: a pass without a loss would still move the batch statistics
            first = self.branch(weak, taught, counts, generator)
            both = mixed and p.mixup.branches == "both"
            loss_u = self.mixed_loss(first, generator) if both else heatmap_loss(f(first.images), first.targets, first.weight)
            terms["masked"] = p.lambda_u * ramp * loss_u
        if mixed:
            second = first if first and p.second_view == "shared" else self.branch(weak, taught, counts, generator)
            terms["mixed"] = p.lambda_m * ramp * self.mixed_loss(second, generator)
        return Losses(terms, {"masks": counts.float().mean(), "simple": self.simple(taught).float().mean()})

    def mixed_loss(self, view: View, generator: Generator) -> Tensor:
        """L_m = alpha ||f(X_m) - H_i||^2 + (1 - alpha) ||f(X_m) - H_j||^2, X_m = alpha X_i + (1 - alpha) X_j at image or features."""
        places = self.p.mixup.place
        host = on_host(generator)
        place = places[int(torch.randint(len(places), (1,), generator=host))]
        alpha = mixing.sample_alpha(self.p.mixup.alpha, host)
        partner = mixing.partner(len(view.images), generator)
        predicted = self.net(view.images, place, lambda x: mixing.mix(x, partner, alpha))
        return alpha * heatmap_loss(predicted, view.targets, view.weight) + (1 - alpha) * heatmap_loss(
            predicted, view.targets[partner], view.weight[partner]
        )

    def branch(self, weak: Tensor, taught: Tensor, counts: Tensor, generator: Generator) -> View:
        """W(M(x), theta) with its pseudo-labels W(H, theta): masks are drawn on the weak view, then the view moves."""
        points, _ = decode(taught, STRIDE, "quarter")  # the peers take the cell itself
        eligible = self.simple(taught) if self.p.joints == "simple" else None
        reference_bugs, size = self.task.augment.reference_bugs, (self.task.height, self.task.width)
        channels = channels_of(reference_bugs) if eligible is None else None  # of 24 channels, those of no keypoint are never simple
        mask = patches.keypoint_masks(
            points, counts, eligible, size, self.p.patch, generator, channels=channels, clamp=clamp_of(reference_bugs)
        )
        theta = self.task.strong(len(weak), generator)
        images = self.task.move_images(patches.mask_keypoints(weak, mask), theta)
        return View(images, *moved_targets(self.task, taught, theta, self.p.pseudo_label))

    def pseudo_labels(self, weak: Tensor) -> Tensor:
        """H_i on the weak views."""
        return teach(self.net if self.teacher is None else self.teacher, weak, self.p.teacher_bn)

    def simple(self, heatmaps: Tensor) -> Tensor:
        return simple_keypoints(heatmaps, self.p.response, self.p.tau)

    def adaptive_counts(self, heatmaps: Tensor) -> Tensor:
        """n_i, the number of masks that each person's own response asks for, [B] int (before `masking` shuffles or replaces it)."""
        return adaptive_count(heatmaps, self.simple(heatmaps), self.p)

    def sample_counts(self, heatmaps: Tensor, generator: Generator) -> Tensor:
        adaptive, device = self.adaptive_counts(heatmaps), heatmaps.device
        if self.p.masking == "adaptive":
            return adaptive
        if self.p.masking == "shuffled":
            return adaptive[torch.randperm(len(adaptive), generator=generator, device=device)]
        if self.p.masking == "random":
            return torch.randint(self.p.n_min, self.p.n_max + 1, adaptive.shape, generator=generator, device=device)
        return torch.full_like(adaptive, self.p.fixed_count if self.p.masking == "fixed" else 0)

    def after_step(self) -> None:
        if self.teacher is not None:
            follow(self.teacher, self.net, self.p.ema)
