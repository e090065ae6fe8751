"""What the training loop needs from a method, whatever the paper."""

from collections.abc import Hashable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import torch
from torch import Generator, Tensor, nn

from semipose.augment import strong
from semipose.augment.pseudo import PseudoLabels, View
from semipose.augment.task import Task
from semipose.data.loading.batch import Batch
from semipose.models.ema import Averages
from semipose.models.network import PoseNet
from semipose.pose.heatmap import heatmap_loss

if TYPE_CHECKING:
    from semipose.config.augment import Augmentations
    from semipose.config.methods import JointMix, PoseCons


class Losses(NamedTuple):
    """The losses of a step.

    Attributes:
        terms: Named losses, already weighted; their sum is minimised.
        measures: Named numbers without gradient, for the log.
    """

    terms: dict[str, Tensor]
    measures: dict[str, Tensor]


class Method(nn.Module):
    """The paper's losses on one network or several; the data-parallel wrapper sees only `forward`.

    Attributes:
        net: The network to use if only one is wanted.
        reported: What a table shows of a method with several networks.
            The name of one of `networks`, `mean` (of the networks' scores), or `ensemble` (the
            score of their mean heatmap).
    """

    net: PoseNet
    task: Task
    reported: str = "net"
    paths: Mapping[str, "Augmentations"] = MappingProxyType({})
    """The strong augmentations of each strong view, by a name to show."""

    @property
    def networks(self) -> dict[str, PoseNet]:
        """The networks that are kept and evaluated, by name, `net` first.

        Those without a pass with a gradient are not trained.
        """
        return {"net": self.net}

    @property
    def phase(self) -> Hashable:
        """What of the method's state decides which operations a step has: a step as a CUDA graph is captured for each phase."""
        return None

    def decisions(self, step: int, host: Generator) -> Iterator[Any]:
        """Yield what the host decides for a step, in the order in which `forward` asks for it.

        It decides words, each of which leads to other operations, and numbers (float).
        They are sampled one by one when asked for.
        A method that has any takes them as the third argument of `forward`, an iterator; in a step
        that is a CUDA graph, it has tensors [] instead of the numbers.

        Args:
            step: The step, from 0.
            host: A generator on the host.
        """
        return iter(())

    def forward(self, batch: Batch, generator: Generator) -> Losses:
        raise TypeError(f"{type(self).__name__} defines no losses")

    def after_step(self) -> None:
        """Called after each optimiser step, for example to update a moving average."""

    def after_epoch(self) -> None:
        """Called after each epoch, before it is observed, for example
        to keep the weights of the previous epoch.
        """

    def pseudo_labels(self, weak: Tensor, generator: Generator) -> PseudoLabels | None:
        """The teacher's pseudo-labels on these weak views [B, 3,
        H, W]; None if the method has no teacher.
        """
        return None


def view_loss(net: PoseNet, view: View) -> Tensor:
    """L(net(x), T): the heatmap loss of a network on a view."""
    return heatmap_loss(net(view.images), view.targets, view.weight)


@torch.no_grad()
def teach(net: PoseNet, weak: Tensor, batch_norm: Literal["train", "eval"]) -> Tensor:
    """Heatmaps [B, K, h, w] of the weak views [B, 3, H, W], without gradient.

    Args:
        net: The teacher; its mode stays as it was.
        weak: Weak views [B, 3, H, W].
        batch_norm: `train`: batch statistics, and the running ones are updated (as the released
            code); `eval`: running statistics.
    """
    mode = net.training
    if batch_norm == "eval":
        net.eval()
    heatmaps = net(weak).float()
    net.train(mode)
    return heatmaps


class Consistency(Method):
    """A method whose strong views must agree with pseudo-labels.

    Attributes:
        paths: The strong augmentations of each strong view, by the name shown in pictures.
    """

    pseudo_label: Literal["raw", "rendered"]

    def strong_view(self, easy: Tensor, pseudo: PseudoLabels, theta: Tensor, path: "Augmentations", generator: Generator) -> View:
        """Make the strong view W(S(x_e; H), theta) with its pseudo-labels W(H, theta).

        The easy view is strongly augmented at the keypoints of its pseudo-labels, then moved.

        Args:
            easy: x_e, weak views [B, 3, H, W].
            pseudo: H, their pseudo-labels.
            theta: Matrices [B, 2, 3] from weak-view px to strong-view px.
            path: S, names of the strong augmentations.
            generator: For the augmentations.
        """
        augmented = strong.augment(easy, pseudo, path, self.task.augment, generator)
        return self.task.moved(augmented, pseudo, theta, self.pseudo_label)


class SelfTaught(Consistency):
    """A consistency method with one network, which learns from its moving average, or from itself if `ema` is 0."""

    p: "PoseCons | JointMix"

    def __init__(self, nets: list[PoseNet], params: "PoseCons | JointMix", task: Task) -> None:
        super().__init__()
        (self.net,) = nets
        self.p, self.task, self.pseudo_label = params, task, params.pseudo_label
        self.paths = {"strong view": params.strong}
        self.averages = Averages(nets, params.ema)

    def pseudo_labels(self, weak: Tensor, generator: Generator) -> PseudoLabels:
        (teacher,) = self.averages.teachers([self.net])
        return PseudoLabels(teach(teacher, weak, self.p.teacher_bn), self.task.sigma)

    def after_step(self) -> None:
        self.averages.follow([self.net])
