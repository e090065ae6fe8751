"""Large crop packs: speed of writing and reading, disk and memory, time until a training can begin."""

import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import numpy as np

from semipose.bench.clock import in_turn, spread
from semipose.bench.components import cutting
from semipose.config.tree import Params
from semipose.data.loading.pack import CropPack, digest_of
from semipose.data.packing.writing import Recipe, write_pack
from semipose.data.people import People
from semipose.data.splits import make_splits, read_split
from semipose.utils.workers import in_processes

BATCH = 64  # people read at a time
CUT = 512  # people cut out to time that alone
READ = 32  # batches of a round


def scale(p: Params, people: People, root: Path, folder: Path, count: int, entries: int, rounds: int) -> dict[str, Any]:
    """Write large packs, and measure writing, reading and opening them.

    The people of `root` are repeated, each time in images of another name.
    The crops of the pack with `entries` people are the same `count`, repeated.

    Args:
        p: All parameters.
        people: The people to repeat.
        root: Folder of their images.
        folder: Where everything is written.
        count: Number of people in the packs that are written whole, raw and JPEG.
        entries: Number of people in the JPEG pack whose opening is timed; only its tables are
            written.
        rounds: Rounds of each measurement.

    Returns:
        Rates in people per second, sizes in bytes, times in seconds.
    """
    many = _repeated(people, root, folder / "images", count)
    crop = p.data.crop
    recipe = Recipe(crop.size, crop.padding, crop.extent, p.model.width / p.model.height, exif=p.data.exif)
    found: dict[str, Any] = {"people": count, "size": crop.size, "processes": p.machine.workers, "quality": crop.quality, "format": {}}
    for name, quality in (("raw", None), ("jpeg", crop.quality)):
        writing, how = [], replace(recipe, quality=quality)
        for part in (count // 4, count):
            some = many.subset(np.arange(part))
            with _watched() as peak:
                begun = time.perf_counter()
                write_pack(some, folder / "images", folder / name, how, 0, p.machine.workers)
            writing.append({"people": part, "rate": part / (time.perf_counter() - begun), "memory": max(peak)})
        disk = sum(path.stat().st_size for path in (folder / name).iterdir()) / count
        alone = cutting(people.subset(np.arange(min(CUT, len(people)))), root, folder / "crops", how, rounds)
        found["format"][name] = {"writing": writing, "disk": disk, "cutting": alone, **_reading(folder / name, rounds)}
    raw, jpeg = (CropPack.open(folder / name) for name in ("raw", "jpeg"))
    shown = np.arange(0, count, max(1, count // 256))
    found["difference"] = float((raw.images(shown).float() - jpeg.images(shown).float()).abs().mean())
    found["start"] = _start(jpeg, folder / "repeated", entries)
    return found


def _repeated(people: People, root: Path, folder: Path, count: int) -> People:
    """The people of these images, repeated; for each repetition, their folder has another name."""
    folder.mkdir(parents=True)
    for k in range(-(-count // len(people))):
        (folder / str(k)).symlink_to(root.resolve())
    many = _tiled(people, count)
    return replace(many, images=[f"{k // len(people)}/{name}" for k, name in enumerate(many.images)])


def _tiled(people: People, count: int) -> People:
    """This many people, each with its own id."""
    rows = np.resize(np.arange(len(people)), count)
    arrays = {name: getattr(people, name)[rows] for name in ("image_ids", "sizes", "boxes", "areas", "points", "visibility")}
    return People(people.skeleton, ids=np.arange(1, count + 1), images=[people.images[row] for row in rows], **arrays)


def projected(found: dict[str, Any], name: str, people: int) -> dict[str, float]:
    """Project the measurements to a larger pack, in proportion.

    Args:
        found: What `scale` returned.
        name: "raw" or "jpeg".
        people: Number of people in the pack.

    Returns:
        `disk`: bytes; `writing`, `opening`: seconds; `memory`: bytes for its tables.
    """
    one, start = found["format"][name], found["start"]
    return {
        "disk": people * one["disk"],
        "writing": people / one["writing"][-1]["rate"],
        "memory": people * start["memory"] / start["people"],
        "opening": people * start["opening"] / start["people"],
    }


def _reading(folder: Path, rounds: int) -> dict[str, Any]:
    """People read per second by one thread, in the order of the pack and in random order, from the
    page cache; and from the disk.
    """
    pack = CropPack.open(folder)
    before = _memory("RssAnon")
    generator = np.random.default_rng(0)

    def read(in_order: bool) -> float:
        people = len(pack)
        rows = np.roll(np.arange(people), -int(generator.integers(people))) if in_order else generator.permutation(people)
        chosen = rows[: BATCH * READ]
        begun = time.perf_counter()
        for start in range(0, len(chosen), BATCH):
            pack.images(chosen[start : start + BATCH])
        return len(chosen) / (time.perf_counter() - begun)

    for path in folder.glob("crops.*"):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    found = {"from disk": read(False)}
    for start in range(0, len(pack), BATCH):  # everything is compared with its digests and comes into the page cache, if it has room
        pack.images(np.arange(start, min(start + BATCH, len(pack))))
    rates = in_turn({"in order": partial(read, True), "in any order": partial(read, False)}, rounds)
    found |= {name: spread(values).median for name, values in rates.items()}
    return found | {"own memory": _memory("RssAnon") - before, "pages of the file": _memory("RssFile")}


def _start(pack: CropPack, folder: Path, entries: int) -> dict[str, Any]:
    """Seconds to open a pack of this many entries, to find its labelled people, to read the first
    batch; and its memory.
    """
    folder.mkdir()
    rows = np.resize(np.arange(len(pack)), entries)
    _tiled(pack.people, entries).save(folder / "people.npz")
    for name in ("matrices", "digests", "index"):
        np.save(folder / f"{name}.npy", np.load(pack.folder / f"{name}.npy")[rows])
    os.link(pack.folder / "crops.jpg", folder / "crops.jpg")
    record = json.loads((pack.folder / "pack.json").read_text()) | {"count": entries}
    record["digest"] = digest_of(folder, record)
    (folder / "pack.json").write_text(json.dumps(record))
    opened = CropPack.open(folder).people
    record = make_splits(opened, {"all": entries // 10}, "random", 0, "all")["all"]
    (folder / "split.json").write_text(json.dumps(record))
    del opened
    (found,) = in_processes(_open, [folder], 2)  # in a process that has seen no such table: freed memory would be used again
    disk = sum(path.stat().st_size for path in folder.iterdir() if path.name != "crops.jpg")
    shutil.rmtree(folder)
    return found | {"people": entries, "tables": disk / entries}


def _open(folder: Path) -> dict[str, Any]:
    """Seconds to open the pack, to find who is unlabelled and to read a first batch; and the
    additional bytes of memory.
    """
    before, begun = _memory("RssAnon"), time.perf_counter()
    whole = CropPack.open(folder)
    at_hand = time.perf_counter()
    split = read_split(folder / "split.json", whole.people)
    divided = time.perf_counter()
    whole.images(np.random.default_rng(0).permutation(split.unlabelled)[:BATCH])
    first = time.perf_counter()
    memory = _memory("RssAnon") - before
    return {"opening": at_hand - begun, "split": divided - at_hand, "first batch": first - divided, "memory": memory}


@contextmanager
def _watched() -> Iterator[list[int]]:
    """Measure again and again the memory of this process and its
    workers (bytes, without pages of files).
    """
    seen, over = [0], threading.Event()
    own = _memory("RssAnon")

    def watch() -> None:
        while not over.wait(0.1):
            workers = sum(_memory("RssAnon", str(child.pid)) for child in active_children())
            seen.append(_memory("RssAnon") - own + workers)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()


def _memory(kind: str, process: str = "self") -> int:
    """Bytes of this kind (proc_pid_status(5)); 0 for a process that has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{kind}:"))
