"""People of Leeds Sports Pose Extended (Johnson and Everingham, CVPR 2011): joints.mat and images/im00001.jpg, ...

One person per image.
The set has no official split, no boxes and no areas.
The last people of the file validate, and a person's box is the extent of the visible joints, grown.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semipose.data.people import People
from semipose.data.pixels import Exif
from semipose.data.sources.matlab import read_matlab
from semipose.data.sources.reading import BRING, image_sizes, kept
from semipose.pose.skeleton import LSP14
from semipose.utils.errors import InputError

BOX_MARGIN = 0.1
"""The box grows by this part of the joints' width (height) on each side: joints lie in the body, boxes around it."""
FEWEST_JOINTS = 2
"""Below that there is no extent, hence no box."""


def read_lsp(root: Path, part: str, validation: int, exif: Exif | None = None) -> People:
    """Read the people of one part.

    "val" are the last people of joints.mat, "train" all the ones before.
    ids and image_ids are the numbers of the images (from 1).
    Joints with visibility 1 become 2 (visible), those with 0 become 0, at (0, 0); coordinates are
    as the file has them.
    Boxes are not clamped to the image, areas are theirs.
    sizes are (0, 0) if an image file is there but damaged: the crop pack counts such images.
    Left out and counted in `People.dropped`: fewer than 2 visible joints, degenerate box.

    Args:
        root: Folder with joints.mat and images/.
        part: "train" or "val".
        validation: Number of people that are "val".
        exif: As `pixels.read_image` takes it.

    Raises:
        InputError: Names the file and the remedy.
    """
    root = Path(root)
    joints = _load(root / "joints.mat")
    chosen = _part(len(joints), part, validation)
    visible = joints[chosen, :, 2] > 0
    points = np.where(visible[..., None], joints[chosen, :, :2], 0)
    boxes = _boxes(points, visible)
    few = visible.sum(axis=1) < FEWEST_JOINTS
    keep, dropped = kept(root / "joints.mat", {"fewer than 2 visible joints": few, "degenerate box": ~(boxes[:, 2:] > 0).all(axis=1)})
    numbers = chosen[keep] + 1
    images = [f"images/im{number:05d}.jpg" for number in numbers]
    return People(
        skeleton=LSP14,
        ids=numbers,
        image_ids=numbers,
        images=images,
        sizes=image_sizes(root, images, "joints.mat", exif),
        boxes=boxes[keep],
        areas=np.prod(boxes[keep, 2:], axis=1),
        points=points[keep],
        visibility=2 * visible[keep],
        dropped=dropped,
    )


def _load(path: Path) -> NDArray[np.float64]:
    """[N, 14, 3]: x, y (px), visible (0 or 1)."""
    joints = read_matlab(path, variable_names=["joints"]).get("joints")
    if joints is None or joints.ndim != 3 or joints.shape[:2] != (len(LSP14.joints), 3):
        found = "is missing" if joints is None else f"has shape {' x '.join(map(str, joints.shape))}"
        raise InputError(
            f"{path}: `joints` {found}, not 14 x 3 x N as in LSP Extended; the original LSP, which has 3 x 14 x N, is not read; {BRING}"
        )
    joints = np.moveaxis(joints, 2, 0).astype(np.float64)
    wrong = ~np.isin(joints[..., 2], (0, 1)) | ((joints[..., 2] == 1) & ~np.isfinite(joints[..., :2]).all(axis=2))
    for person, joint in np.argwhere(wrong)[:1]:
        raise InputError(
            f"{path}: person {person + 1}, {LSP14.joints[joint]}: {joints[person, joint].tolist()} is not a finite x, "
            f"y with a visibility of 0 or 1; {BRING}"
        )
    return joints


def _part(count: int, part: str, validation: int) -> NDArray[np.int64]:
    if not 0 < validation < count:
        raise InputError(
            f"data.validation_people: the last {validation} people are to be the validation set, but joints.mat has "
            f"{count}; choose 1 to {count - 1}"
        )
    return np.arange(count - validation, count) if part == "val" else np.arange(count - validation)


def _boxes(points: NDArray[np.float64], visible: NDArray[np.bool_]) -> NDArray[np.float64]:
    """[N, 4] xywh around the visible joints with the margin; without a visible joint, of width and height 0."""
    seen = visible.any(axis=1, keepdims=True)
    near = np.where(seen, np.where(visible[..., None], points, np.inf).min(axis=1), 0)
    far = np.where(seen, np.where(visible[..., None], points, -np.inf).max(axis=1), 0)
    extent = far - near
    return np.hstack([near - BOX_MARGIN * extent, (1 + 2 * BOX_MARGIN) * extent])
