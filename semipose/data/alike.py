"""Whether two pictures show the same: their thumbnails beside each other."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

THUMB = 32  # px
BLOCK = 8  # px
Thumbnail = NDArray[np.uint8]
"""Grey levels [32, 32] of a picture, its sides brought to that."""


def thumbnail(image: Image.Image) -> Thumbnail:
    return np.asarray(image.convert("L").resize((THUMB, THUMB), Image.Resampling.BOX))


def difference(one: Thumbnail, other: Thumbnail) -> float:
    """Mean difference of their grey levels, 0-255."""
    return float(np.abs(one.astype(np.int16) - other).mean())


def contrast(thumb: Thumbnail) -> float:
    """Mean difference of its grey levels, 0-255, from their mean."""
    return float(np.abs(thumb - thumb.mean()).mean())


def _blocks(thumb: Thumbnail) -> NDArray[np.float32]:
    """The mean of each block, [16]."""
    side = THUMB // BLOCK
    return np.asarray(thumb.reshape(side, BLOCK, side, BLOCK).mean(axis=(1, 3), dtype=np.float32).ravel())


class Distinct:
    """Thumbnails that differ from each other by `near` grey levels (0-255) or more on average.

    The means of their 8 x 8 px blocks differ no more than their pixels do: only the few whose blocks are near are compared in full.
    """

    def __init__(self, near: float) -> None:
        self.near, self.count = near, 0
        self.thumbs = np.empty((64, THUMB, THUMB), np.uint8)
        self.blocks = np.empty((64, (THUMB // BLOCK) ** 2), np.float32)

    def like(self, thumb: Thumbnail) -> int | None:
        """Which of those that were taken is nearer than `near`, from 0: the nearest; None: none of them."""
        close = np.flatnonzero(np.abs(self.blocks[: self.count] - _blocks(thumb)).mean(axis=1) < self.near)
        apart = np.abs(self.thumbs[close].astype(np.int16) - thumb).mean(axis=(1, 2))
        return int(close[apart.argmin()]) if (apart < self.near).any() else None

    def add(self, thumb: Thumbnail) -> bool:
        """Take it, unless it is `like` one that was taken before; returns whether it was taken."""
        if self.like(thumb) is not None:
            return False
        if self.count == len(self.thumbs):
            self.thumbs, self.blocks = (np.concatenate([table, np.empty_like(table)]) for table in (self.thumbs, self.blocks))
        self.thumbs[self.count], self.blocks[self.count] = thumb, _blocks(thumb)
        self.count += 1
        return True
