"""The annotation table: one row per annotated person, for every data set."""

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
"""Sources whose readers clamp boxes into the image
(`coco_person.clamp`); others keep them as they are.
"""
OPTIONAL = {"head_sizes": np.float32, "scores": np.float32}  # [N], or None if the data set has no such values


@dataclass(frozen=True, eq=False)
class People:
    """N people with K = len(skeleton.joints) keypoints each, in the order of the data set's file.

    Arrays are converted to the number types in ARRAYS and OPTIONAL.

    Attributes:
        ids: Unique annotation ids, [N].
        image_ids: [N].
        images: N paths relative to the data root, with forward slashes.
        sizes: Width and height of the image (px), [N, 2].
        boxes: xywh (px), [N, 4].
        areas: Area of the person for OKS (px^2), [N]: COCO's segment area, else the box area.
        points: x, y (px; integer = pixel centre), [N, K, 2].
        visibility: [N, K]: 0 not annotated, 1 annotated but occluded, 2 visible.
        dropped: Number of people left out, by reason.
        head_sizes: Unit of PCKh (px), [N], NaN if unknown; None if the data set has no heads.
        scores: A detector's confidence in the box, [N]; None for annotated boxes.
        understood: What is not written as usual in the data set's file, and how often; not saved.
        places: Position of the person's annotation in the file's list, [N]; None: it has no such list; not saved.
        written_boxes: xywh as the file has them, before they are clamped, [N, 4]; None: as `boxes`; not saved.

    Raises:
        ValueError: Arrays do not fit each other.
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
    places: NDArray[Any] | None = None
    written_boxes: NDArray[Any] | None = None

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
        """The people at these positions (integers, or a mask of N
        booleans), in that order; `dropped` is kept.
        """
        index = np.asarray(positions)
        chosen = np.arange(len(self))[index if index.size else index.astype(np.int64)]  # an empty list would be one of floats
        arrays = {name: array[chosen] for name, array in self.arrays().items()}
        return People(self.skeleton, images=[self.images[i] for i in chosen], dropped=dict(self.dropped), **arrays)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All arrays with a row for each person, by name."""
        return {name: getattr(self, name) for name in (*ARRAYS, *OPTIONAL) if getattr(self, name) is not None}

    def save(self, path: Path | str) -> None:
        """Write the table as one .npz: equal tables give equal bytes, without pickle."""
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
        except Exception as error:  # numpy and zipfile raise a dozen kinds of errors for a damaged file
            raise InputError(f"{path}: not a table of person annotations ({error}); {PACK_AGAIN}") from error
