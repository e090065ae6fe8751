"""What is measured beside training: the device's best rate, cutting people out, and the way from heatmaps to AP."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from semipose.bench.clock import in_turn, rate, spread
from semipose.config.tree import Params
from semipose.data.annotations import annotations_of
from semipose.data.loading.matrices import pack_matrices
from semipose.data.loading.pack import CropPack
from semipose.data.packing.cutting import Cut, cut_image
from semipose.data.packing.writing import Recipe, write_pack
from semipose.data.people import People
from semipose.evaluation.evaluate import suppressed
from semipose.evaluation.metrics.average_precision import Backend, evaluate_oks
from semipose.inference.predict import Predictions
from semipose.pose.heatmap import STRIDE, decode, encode
from semipose.pose.skeleton import COCO17

SCORED = 2000  # people, in whom decoding, suppression and AP are timed


def product(device: torch.device, precision: Literal["32-true", "bf16-mixed"]) -> tuple[Callable[[], int], float]:
    """Make a matrix product that is large enough for the device's best rate.

    Args:
        device: Where it is computed.
        precision: "bf16-mixed" multiplies in bfloat16, "32-true" in float32.

    Returns:
        A function that does several products and returns how many; the floating-point operations of
        one.
    """
    dtype = torch.bfloat16 if precision == "bf16-mixed" else torch.float32
    # A CPU without bfloat16 units makes about 1 GFLOP/s there: 2048 would take minutes.
    size = 8192 if device.type == "cuda" else 2048 if dtype == torch.float32 else 512
    one, other = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))

    def work() -> int:
        for _ in range(4):
            torch.mm(one, other)
        return 4

    return work, 2.0 * size**3


def copying(device: torch.device) -> Callable[[], float]:
    """Copies within the device's memory; returns how many bytes were read and written."""
    size = 2**30 if device.type == "cuda" else 2**24
    one = torch.zeros(size, dtype=torch.uint8, device=device)
    other = torch.empty_like(one)

    def work() -> float:
        for _ in range(10):
            other.copy_(one)
        return 10 * 2.0 * size

    return work


def tiny_operations(device: torch.device, count: int = 5000) -> Callable[[], int]:
    """Operations of next to no arithmetic, whose launches are what takes time; returns how many."""
    one = torch.ones(4, device=device)

    def work() -> int:
        for _ in range(count):
            one.add_(1)
        return count

    return work


def cut_out(p: Params, people: People, root: Path, folder: Path, rounds: int) -> tuple[CropPack, dict[str, float], float]:
    """Measure how fast people are cut out.

    Args:
        p: All parameters.
        people: Whom to cut out.
        root: Folder of their images.
        folder: Where the pack is written, as `pack`.
        rounds: Rounds of each measurement.

    Returns:
        The pack; people per second by the number of processes (one, and all workers), until
        everything is on the disk; what `cutting` returns.
    """
    crop = p.data.crop
    recipe = Recipe(crop.size, crop.padding, crop.extent, p.model.width / p.model.height, exif=p.data.exif)

    def cut(processes: int) -> int:
        write_pack(people, root, folder / "pack", recipe, p.data.max_broken, processes)
        return len(people)

    here = torch.device("cpu")
    found = in_turn({str(n): lambda n=n: rate(lambda: cut(n), here) for n in dict.fromkeys((1, p.machine.workers))}, rounds)  # type: ignore[misc]
    rates = {n: spread(values).median for n, values in found.items()}
    return CropPack.open(folder / "pack"), rates, cutting(people, root, folder / "crops", recipe, rounds)


def cutting(people: People, root: Path, target: Path, recipe: Recipe, rounds: int) -> float:
    """Measure how many people one process cuts out per second of its CPU time.

    The time is that from the image's file to the digest and the system's copy of the crop; the disk
    is not waited for.

    Args:
        people: Whom to cut out.
        root: Folder of their images.
        target: A file for the crops; it is removed at the end.
        recipe: How people are cut out.
        rounds: Number of rounds; their median is returned.
    """
    matrices = pack_matrices(people.boxes, recipe.size, recipe.padding, recipe.extent, recipe.aspect).numpy()
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(people.images):
        rows.setdefault(name, []).append(row)
    cuts = [Cut(root / name, (0, 0), np.array(of), matrices[of]) for name, of in rows.items()]
    rates = []
    for _ in range(rounds + 1):  # the first one reads the images from the disk
        np.lib.format.open_memmap(target, "w+", np.uint8, (len(people), recipe.size, recipe.size, 3)).flush()
        begun = time.process_time()
        for cut in cuts:
            cut_image(cut, target, recipe.size, recipe.quality)
        rates.append(len(people) / (time.process_time() - begun))
    target.unlink()
    return spread(rates[1:]).median


def scoring(p: Params) -> Callable[[Backend], int]:
    """From heatmaps to AP, in memory: decoding, pose scores, OKS suppression in every image, COCOeval."""
    generator = torch.Generator().manual_seed(0)
    size = np.array([p.model.width, p.model.height], np.float32)
    joints = len(COCO17.joints)
    points = torch.rand(SCORED, joints, 2, generator=generator) * torch.from_numpy(size)
    cells = p.model.height // STRIDE, p.model.width // STRIDE
    heatmaps, _ = encode(points, torch.ones(SCORED, joints), cells, STRIDE, p.model.sigma)
    images = np.arange(SCORED) // 2
    boxes = np.tile([0, 0, *size], (SCORED, 1)).astype(np.float32)
    people = People(
        COCO17,
        ids=np.arange(SCORED),
        image_ids=images,
        images=[f"{image}.jpg" for image in images],
        sizes=np.tile(size.astype(np.int64), (SCORED, 1)),
        boxes=boxes,
        areas=np.full(SCORED, size.prod(), np.float32),
        points=points.numpy(),
        visibility=np.full((SCORED, joints), 2, np.uint8),
        scores=np.ones(SCORED, np.float32),
    )
    truth = annotations_of(people)

    def work(backend: Backend) -> int:
        decoded = [decode(batch, STRIDE) for batch in heatmaps.split(p.evaluate.batch_size)]
        found = Predictions(*(torch.cat(parts).numpy() for parts in zip(*decoded, strict=True)))
        evaluate_oks(truth, suppressed(found, people, people.areas, p.evaluate.nms_oks), backend=backend)
        return SCORED

    return work
