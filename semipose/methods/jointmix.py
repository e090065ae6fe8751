"""JointMix, our own method (docs/methods/jointmix.md): labelled people and mixed unlabelled
people in one batch.

For an unlabelled person, x is the weak view, H = g(x) the heatmaps of the teacher g, a moving
average of the network f, and X = W(S(x), theta) the strong view, with pseudo-labels W(H, theta).
In one pass f sees the labelled views x_l and the mixtures X_m = alpha X_i + (1 - alpha) X_j:
L = L(f(x_l), Y) + lambda_m (alpha L(f(X_m), W H_i) + (1 - alpha) L(f(X_m), W H_j)).
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch
from torch import Generator, Tensor

from semipose.augment import mixing
from semipose.config.methods import JointMix as Params
from semipose.data.loading.batch import Batch, Labelled
from semipose.data.loading.pack import Crops
from semipose.methods.base import Losses, SelfTaught
from semipose.pose.heatmap import heatmap_loss
from semipose.utils.seeding import on_host


class JointMix(SelfTaught):
    p: Params

    def decisions(self, step: int, host: Generator) -> Iterator[Any]:
        """The place of Mixup, alpha and 1 - alpha."""
        p = self.p
        yield p.place[int(torch.randint(len(p.place), (1,), generator=host))]
        alpha = mixing.sample_alpha(p.alpha, host)
        yield from (alpha, 1 - alpha)

    def forward(self, batch: Batch, generator: Generator, decided: Iterator[Any] | None = None) -> Losses:
        p, task = self.p, self.task
        decided = self.decisions(batch.step, on_host(generator)) if decided is None else decided
        place, alpha, rest = islice(decided, 3)  # rest: 1 - alpha
        labelled = task.labelled(first(batch.labelled, p.labelled_share), generator)
        easy = task.weak_view(first_crops(batch.unlabelled, p.unlabelled_share), generator)
        theta = task.strong(len(easy), generator)
        strong = self.strong_view(easy, self.pseudo_labels(easy, generator), theta, p.strong, generator)
        partner, few = mixing.partner(len(easy), generator), len(labelled.images)

        def mixed(x: Tensor) -> Tensor:
            return torch.cat([x[:few], mixing.mix(x[few:], partner, alpha, rest)])

        heatmaps = self.net(torch.cat([labelled.images, strong.images]), place, mixed)
        loss_l = heatmap_loss(heatmaps[:few], labelled.targets, labelled.weight)
        loss_i = heatmap_loss(heatmaps[few:], strong.targets, strong.weight)
        loss_j = heatmap_loss(heatmaps[few:], strong.targets[partner], strong.weight[partner])
        return Losses({"supervised": loss_l, "mixed": p.lambda_m * (alpha * loss_i + rest * loss_j)}, {})


def first(people: Labelled, share: float) -> Labelled:
    """The first of a step's labelled people, as many as `share` says, at least one."""
    crops = first_crops(people.crops, share)
    count = len(crops.pixels)
    return Labelled(crops, people.points[:count], people.visible[:count])


def first_crops(people: Crops, share: float) -> Crops:
    """The first of a step's people, as many as `share` says, at least one."""
    count = max(1, round(share * len(people.pixels)))
    return Crops(*(part[:count] for part in people))
