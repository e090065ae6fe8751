"""Augmentations of the labelled view: every method has them, the warm-up has none."""

import copy

import pytest
import torch
from naive import nets_of

from semipose.augment.pseudo import PseudoLabels
from semipose.augment.strong import augment
from semipose.augment.task import Task
from semipose.config.methods import Supervised
from semipose.config.tree import Params
from semipose.data.loading.batch import Batch
from semipose.methods import build
from semipose.utils.seeding import generator_of

CUTOUT = Supervised(base="supervised", labelled=["cutout"])


def test_images_are_augmented_and_labels_stay(task: Task, batch: Batch) -> None:
    plain = task.labelled(batch.labelled, generator_of(1, "s", 0))
    g = generator_of(1, "s", 0)
    changed = task.of(CUTOUT).labelled(batch.labelled, g)
    assert torch.equal(changed.targets, plain.targets)
    assert torch.equal(changed.weight, plain.weight)
    again = generator_of(1, "s", 0)
    task.labelled(batch.labelled, again)  # the weak view takes the same random numbers
    expected = augment(plain.images, PseudoLabels(plain.targets, task.sigma), ["cutout"], task.augment, again)
    assert torch.equal(changed.images, expected)
    assert (changed.images != plain.images).any(dim=1).float().mean() > 0.02
    assert torch.equal(torch.rand(3, generator=g), torch.rand(3, generator=again))


def test_an_entry_can_have_none_where_all_others_have_some(task: Task, batch: Batch) -> None:
    some = task.of(CUTOUT)
    none = some.of(Supervised(base="supervised", labelled=[]))
    plain = task.labelled(batch.labelled, generator_of(1, "s", 0))
    assert torch.equal(none.labelled(batch.labelled, generator_of(1, "s", 0)).images, plain.images)
    assert some.of(Supervised(base="supervised")).augment.labelled == ["cutout"]


@pytest.mark.parametrize("name", ["supervised", "posecons", "posedual", "sspcm", "multiaugs", "denoise_select", "reviewer", "akm"])
def test_every_methods_labelled_loss_is_that_of_the_augmented_view(tiny: Params, task: Task, batch: Batch, name: str) -> None:
    changed = task.of(CUTOUT)
    losses = []
    for one in (task, changed):
        method = build([copy.deepcopy(net) for net in nets_of(tiny)][: tiny.method[name].trains], tiny.method[name], one)
        losses.append(method(batch, generator_of(0, "s", 0)).terms["supervised"])
    assert not torch.equal(*losses)
