"""The people table: one row per annotated person, whatever the data set that the person comes from."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semipose.pose.skeleton import Skeleton, decode
from semipose.utils.errors import PACK_AGAIN, InputError
from semipose.utils.files import replacing

ARRAYS = {
    "ids": np.int64,
    "image_ids": np.int64,
    "sizes": np.int64,
    "boxes": np.float32,
    "areas": np.float32,
    "points": np.float32,
    "visibility": np.uint8,
}
CLAMPED = ("coco", "demo", "custom")
"""Sources whose readers clamp boxes into the image (`sources.coco.clamp`); the others take them as they are."""
OPTIONAL = {"head_sizes": np.float32, "scores": np.float32}  # [N], or None where the data set has no such thing


@dataclass(frozen=True, eq=False)
class People:
    """N people with K = len(skeleton.joints) keypoints each, in the order of the data set's file.

    ids [N]: unique annotation ids. image_ids [N]. images: N paths relative to the data root, with forward slashes.
    sizes [N, 2]: width and height of the image (px). boxes [N, 4]: xywh (px). areas [N]: area of the person as OKS
    takes it (px^2): COCO's segment area, else the box area. points [N, K, 2]: x, y (px; integer = pixel centre).
    visibility [N, K]: 0 not annotated, 1 annotated but occluded, 2 visible. dropped: people left out, by reason.
    head_sizes [N]: what PCKh is measured by (px), NaN where unknown; None where the data set knows no head. scores [N]: a detector's
    confidence in the box; None where boxes were drawn by hand.
    understood: what of the data set's file was not written as usual, and how often; not saved.
    Arrays are converted to the kinds of number in ARRAYS and OPTIONAL. Raises ValueError where they do not belong together.
    """

    skeleton: Skeleton
    ids: NDArray[Any]
    image_ids: NDArray[Any]
    images: list[str]
    sizes: NDArray[Any]
    boxes: NDArray[Any]
    areas: NDArray[Any]
    points: NDArray[Any]
    visibility: NDArray[Any]
    dropped: dict[str, int] = field(default_factory=dict)
    head_sizes: NDArray[Any] | None = None
    scores: NDArray[Any] | None = None
    understood: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        count, joints = len(self.images), len(self.skeleton.joints)
        rests = {"sizes": (2,), "boxes": (4,), "points": (joints, 2), "visibility": (joints,)}
        for name, dtype in (ARRAYS | OPTIONAL).items():
            if name in OPTIONAL and getattr(self, name) is None:
                continue
            array = np.asarray(getattr(self, name))
            expected = (count, *rests.get(name, ()))
            if array.shape != expected:
                raise ValueError(f"People.{name} has shape {array.shape}, expected {expected} for {count} images")
            object.__setattr__(self, name, array.astype(dtype, copy=False))
        if len(np.unique(self.ids)) != count:
            raise ValueError("People.ids are not unique")

    def __len__(self) -> int:
        return len(self.images)

    def subset(self, positions: ArrayLike) -> "People":
        """The people at these positions (integers, or a mask of N booleans), in that order; `dropped` is kept."""
        index = np.asarray(positions)
        chosen = np.arange(len(self))[index if index.size else index.astype(np.int64)]  # an empty list is one of floats
        arrays = {name: array[chosen] for name, array in self.arrays().items()}
        return People(self.skeleton, images=[self.images[i] for i in chosen], dropped=dict(self.dropped), **arrays)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All that has a row for each person, but for the images; by name."""
        return {name: getattr(self, name) for name in (*ARRAYS, *OPTIONAL) if getattr(self, name) is not None}

    def save(self, path: Path | str) -> None:
        """Write the table as one .npz: equal tables give equal bytes, and no pickle is in it."""
        with replacing(Path(path)) as temporary, temporary.open("wb") as file:
            np.savez(
                file,
                skeleton=np.array(self.skeleton.encode()),
                images=np.array(self.images, dtype=np.str_),
                dropped=np.array(json.dumps(self.dropped, sort_keys=True)),
                **self.arrays(),  # type: ignore[arg-type]
            )

    @staticmethod
    def load(path: Path | str) -> "People":
        """Read what `save` wrote.

        Raises:
            InputError: The file is missing or damaged.
        """
        try:
            with np.load(path, allow_pickle=False) as table:
                return People(
                    skeleton=decode(str(table["skeleton"])),
                    images=table["images"].tolist(),
                    dropped=json.loads(str(table["dropped"])),
                    **{name: table[name] for name in (*ARRAYS, *(OPTIONAL.keys() & table.files))},
                )
        except FileNotFoundError as error:
            raise InputError(f"{path}: missing; {PACK_AGAIN}") from error
        except Exception as error:  # numpy and zipfile raise a dozen kinds for a damaged file
            raise InputError(f"{path}: not an annotation table ({error}); {PACK_AGAIN}") from error
