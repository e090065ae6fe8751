"""The crop pack: every person cut out once, so that training decodes no photo.

A pack is a folder (packing/writing.py writes it):

- people.npz: the N people.
- matrices.npy [N, 2, 3]: float32, image px -> crop px.
- digests.npy [N, 16]: the digest of each crop as it is stored.
- the crops, read through a memory map. `raw`: crops.npy [N, S, S, 3] (uint8, RGB). `jpeg`:
  crops.jpg, one JPEG after the other, and index.npy [N, 2]
  (int64: where each begins, and its bytes).
- pack.json: how it was made, and a digest of everything else.
"""

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from torch import Tensor

from semipose.data.loading.matrices import view_matrices
from semipose.data.people import People
from semipose.pose.geometry import transform
from semipose.utils.errors import PACK_AGAIN, InputError
from semipose.utils.files import DIGEST, digest

PACK = "pack.json"
TABLES = ("digests.npy", "matrices.npy", "people.npz", "index.npy")


class Crops(NamedTuple):
    """B people cut out.

    Attributes:
        pixels: uint8 RGB [B, 3, S, S].
        base: [B, 2, 3] from crop px to px of the network's input, which the padded box fills.
    """

    pixels: Tensor
    base: Tensor

    def to(self, device: torch.device) -> "Crops":
        return Crops(self.pixels.to(device), self.base.to(device))


