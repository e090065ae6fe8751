"""Writing a crop pack (crops.py), in parallel; a writer that was killed goes on where it was."""

import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from numpy.typing import NDArray

from semipose.data import pixels
from semipose.data.loading import pack
from semipose.data.loading.pack import PACK, digest_of, pack_matrices
from semipose.data.packing import cutting
from semipose.data.packing.cutting import Cut, cut_image
from semipose.data.packing.unfinished import Unfinished
from semipose.data.people import People
from semipose.data.pixels import Exif
from semipose.pose import geometry
from semipose.utils.errors import DOWNLOAD_AGAIN, InputError
from semipose.utils.files import naming, write_text
from semipose.utils.progress import Progress
from semipose.utils.workers import in_processes

CHUNK = 64  # images that a process takes at a time


@dataclass(frozen=True)
class Recipe:
    """How people are cut out: a crop is a square of `size` px about the box's centre that shows `extent` times the longer side of the box
    grown by `padding` to `aspect` (width / height of the network's input), mean colour outside the image. It is shrunk to that, never
    magnified: of a smaller person it keeps the image's own pixels and shows more around. It is stored as a JPEG of `quality` (1-100), or
    raw where that is None. ``exif``: whether an image's EXIF orientation counts; None: the annotated sizes say."""

    size: int
    padding: float
    extent: float
    aspect: float = 3 / 4
    quality: int | None = None
    exif: Exif | None = None


def write_pack(people: People, root: Path, folder: Path, recipe: Recipe, max_broken: int, processes: int) -> dict[str, Any]:
    """Cut every person out of the images under ``root`` and write the pack; its bytes do not depend on ``processes``.

    Images that cannot be decoded, or end early, are left out with their people, up to ``max_broken`` of them. The folder is replaced
    when all is done; until then it stays as it was. Returns the content of pack.json and `people`, `images` (counts), `dropped` (people
    left out, by reason), `bytes` (of the crops).

    Raises InputError: an image is missing, unreadable, of another size than annotated or with an EXIF orientation that nothing decides
    about, a box does not lie on its image, too many images are broken. Raises OSError, with the name of a file or of the folder, if the
    disk is full or cannot be written.
    """
    summary = cut_pack(people, root, folder, recipe, max_broken, processes)
    place_pack(folder)
    return summary


def cut_pack(people: People, root: Path, folder: Path, recipe: Recipe, max_broken: int, processes: int) -> dict[str, Any]:
    """``write_pack`` but for its last act, ``place_pack``: the finished pack waits beside the folder. Called again after it was killed, or
    had failed, for the same people, images and recipe, it goes on with the crops that it had written; and has nothing to do if it had
    finished."""
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
    """Put the finished pack that waits beside the folder in its place."""
    former, waiting = _beside(folder, "former"), _beside(folder, "partial")
    (waiting / Unfinished.KEY).unlink()
    shutil.rmtree(former, ignore_errors=True)
    if folder.exists():
        folder.rename(former)
    waiting.rename(folder)
    shutil.rmtree(former, ignore_errors=True)


def _beside(folder: Path, kind: str) -> Path:
    return folder.with_name(f".{folder.name}.{kind}")  # always the same, so that the next run finds what a killed one left


def _key(people: People, root: Path, recipe: Recipe, images: list[tuple[str, int, int]]) -> str:
    """A digest of all that decides about the pack, the code that cuts included."""
    code = [Path(str(module.__file__)).read_text(encoding="utf-8") for module in (cutting, geometry, pack, pixels)]
    decides = [str(root), people.images, images, people.skeleton.joints, people.dropped, asdict(recipe), PIL.__version__, code]
    digest = hashlib.sha256(json.dumps(decides).encode())
    for name, array in people.arrays().items():
        digest.update(name.encode() + array.tobytes())
    return digest.hexdigest()


def _check_images(people: People, root: Path) -> list[tuple[str, int, int]]:
    """Each image with its bytes and the time of its last change (ns)."""
    names = list(dict.fromkeys(people.images))
    if missing := [name for name in names if not (root / name).is_file()]:
        more = f" (and {len(missing) - 1:,} more images)" if len(missing) > 1 else ""
        raise InputError(
            f"{root / missing[0]}: missing, but annotation {people.ids[people.images.index(missing[0])]} needs it{more}; "
            f"check data.root, or {DOWNLOAD_AGAIN}"
        )
    return [(name, about.st_size, about.st_mtime_ns) for name in names for about in [(root / name).stat()]]


def check_boxes(people: People) -> None:
    """Raises InputError for a box that cannot be cut out: it lies off its image, or is more than ten times as large."""
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


def _write(people: People, root: Path, unfinished: Unfinished, recipe: Recipe, max_broken: int, processes: int) -> None:
    """All files of the pack, flushed to disk; pack.json is the last."""
    folder, how = unfinished.folder, asdict(recipe)
    del how["exif"]  # whoever opens a pack need not know it
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
    """What ``write_pack`` says of a finished pack, but for the bytes of its crops."""
    people = People.load(folder / "people.npz")
    record: dict[str, Any] = json.loads((folder / PACK).read_bytes())
    return record | {"people": len(people), "images": len(set(people.images)), "dropped": people.dropped}


def _cut(
    people: People, root: Path, unfinished: Unfinished, matrices: NDArray[np.float32], recipe: Recipe, max_broken: int, processes: int
) -> dict[str, str]:
    """Cut every image that was not cut before; returns the broken ones and why, in the order of the table."""
    number = {name: k for k, name in enumerate(dict.fromkeys(people.images))}
    rows = np.argsort([number[name] for name in people.images], kind="stable")
    rows = rows[~unfinished.cut[rows]]

    def cuts() -> Iterator[Cut]:  # made when a process takes them: millions would fill the memory
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
            if len(broken) > max_broken or len(broken) == len(number):
                some = "; ".join(f"{root / name} ({reason})" for name, reason in list(broken.items())[:3])
                raise InputError(
                    f"{len(broken)} broken images and data.max_broken = {max_broken}: {some}"
                    f"{'; ...' if len(broken) > 3 else ''}. Bring them again, or raise data.max_broken in params.yaml"
                )
    return broken
