"""Which people are in which step: whole passes over the unlabelled ones, each in an order of its own; labelled ones by chance."""

import numpy as np

from semipose.data.loading.batches import Batches
from semipose.data.loading.pack import CropPack

LABELLED, UNLABELLED = np.arange(100, 106), np.arange(40)


def passes(pack: CropPack, seed: int, epochs: int) -> tuple[list[list[int]], list[int]]:
    """The unlabelled people of each epoch, in their order, and the labelled ones of all steps."""
    batches = Batches(pack, (32, 32), LABELLED, UNLABELLED, batch_size=8, seed=seed)
    sampled = [batches.positions(step) for step in range(epochs * batches.per_epoch)]
    each = [np.concatenate([sampled[5 * epoch + k][1] for k in range(5)]).tolist() for epoch in range(epochs)]
    return each, np.concatenate([labelled for labelled, _ in sampled]).tolist()


def test_an_epoch_is_a_pass_and_no_two_have_one_order(pack: CropPack) -> None:
    orders, labelled = passes(pack, 1, 3)
    assert [sorted(order) for order in orders] == [UNLABELLED.tolist()] * 3
    assert len({tuple(order) for order in orders}) == 3
    assert set(labelled) == set(LABELLED.tolist()), "120 draws of 6 people leave nobody out"


def test_another_seed_has_other_people(pack: CropPack) -> None:
    (one, labelled), (other, others), (again, repeated) = (passes(pack, seed, 2) for seed in (1, 2, 1))
    assert (one, labelled) == (again, repeated)
    assert one != other
    assert labelled != others
