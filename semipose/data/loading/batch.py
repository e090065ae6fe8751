"""One training step's people, as tensors."""

from typing import NamedTuple

from torch import Tensor

from semipose.data.loading.pack import Crops


class Labelled(NamedTuple):
    """B labelled people: crops, points [B, K, 2] in crop px, visible [B, K] 0 or 1."""

    crops: Crops
    points: Tensor
    visible: Tensor


class Batch(NamedTuple):
    """One training step's people. The unlabelled ones come without their labels, so that no method can read them."""

    step: int
    labelled: Labelled
    unlabelled: Crops
