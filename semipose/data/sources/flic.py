"""People of FLIC, Frames Labeled In Cinema (Sapp and Taskar, CVPR 2013): examples.mat and images/, 11 joints of the upper body.

The authors' split tests on other frames of the same films. `films`, ours, validates on other films.
"""

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from semipose.data.people import People
from semipose.data.pixels import Exif
from semipose.data.sources.matlab import read_matlab
from semipose.data.sources.reading import BRING, image_numbers, image_sizes, kept
from semipose.pose.skeleton import FLIC11
from semipose.utils.errors import InputError

Films = Literal["films", "choose", "official"]
VALIDATION = {"american-wedding-unrated6x9", "collateral-disc1", "hitch", "irma-la-douce"}
"""Films of the validation people of `films`: 655 of the authors' 3,987 training people."""
CHOICE = {"12-oclock-high-special-edition", "batman-returns", "bend-of-the-river", "princess-diaries-2"}
"""Films of the development set, the 547 validation people of `choose`, for choices of steps and settings. Nobody trains on them."""
COLUMNS = [16, 12, 13, 0, 3, 1, 4, 2, 5, 6, 9]
"""Columns of `coords`, which has 29 joints, for the 11 that are labelled, in FLIC11's order."""
MARGIN, MARGIN_ABOVE = 0.15, 0.35
"""The box is the joints' extent, grown by these parts of its width and height: left, right and below; above, where the head is."""
AREA = 0.6
"""Part of its box that a person covers, for OKS: FLIC has no areas."""


def read_flic(root: Path, part: str, films: Films, exif: Exif | None = None) -> People:
    """People of `part`, "train" or "val".

    Args:
        root: Folder with examples.mat and images/.
        part: "train" or "val".
        films: Which people train and validate.
            "films": train on 22 films, validate on the four of VALIDATION.
            "choose": the same training people, validate on the four of CHOICE.
            "official": the authors' training and test people.
        exif: as `pixels.read_image` takes it.

    Returns:
        People whose ids are their places in the file, from 1. All labelled joints have visibility 2; coordinates are as the file has
        them. sizes are (0, 0) where an image file is there but damaged. Left out and counted: degenerate boxes.

    Raises:
        InputError: names the file and the remedy.
    """
    root = Path(root)
    coords, movies, images, training = _load(root / "examples.mat")
    own = np.array([_part(movie, bool(trained), films) == part for movie, trained in zip(movies, training, strict=True)], dtype=bool)
    if not own.any():
        raise InputError(f"{root / 'examples.mat'}: data.flic.split: {films} leaves no person for {part}; {BRING}")
    points = coords[own]
    visible = np.isfinite(points).all(axis=2)
    boxes = _boxes(points, visible)
    keep, dropped = kept(root / "examples.mat", {"degenerate box": ~(boxes[:, 2:] > 0).all(axis=1)})
    chosen = np.flatnonzero(own)[keep]
    names = [f"images/{images[k]}" for k in chosen]
    return People(
        skeleton=FLIC11,
        ids=chosen + 1,
        image_ids=image_numbers(names),
        images=names,
        sizes=image_sizes(root, names, "examples.mat", exif),
        boxes=boxes[keep].astype(np.float32),
        areas=(AREA * np.prod(boxes[keep, 2:], axis=1)).astype(np.float32),
        points=np.where(visible[..., None], points, 0)[keep].astype(np.float32),
        visibility=2 * visible[keep].astype(np.uint8),
        dropped=dropped,
    )


def _part(movie: str, training: bool, films: Films) -> str:
    """Which part a frame belongs to; "" if to none."""
    if films == "official":
        return "train" if training else "val"
    if not training:
        return ""
    validation, other = (VALIDATION, CHOICE) if films == "films" else (CHOICE, VALIDATION)
    return "val" if movie in validation else "" if movie in other else "train"


def _load(path: Path) -> tuple[NDArray[np.float64], list[str], list[str], NDArray[np.bool_]]:
    """Of the N entries: joints [N, 11, 2] px (NaN where unlabelled), film, name of the image, whether for training."""
    examples: Any = read_matlab(path, variable_names=["examples"]).get("examples")
    try:
        entries = examples.reshape(-1)
        coords = np.stack([np.asarray(entry.coords, dtype=np.float64) for entry in entries])
        if coords.shape[1:] != (2, 29):
            raise ValueError(f"`coords` has the shape {' x '.join(map(str, coords.shape[1:]))}")
        movies, images = ([str(getattr(entry, name).item()) for entry in entries] for name in ("moviename", "filepath"))
        training = np.array([bool(entry.istrain.item()) for entry in entries])
    except (AttributeError, ValueError, TypeError) as error:
        raise InputError(
            f"{path}: `examples` is not FLIC's 1 x N struct with coords (2 x 29), moviename, filepath and istrain ({error}); {BRING}"
        ) from None
    return np.moveaxis(coords, 1, 2)[:, COLUMNS], movies, images, training


def _boxes(points: NDArray[np.float64], visible: NDArray[np.bool_]) -> NDArray[np.float64]:
    """[N, 4] xywh around the labelled joints with the margins; of width and height 0 if there are fewer than two."""
    enough = (visible.sum(axis=1) > 1)[:, None]
    near = np.where(enough, np.where(visible[..., None], points, np.inf).min(axis=1), 0)
    extent = np.where(enough, np.where(visible[..., None], points, -np.inf).max(axis=1), 0) - near
    return np.hstack([near - [MARGIN, MARGIN_ABOVE] * extent, extent * [1 + 2 * MARGIN, 1 + MARGIN + MARGIN_ABOVE]])
