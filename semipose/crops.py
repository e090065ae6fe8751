"""The crop pack: every person of a table cut out once, so that training decodes no image.

A pack is a folder: crops.npy [N, S, S, 3] (uint8, RGB), matrices.npy [N, 2, 3] (float32, image px -> crop px),
people.npz (the N people), pack.json (how it was made, and a digest of the three).
"""

import errno
import hashlib
import json
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from semipose.cutting import Cut, cut_parallel
from semipose.errors import InputError
from semipose.geometry import from_box, transform
from semipose.people import People

FILES = ("crops.npy", "matrices.npy", "people.npz")
WRITE_AGAIN = "run `dvc repro prepare` to write it again"


def write_pack(
    people: People,
    root: Path,
    folder: Path,
    size: int,
    padding: float,
    extent: float,
    max_broken: int,
    processes: int,
    aspect: float = 3 / 4,
) -> dict[str, Any]:
    """Cut every person out of the images under ``root`` and write the pack; its bytes do not depend on ``processes``.

    A crop is a square of ``size`` px, centred on the box, that shows ``extent`` times the longer side of the box grown
    by ``padding`` to ``aspect`` (width / height of the network's input), mean colour outside the image. Images that
    cannot be decoded, or end early, are left out with their people, up to ``max_broken`` of them. The folder is
    replaced when all is done; until then it stays as it was. Returns the content of pack.json and `people`, `images`
    (counts), `dropped` (people left out, by reason), `bytes` (of crops.npy).

    Raises InputError: an image is missing, unreadable or of another size than annotated, a box does not lie on its
    image, too many images are broken, the disk is full.
    """
    root, folder = Path(root), Path(folder)
    if not len(people):
        raise InputError(f"{folder}: there are no people to cut out; check data.source and data.root")
    _check_images(people, root)
    _check_boxes(people)
    partial_folder = folder.with_name(f".{folder.name}.partial")  # one name, so that the next run clears a killed one
    shutil.rmtree(partial_folder, ignore_errors=True)
    needed = len(people) * size * size * 3
    try:
        partial_folder.mkdir(parents=True)
        free = shutil.disk_usage(partial_folder).free
        if needed > free:
            raise OSError(errno.ENOSPC, f"{free:,} bytes are free")
        made = {"size": size, "padding": padding, "extent": extent, "aspect": aspect}
        summary = _write(people, root, partial_folder, made, max_broken, processes)
        _replace(partial_folder, folder)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        remedy = f"make room for {needed:,} bytes" if full else "check the folder and its permissions"
        raise InputError(f"{folder}: the crop pack cannot be written ({error.strerror or error}); {remedy}") from error
    finally:
        shutil.rmtree(partial_folder, ignore_errors=True)
    return summary


def crop_matrices(boxes: NDArray[np.float32], size: int, padding: float, extent: float, aspect: float) -> Tensor:
    """Image px -> crop px [N, 2, 3] of the square crops around boxes [N, 4] (xywh px); see ``write_pack``."""
    box = torch.from_numpy(np.asarray(boxes, np.float32))
    grown = padding * torch.maximum(box[:, 2], box[:, 3] * aspect)  # the width; the height is grown / aspect
    side = (extent * grown * max(1.0, 1 / aspect))[:, None]
    corner = box[:, :2] + (box[:, 2:] - side) / 2
    return from_box(torch.cat([corner, side, side], dim=1), (size, size), padding=1.0)


@dataclass(frozen=True, eq=False)
class CropPack:
    """A pack on disk, opened: its crops are read when they are asked for."""

    folder: Path
    people: People
    crops: NDArray[np.uint8]  # [N, S, S, 3], a memory map
    matrices: NDArray[np.float32]  # [N, 2, 3] image px -> crop px
    size: int  # px
    padding: float
    extent: float
    aspect: float  # width / height of the network's input that it was made for
    digest: str
    broken: list[str]  # images left out

    def __len__(self) -> int:
        return len(self.people)

    @classmethod
    def open(cls, folder: Path) -> "CropPack":
        """Raises InputError where there is no pack, or one whose files do not belong together."""
        folder = Path(folder)
        try:
            made = json.loads((folder / "pack.json").read_text(encoding="utf-8"))
            people = People.load(folder / "people.npz")
            crops = np.load(folder / "crops.npy", mmap_mode="r")
            matrices = np.load(folder / "matrices.npy")
            count, size = made.pop("count"), made["size"]
            pack = cls(folder=folder, people=people, crops=crops, matrices=matrices, **made)
        except FileNotFoundError as error:
            raise InputError(f"{error.filename}: missing from the crop pack; {WRITE_AGAIN}") from None
        except InputError:
            raise
        except Exception as error:  # numpy raises a dozen kinds for a damaged file
            raise InputError(f"{folder}: not a crop pack ({error}); {WRITE_AGAIN}") from error
        if (crops.shape, matrices.shape, len(people)) != ((count, size, size, 3), (count, 2, 3), count):
            raise InputError(f"{folder}: the files of this crop pack do not belong together; {WRITE_AGAIN}")
        return pack

    def images(self, positions: ArrayLike) -> Tensor:
        """The crops at these positions, uint8 RGB [B, 3, S, S]: fresh and contiguous, the caller's own."""
        rows = np.asarray(self.crops)[np.asarray(positions)]
        return torch.from_numpy(rows).permute(0, 3, 1, 2).contiguous()

    def points(self, positions: ArrayLike) -> tuple[Tensor, Tensor]:
        """Keypoints [B, K, 2] in crop px, and visible [B, K] float: 1 if annotated, 0 if the point says nothing."""
        chosen = np.asarray(positions)
        points = torch.from_numpy(self.people.points[chosen])
        visible = torch.from_numpy((self.people.visibility[chosen] > 0).astype(np.float32))
        return transform(torch.from_numpy(self.matrices[chosen]), points), visible

    def verify(self) -> None:
        """Read every byte. Raises InputError where the files are not those that were written."""
        if _digest(self.folder) != self.digest:
            raise InputError(f"{self.folder}: the files of this crop pack have changed since; {WRITE_AGAIN}")