@dataclass(frozen=True, eq=False)
class RawCrops:
    """The crops of a raw pack; `crops[positions]` [B] gives uint8 [B, S, S, 3].

    Each crop is compared with its digest the first time that this process reads it.
    After that it comes from the system's cache, twenty times as fast as a JPEG.

    Raises:
        InputError: The bytes of a crop are not those that were written.
    """

    path: Path
    pixels: NDArray[np.uint8]  # [N, S, S, 3], a memory map
    digests: NDArray[np.uint8]  # [N, 16]
    known: NDArray[np.bool_]  # [N]: compared with its digest

    def __getitem__(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        found = self.pixels[positions]
        for k in np.flatnonzero(~self.known[positions]):
            _hold(found[k].data, self.digests, int(positions[k]), self.path)
        self.known[positions] = True
        return found


@dataclass(frozen=True, eq=False)
class JpegCrops:
    """The crops of a pack of JPEGs, decoded and compared with
    their digests each time; else as RawCrops.
    """

    path: Path
    content: NDArray[np.uint8]  # a memory map
    index: NDArray[np.int64]  # [N, 2]
    digests: NDArray[np.uint8]  # [N, 16]
    size: int  # px

    def __getitem__(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        found = np.empty((len(positions), self.size, self.size, 3), np.uint8)
        for crop, row in zip(found, positions, strict=True):
            content = self.stored(int(row))
            _hold(content, self.digests, int(row), self.path)
            crop[:] = np.asarray(Image.open(io.BytesIO(content)))
        return found

    def stored(self, row: int) -> bytes:
        """The JPEG of one crop."""
        start, length = self.index[row]
        return self.content[start : start + length].tobytes()


@dataclass(frozen=True, eq=False)
class CropPack:
    """A pack on disk, opened: its crops are read when they are needed."""

    folder: Path
    people: People
    crops: RawCrops | JpegCrops
    matrices: NDArray[np.float32]  # [N, 2, 3] image px -> crop px
    size: int  # px
    padding: float
    extent: float
    aspect: float  # width / height of the network's input for which it was made
    digest: str
    broken: list[str]  # names of the images left out
    quality: int | None = None  # of the JPEGs; None: raw

    def __len__(self) -> int:
        return len(self.people)

    @classmethod
    def open(cls, folder: Path) -> "CropPack":
        """Open a pack; a changed crop is found when it is read.

        Raises:
            InputError: There is no pack, or its files have changed or do not fit each other.
        """
        folder = Path(folder)
        try:
            record = json.loads((folder / PACK).read_text(encoding="utf-8"))
            people = People.load(folder / "people.npz")
            matrices = np.load(folder / "matrices.npy")
            made = dict(record)
            count, size = int(made.pop("count")), int(made["size"])
            crops = (_open_jpegs if made["quality"] else _open_raw)(folder, count, size)
            pack = cls(folder=folder, people=people, crops=crops, matrices=matrices, **made)
        except FileNotFoundError as error:
            raise InputError(f"{error.filename}: missing from the crop pack; {PACK_AGAIN}") from None
        except InputError:
            raise
        except Exception as error:  # numpy raises a dozen kinds of errors for a damaged file
            raise InputError(f"{folder}: not a crop pack ({error}); {PACK_AGAIN}") from error
        if (matrices.shape, len(people)) != ((count, 2, 3), count):
            raise InputError(f"{folder}: the files of this crop pack do not fit each other; {PACK_AGAIN}")
        if digest_of(folder, record) != pack.digest:
            raise InputError(f"{folder}: the files of this crop pack have changed since they were written; {PACK_AGAIN}")
        return pack

    def images(self, positions: ArrayLike) -> Tensor:
        """The crops at these positions, uint8 RGB [B, 3, S, S], a new tensor; channels are last in
        memory, as in the pack.
        """
        return torch.from_numpy(self.crops[np.asarray(positions)]).permute(0, 3, 1, 2)

    def bases(self, positions: ArrayLike, size: tuple[int, int]) -> Tensor:
        """Crop px -> px of a view of `size` (h, w) with the pack's
        aspect, which the padded box fills: [B, 2, 3].
        """
        chosen = np.asarray(positions)
        return view_matrices(self.matrices[chosen], self.people.boxes[chosen], self.size, self.padding, self.extent, size)

    def read(self, positions: ArrayLike, size: tuple[int, int]) -> Crops:
        """The crops at these positions for a network's input of `size` (h, w)."""
        return Crops(self.images(positions), self.bases(positions, size))

    def points(self, positions: ArrayLike) -> tuple[Tensor, Tensor]:
        """Keypoints [B, K, 2] in crop px, and visible [B, K] float: 1 if annotated, 0 if not."""
        chosen = np.asarray(positions)
        points = torch.from_numpy(self.people.points[chosen])
        visible = torch.from_numpy((self.people.visibility[chosen] > 0).astype(np.float32))
        return transform(torch.from_numpy(self.matrices[chosen]), points), visible


def digest_of(folder: Path, record: dict[str, Any]) -> str:
    """SHA-256 over the other fields of pack.json and the tables of a pack; through digests.npy it
    covers the crops too.
    """
    whole = hashlib.sha256(json.dumps({key: value for key, value in record.items() if key != "digest"}, sort_keys=True).encode())
    for name in TABLES:
        if (folder / name).exists():
            whole.update(np.memmap(folder / name, mode="r").data)
    return whole.hexdigest()


def _open_raw(folder: Path, count: int, size: int) -> RawCrops:
    path = folder / "crops.npy"
    pixels, digests = (np.load(one, mmap_mode="r") for one in (path, folder / "digests.npy"))
    if (pixels.shape, pixels.dtype, digests.shape) != ((count, size, size, 3), np.uint8, (count, DIGEST)):
        raise ValueError("crops.npy and digests.npy do not fit each other")
    return RawCrops(path, pixels, digests, np.zeros(count, bool))


def _open_jpegs(folder: Path, count: int, size: int) -> JpegCrops:
    path = folder / "crops.jpg"
    digests, index = (np.load(folder / name, mmap_mode="r") for name in ("digests.npy", "index.npy"))
    content = np.memmap(path, mode="r", dtype=np.uint8)
    if (digests.shape, index.shape) != ((count, DIGEST), (count, 2)) or index.sum(1).max() > len(content):
        raise ValueError("crops.jpg, digests.npy and index.npy do not fit each other")
    crops = JpegCrops(path, content, index, digests, size)
    if Image.open(io.BytesIO(crops.stored(0))).size != (size, size):
        raise ValueError(f"its crops are not of {size} px")
    return crops


def _hold(content: bytes | memoryview, digests: NDArray[np.uint8], row: int, path: Path) -> None:
    """Compare a stored crop with its digest."""
    if digest(content) != digests[row].tobytes():
        raise InputError(f"{path}: crop {row} has changed since it was written; {PACK_AGAIN}")
