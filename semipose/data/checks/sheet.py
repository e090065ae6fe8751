"""The contact sheet: people of a set with their labels, as training sees them."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from semipose.data.loading.matrices import crop_matrices
from semipose.data.packing.cutting import resample
from semipose.data.people import People
from semipose.data.pixels import BrokenImage, Exif, read_image
from semipose.pose.drawing import draw_pose, sheet
from semipose.utils.errors import InputError

SIDE = 200  # px of a tile
COLUMNS = 6
SHOWN = 12  # people of each kind


def contact_sheet(people: People, root: Path, odd: NDArray[np.bool_], exif: Exif | None, most: int = SHOWN) -> Image.Image:
    """Make a sheet of two kinds of people: evenly spaced in the file, then those to check.

    Below each person is the annotation's id.

    Args:
        people: The N people of one part.
        root: Folder of their images.
        odd: Whose labels a person should check, [N].
        exif: As `read_image` takes it.
        most: Largest number of people of each kind.
    """
    even = np.linspace(0, len(people) - 1, min(len(people), most)).astype(int)
    strange = np.flatnonzero(odd)
    strange = strange[np.linspace(0, len(strange) - 1, min(len(strange), most)).astype(int)]
    chosen = [*even.tolist(), *strange.tolist()]
    matrices = crop_matrices(people.boxes[chosen], SIDE, 1.25, 1.0, 1.0).numpy()
    tiles, captions = [], []
    for place, (k, matrix) in enumerate(zip(chosen, matrices, strict=True)):
        try:
            width, height = people.sizes[k].tolist()
            crop = np.asarray(resample(read_image(root / people.images[k], (width, height), exif), matrix, SIDE))
        except (BrokenImage, InputError):
            continue  # the image itself is a finding
        points = people.points[k] @ matrix[:, :2].T + matrix[:, 2]
        tiles.append(draw_pose(crop, points, people.visibility[k], people.skeleton))
        captions.append(f"{'check: ' if place >= len(even) else ''}{people.ids[k]}")
    return sheet(tiles, captions, COLUMNS, (SIDE, SIDE))
