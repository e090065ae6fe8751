"""Writing a crop pack in parallel; a killed writer continues where it was."""

import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from numpy.typing import NDArray

from semipose.data import pixels
from semipose.data.loading import matrices, pack
from semipose.data.loading.matrices import pack_matrices
from semipose.data.loading.pack import PACK, digest_of
from semipose.data.packing import cutting
from semipose.data.packing.cutting import Cut, cut_image
from semipose.data.packing.unfinished import Unfinished
from semipose.data.people import People
from semipose.data.pixels import Exif
from semipose.pose import geometry
from semipose.utils.errors import DOWNLOAD_AGAIN, InputError
from semipose.utils.files import is_file, naming, write_text
from semipose.utils.progress import Progress
from semipose.utils.workers import in_processes

CHUNK = 64  # images per task of a worker


@dataclass(frozen=True)
class Recipe:
    """How people are cut out.

    A crop is a square of `size` px about the box's centre.
    The box is grown by `padding` to `aspect` (width / height of the network's input), and the crop
    shows `extent` times its longer side.
    Outside the image it has the mean colour.
    It is shrunk to that, never magnified: a crop of a smaller person keeps the image's own pixels
    and shows more around.

    Attributes:
        quality: Quality (1-100) of the stored JPEGs; None: raw.
        exif: Whether an image's EXIF orientation counts; None: the annotated sizes decide.
    """

    size: int
    padding: float
    extent: float
    aspect: float = 3 / 4
    quality: int | None = None
    exif: Exif | None = None


def write_pack(people: People, root: Path, folder: Path, recipe: Recipe, max_broken: int, processes: int) -> dict[str, Any]:
    """Cut every person out of the images and write the pack.

    Images that cannot be decoded, or end early, are left out with their people.
    The folder stays unchanged until everything is done, and is then replaced.

    Args:
        people: Whom to cut out.
        root: Folder that `people.images` are relative to.
        folder: Where the pack is written.
        recipe: How people are cut out.
        max_broken: Largest number of images that may be left out.
        processes: Number of workers; the pack's bytes do not depend on it.

    Returns:
        The content of pack.json and `people`, `images` (counts), `dropped` (people left out, by
        reason), `bytes` (of the crops).

    Raises:
        InputError: An image is missing, unreadable or of another size than annotated, or its EXIF
            orientation is undecided. Or a box is not on its image, or too many images are broken.
        OSError: The disk is full or cannot be written; the error names a file or the folder.
    """
    summary = cut_pack(people, root, folder, recipe, max_broken, processes)
    place_pack(folder)
    return summary


def cut_pack(people: People, root: Path, folder: Path, recipe: Recipe, max_broken: int, processes: int) -> dict[str, Any]:
    """Do all of `write_pack` but its last step, `place_pack`.

    The finished pack waits beside the folder.
    Arguments and result are those of `write_pack`.
    Called again for the same people, images and recipe after it was killed or failed, it continues
    with the crops already written.
    If it had finished, it does nothing.

    Raises:
        InputError: As `write_pack`.
        OSError: As `write_pack`.
    """
    if not len(people):
        raise InputError(f"{folder}: there are no people to cut out; check data.source and data.root")
    images = _check_images(people, root)
    check_boxes(people)
    waiting = _beside(folder, "partial")
    with naming(waiting):
        key = _key(people, root, recipe, images)
        unfinished = Unfinished(waiting, key, (len(people), recipe.size, recipe.size, 3), bool(recipe.quality))
        if not unfinished.finished:
            _write(people, root, unfinished, recipe, max_broken, processes)
    return _summary(waiting) | {"bytes": unfinished.crops.stat().st_size}


def place_pack(folder: Path) -> None:
    """Move the finished pack that waits beside the folder to its place."""
    former, waiting = _beside(folder, "former"), _beside(folder, "partial")
    (waiting / Unfinished.KEY).unlink()
    shutil.rmtree(former, ignore_errors=True)
    if folder.exists():
        folder.rename(former)
    waiting.rename(folder)
    shutil.rmtree(former, ignore_errors=True)


def _beside(folder: Path, kind: str) -> Path:
    return folder.with_name(f".{folder.name}.{kind}")  # always the same name, so that the next run finds what a killed one left


def _key(people: People, root: Path, recipe: Recipe, images: list[tuple[str, int, int]]) -> str:
    """A digest of everything that determines the pack, including the code that cuts."""
    code = [Path(str(module.__file__)).read_text(encoding="utf-8") for module in (cutting, geometry, matrices, pack, pixels)]
    decides = [str(root), people.images, images, people.skeleton.joints, people.dropped, asdict(recipe), PIL.__version__, code]
    digest = hashlib.sha256(json.dumps(decides).encode())
    for name, array in people.arrays().items():
        digest.update(name.encode() + array.tobytes())
    return digest.hexdigest()


