"""One training step's people, as tensors."""

from collections.abc import Callable
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

    def each(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        """With every tensor changed."""
        crops, points, visible = self.labelled
        return Batch(self.step, Labelled(crops.each(change), change(points), change(visible)), self.unlabelled.each(change))
