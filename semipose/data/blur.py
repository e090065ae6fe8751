"""How blurred a picture is, without a sharp one to compare it with.

Blurring a sharp picture once more takes much of the difference between its neighbouring pixels.
A blurred picture loses little.

Source: Crete, Dolmiere, Ladret and Nicolas, "The blur effect: perception and estimation with a new
no-reference perceptual blur metric" (SPIE 6492, 2007).
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import uniform_filter1d

REACH = 9  # px: the mean of so many blurs it once more


def blur(grey: Image.Image) -> float:
    """0 (sharp) to 1 (blurred, or flat) for a picture of mode L; the worse of both directions, since motion blurs along one.

    A picture that is shrunk is sharper: give it in the size that counts.
    """
    levels = np.asarray(grey, np.float64)
    return max(_kept(levels, axis) for axis in (0, 1))


def _kept(levels: NDArray[np.float64], axis: int) -> float:
    """Share of the differences along an axis that another blur leaves."""
    before, after = (np.abs(np.diff(values, axis=axis)) for values in (levels, uniform_filter1d(levels, REACH, axis, mode="nearest")))
    return 1 - float(np.maximum(before - after, 0).sum() / before.sum()) if before.any() else 1.0