def _check_images(people: People, root: Path) -> None:
    first = dict(zip(reversed(people.images), reversed(people.ids.tolist()), strict=True))  # image -> its first person
    missing = [name for name in dict.fromkeys(people.images) if not (root / name).is_file()]
    if missing:
        more = f" (and {len(missing) - 1:,} more images)" if len(missing) > 1 else ""
        raise InputError(
            f"{root / missing[0]}: missing, but annotation {first[missing[0]]} needs it{more}; "
            "check data.root, or run `dvc repro --force download`"
        )


def _check_boxes(people: People) -> None:
    near, extent = people.boxes[:, :2], people.boxes[:, 2:]
    on_image = ((near < people.sizes) & (near + extent > 0)).all(1)
    sensible = (extent > 0).all(1) & (extent.max(1) <= 10 * people.sizes.max(1))  # more would fill the memory
    unknown = people.sizes.min(axis=1) == 0  # the source could not read the header of this image
    sound = np.isfinite(people.boxes).all(1) & ((on_image & sensible) | unknown)
    for i in np.flatnonzero(~sound)[:1]:
        box, (width, height) = [round(value, 2) for value in people.boxes[i].tolist()], people.sizes[i]
        raise InputError(
            f"annotation {people.ids[i]}: the box {box} (x, y, width, height) does not lie on its image "
            f"{people.images[i]} of {width} x {height} px; correct it, or leave the annotation out"
        )


def _write(people: People, root: Path, folder: Path, made: dict[str, Any], max_broken: int, processes: int) -> dict[str, Any]:
    """Fill the folder with the four files of a pack, flushed to disk; returns what ``write_pack`` does."""
    target = folder / "crops.npy"
    matrices = crop_matrices(people.boxes, **made).numpy()
    _allocate(target, (len(people), made["size"], made["size"], 3))
    broken = _cut(people, root, target, matrices, max_broken, processes)
    if broken:
        kept = np.flatnonzero([name not in broken for name in people.images])
        dropped = people.dropped | {"broken image": len(people) - len(kept)}
        people, matrices = replace(people.subset(kept), dropped=dropped), matrices[kept]
        _keep_rows(target, kept)
    np.save(folder / "matrices.npy", matrices)
    people.save(folder / "people.npz")
    record = made | {"count": len(people), "broken": list(broken), "digest": _digest(folder)}
    (folder / "pack.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    for name in (*FILES, "pack.json"):
        with (folder / name).open("rb") as file:
            os.fsync(file.fileno())
    counts = {"people": len(people), "images": len(set(people.images)), "bytes": target.stat().st_size}
    return record | counts | {"dropped": people.dropped}


def _allocate(target: Path, shape: tuple[int, ...]) -> None:
    """An .npy of zeros whose blocks are on the disk: to write through a memory map of a full disk would kill us."""
    np.lib.format.open_memmap(target, mode="w+", dtype=np.uint8, shape=shape).flush()
    with target.open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, target.stat().st_size)


def _cut(people: People, root: Path, target: Path, matrices: NDArray[np.float32], max_broken: int, processes: int) -> dict[str, str]:
    """Cut every image once; returns the broken ones and why, in the order of the table."""
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(people.images):
        rows.setdefault(name, []).append(row)
    cuts = [
        Cut(root / name, (int(people.sizes[of[0], 0]), int(people.sizes[of[0], 1])), np.array(of), matrices[of])
        for name, of in rows.items()
    ]
    broken: dict[str, str] = {}
    for result in cut_parallel(cuts, target, processes):
        broken |= {path.relative_to(root).as_posix(): reason for path, reason in result}
        if len(broken) > max_broken or len(broken) == len(cuts):
            some = "; ".join(f"{root / name} ({reason})" for name, reason in list(broken.items())[:3])
            raise InputError(
                f"{len(broken)} broken images and data.max_broken = {max_broken}: {some}"
                f"{'; ...' if len(broken) > 3 else ''}. Bring them again, or raise data.max_broken in params.yaml"
            )
    return broken


def _keep_rows(target: Path, kept: NDArray[np.int64]) -> None:
    """Move these rows (ascending) of an .npy to its front, and cut the file off behind them."""
    crops = np.load(target, mmap_mode="r+")
    for start in range(0, len(kept), 256):
        rows = kept[start : start + 256]
        crops[start : start + len(rows)] = crops[rows]  # every row moves forward, so none is overwritten unread
    crops.flush()
    header = {"descr": "|u1", "fortran_order": False, "shape": (len(kept), *crops.shape[1:])}
    with target.open("r+b") as file:
        np.lib.format.write_array_header_1_0(file, header)  # numpy pads it, so its length does not depend on N
        file.truncate(file.tell() + len(kept) * crops[0].size)


def _digest(folder: Path) -> str:
    """SHA-256 over the three files of a pack, one after the other."""
    digest = hashlib.sha256()
    for name in FILES:
        with (folder / name).open("rb") as file:
            while block := file.read(1 << 22):
                digest.update(block)
    return digest.hexdigest()


def _replace(made: Path, folder: Path) -> None:
    """Put a finished folder in the place of another one."""
    former = folder.with_name(f".{folder.name}.former")
    shutil.rmtree(former, ignore_errors=True)
    if folder.exists():
        folder.rename(former)
    made.rename(folder)
    shutil.rmtree(former, ignore_errors=True)
