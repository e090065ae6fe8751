"""Teacher-Reviewer-Student (Yun et al., arXiv 2501.09565;
methods.md 3.10), a reconstruction: no code is public.

One network f is the student and, without gradient, the teacher.
A reviewer f_R holds historical weights of f and gives a second signal.
Heads Q_k on stages k of the backbone estimate heatmaps too (multi-level feature learning) and are
dropped at test time.
P is the network's estimate, x_h = W(S(x_e), theta) with
Keypoint-Mix as S, H_T = f(x_e), H_R = f_R(x_e):
L = L(P(x_l), Y) + gamma / |S| sum_k L(Q_k(x_l), Y) + lambda_t
L(P(x_h), W H_T) + lambda_r L(P(x_h), W H_R)
    + gamma / |S| sum_k L(Q_k(x_h), W (H_T + H_R) / 2).
"""

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from semipose.augment.pseudo import PseudoLabels
from semipose.augment.task import Task
from semipose.config.methods import Reviewer as Params
from semipose.data.loading.batch import Batch
from semipose.methods.base import Consistency, Losses, teach
from semipose.models.ema import follow
from semipose.models.network import ExactConv2d, PoseNet, evaluating
from semipose.pose.heatmap import heatmap_loss
from semipose.utils.errors import InputError
from semipose.utils.seeding import stream


class LevelHead(nn.Module):
    """Q_k: features of a stage [B, C, ., .] -> heatmaps [B, K, h, w].

    1x1 convolution to a few channels, bilinear resize to h x
    w, 3x3 convolution, 1x1 convolution to K.
    """

    def __init__(self, channels: int, width: int, keypoints: int) -> None:
        super().__init__()
        self.narrow = nn.Sequential(nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True))
        wide = [nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
        self.predict = nn.Sequential(*wide, ExactConv2d(width, keypoints, 1))

    def forward(self, features: Tensor, cells: tuple[int, int]) -> Tensor:
        heatmaps: Tensor = self.predict(F.interpolate(self.narrow(features), cells, mode="bilinear", align_corners=False))
        return heatmaps


class Reviewer(Consistency):
    """Teacher-Reviewer-Student.

    Raises:
        InputError: As `level_heads`.
    """

    epoch: Tensor
    best: Tensor

    def __init__(self, nets: list[PoseNet], params: Params, task: Task) -> None:
        super().__init__()
        (self.net,) = nets
        self.reviewer = copy.deepcopy(self.net).requires_grad_(False)
        self.p, self.task, self.pseudo_label = params, task, params.pseudo_label
        self.paths = {"strong view": params.strong}
        self.heads = self.level_heads()
        # Buffers of training, so that the groups of a step and several processes share their mean.
        self.register_buffer("epoch", torch.zeros(2))  # sum of the labelled losses, and number of steps
        self.register_buffer("best", torch.tensor(torch.inf))  # lowest mean of an epoch so far

    @property
    def networks(self) -> dict[str, PoseNet]:
        """The student, which is reported, and the reviewer, which is evaluated too."""
        return {"net": self.net, "reviewer": self.reviewer}

    def forward(self, batch: Batch, generator: Generator) -> Losses:
        p, task = self.p, self.task
        labelled = task.labelled(batch.labelled, generator)
        predicted, levels = self.estimate(labelled.images)
        terms = {"supervised": heatmap_loss(predicted, labelled.targets, labelled.weight)}
        if levels:
            terms["levels"] = p.gamma * self.level_loss(levels, labelled.targets, labelled.weight)
        self.epoch += torch.stack([terms["supervised"].detach(), torch.ones_like(self.epoch[0])])

        easy = task.weak_view(batch.unlabelled, generator)
        teacher_maps = teach(self.net, easy, p.teacher_bn)  # H_T
        reviewer_maps = teach(self.reviewer, easy, p.teacher_bn) if p.lambda_r > 0 else teacher_maps  # H_R
        theta = task.strong(len(easy), generator)
        strong = self.strong_view(easy, PseudoLabels(teacher_maps, task.sigma), theta, p.strong, generator)
        predicted, levels = self.estimate(strong.images)
        terms["teacher"] = p.lambda_t * heatmap_loss(predicted, strong.targets, strong.weight)
        if p.lambda_r > 0:
            terms["reviewer"] = p.lambda_r * heatmap_loss(predicted, *self.moved(reviewer_maps, theta))
        if levels:
            terms["levels_unlabelled"] = p.gamma * self.level_loss(levels, *self.moved((teacher_maps + reviewer_maps) / 2, theta))
        return Losses(terms, {})

    def estimate(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """P(x) and Q_k(x), [B, K, h, w] each, in one pass."""
        features: dict[str, Any] = dict.fromkeys(self.p.levels)
        predicted = self.net(images, levels=features)
        return predicted, [head(features[name], predicted.shape[2:]) for name, head in self.heads.items()]

    def level_loss(self, levels: list[Tensor], targets: Tensor, weight: Tensor) -> Tensor:
        """1 / |S| sum_k L(Q_k, T)."""
        return torch.stack([heatmap_loss(one, targets, weight) for one in levels]).mean()

    def moved(self, heatmaps: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """W H with its weights."""
        return self.task.moved_labels(PseudoLabels(heatmaps, self.task.sigma), theta, self.pseudo_label)

    def level_heads(self) -> nn.ModuleDict:
        """A head for each level, with random weights that are the same in every run.

        Raises:
            InputError: A level is not a feature map.
        """
        net, p = self.net, self.p
        features: dict[str, Any] = dict.fromkeys(p.levels)
        if not features:
            return nn.ModuleDict()
        like = next(net.parameters())
        with evaluating(net), torch.no_grad():
            keypoints = net(like.new_zeros(1, 3, *self.task.size), levels=features).shape[1]
        if tokens := [name for name, found in features.items() if found is None or found.dim() != 4]:
            raise InputError(f"levels: {', '.join(tokens)} of {net.model.backbone} is not a feature map; set levels: [] for a ViT")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(stream(0, "level heads", 0))
            heads = {name: LevelHead(found.shape[1], p.level_channels, keypoints) for name, found in features.items()}
        return nn.ModuleDict(heads).to(like.device)

    def pseudo_labels(self, weak: Tensor, generator: Generator) -> PseudoLabels:
        return PseudoLabels(teach(self.net, weak, self.p.teacher_bn), self.task.sigma)

    def after_step(self) -> None:
        if self.p.reviewer == "ema":
            follow(self.reviewer, self.net, self.p.ema)

    def after_epoch(self) -> None:
        """theta_R <- theta at the end of each epoch, or of an
        epoch with the lowest labelled loss so far.
        """
        mean = self.epoch[0] / self.epoch[1]
        if self.p.reviewer == "epoch" or (self.p.reviewer == "best" and bool(mean < self.best)):
            self.reviewer.load_state_dict(self.net.state_dict())
        self.best.copy_(torch.minimum(self.best, mean.nan_to_num(torch.inf)))
        self.epoch.zero_()