def _check_images(people: People, root: Path) -> list[tuple[str, int, int]]:
    """Each image with its bytes and modification time (ns)."""
    names = list(dict.fromkeys(people.images))
    if missing := [name for name in names if not is_file(root / name)]:
        more = f" (and {len(missing) - 1:,} more images)" if len(missing) > 1 else ""
        raise InputError(
            f"{root / missing[0]}: missing, but annotation {people.ids[people.images.index(missing[0])]} needs it{more}; "
            f"check data.root, or {DOWNLOAD_AGAIN}"
        )
    return [(name, about.st_size, about.st_mtime_ns) for name in names for about in [(root / name).stat()]]


def check_boxes(people: People) -> None:
    """Check that every box can be cut out.

    Raises:
        InputError: A box is off its image, or more than ten times as large.
    """
    near, extent = people.boxes[:, :2], people.boxes[:, 2:]
    on_image = ((near < people.sizes) & (near + extent > 0)).all(1)
    sensible = (extent > 0).all(1) & (extent.max(1) <= 10 * people.sizes.max(1))  # more would fill the memory
    unknown = people.sizes.min(axis=1) == 0  # the header of this image could not be read
    sound = np.isfinite(people.boxes).all(1) & ((on_image & sensible) | unknown)
    for i in np.flatnonzero(~sound)[:1]:
        box, (width, height) = [round(value, 2) for value in people.boxes[i].tolist()], people.sizes[i]
        raise InputError(
            f"annotation {people.ids[i]}: the box {box} (x, y, width, height) is not on its image {people.images[i]} of "
            f"{width} x {height} px; correct it, or remove the annotation"
        )


def _write(people: People, root: Path, unfinished: Unfinished, recipe: Recipe, max_broken: int, processes: int) -> None:
    """Write all files of the pack and flush them to disk; pack.json is the last."""
    folder, how = unfinished.folder, asdict(recipe)
    del how["exif"]  # readers of a pack need not know it
    matrices = pack_matrices(people.boxes, **{name: how[name] for name in how if name != "quality"}).numpy()
    broken = _cut(people, root, unfinished, matrices, recipe, max_broken, processes)
    kept = np.flatnonzero(unfinished.cut)
    if broken:
        dropped = people.dropped | {"broken image": len(people) - len(kept)}
        people, matrices = replace(people.subset(kept), dropped=dropped), matrices[kept]
    unfinished.keep(kept)
    np.save(folder / "matrices.npy", matrices)
    people.save(folder / "people.npz")
    record = how | {"count": len(people), "broken": list(broken)}
    record["digest"] = digest_of(folder, record)
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    write_text(folder / PACK, json.dumps(record, indent=2) + "\n")


def _summary(folder: Path) -> dict[str, Any]:
    """What `write_pack` returns for a finished pack, without the bytes of its crops."""
    people = People.load(folder / "people.npz")
    record: dict[str, Any] = json.loads((folder / PACK).read_bytes())
    return record | {"people": len(people), "images": len(set(people.images)), "dropped": people.dropped}


def _cut(
    people: People, root: Path, unfinished: Unfinished, matrices: NDArray[np.float32], recipe: Recipe, max_broken: int, processes: int
) -> dict[str, str]:
    """Cut every image that was not cut before; return the broken ones
    with the reason, in the order of the table.
    """
    number = {name: k for k, name in enumerate(dict.fromkeys(people.images))}
    rows = np.argsort([number[name] for name in people.images], kind="stable")
    rows = rows[~unfinished.cut[rows]]

    def cuts() -> Iterator[Cut]:  # made when a worker takes them: millions would fill the memory
        for name, group in groupby(rows, lambda row: people.images[row]):
            of = np.array(list(group))
            yield Cut(root / name, (int(people.sizes[of[0], 0]), int(people.sizes[of[0], 1])), of, matrices[of])

    cut = partial(cut_image, target=unfinished.crops, size=recipe.size, quality=recipe.quality, exif=recipe.exif)
    left = len({people.images[row] for row in rows})
    broken: dict[str, str] = {}
    with Progress(len(number), "images", done=len(number) - left) as progress:
        for made in in_processes(cut, cuts(), min(processes, math.ceil(left / CHUNK)), CHUNK):
            progress.advance()
            if made.fault is None:
                unfinished.add(made)
                continue
            broken[people.images[made.rows[0]]] = made.fault
            check_broken(root, broken, max_broken, len(number))
    return broken


def check_broken(root: Path, broken: Mapping[str, str], most: int, count: int) -> None:
    """Check that not too many images (or videos) are broken.

    Args:
        root: Folder of the files, for the message.
        broken: Why each broken file is broken, by its name.
        most: Largest number of broken files (`data.max_broken`).
        count: Number of all files.

    Raises:
        InputError: More than `most` files are broken, or all.
    """
    if len(broken) > most or len(broken) == count:
        some = "; ".join(f"{root / name} ({reason})" for name, reason in list(broken.items())[:3])
        raise InputError(
            f"{len(broken)} broken files, but data.max_broken = {most}: {some}"
            f"{'; ...' if len(broken) > 3 else ''}. Replace them, or raise data.max_broken in params.yaml"
        )
