"""How fast this machine trains, cuts out, predicts and measures, and how near training comes to the network's own limit.

The floor of a method is its passes through its networks alone: as many forward and backward passes per pair (one labelled and one
unlabelled person) as the method does, on tensors that lie on the device, in the same precision. `step` adds views, masks, targets,
losses and the optimiser; `end_to_end` is the training loop itself (engine.fit), from crop pack to step.
"""

import tempfile
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from semipose.bench.clock import in_turn, rate, spread
from semipose.bench.components import cut_out, product, reporting, scoring
from semipose.bench.training import Subject
from semipose.data.sources import read_people
from semipose.demo.dataset import render_set
from semipose.evaluation.metrics.oks import Backend
from semipose.models.backbones import backbone_of
from semipose.pose.heatmap import STRIDE
from semipose.training.devices import launch
from semipose.utils.errors import InputError

if TYPE_CHECKING:
    from semipose.config.tree import Params

EXTENT = 1.25  # ratio; data.crop.extent of the presets for published networks
DRAWN = 160  # images of the demo, where there is no data of the user's own


def as_published(p: "Params", backbone: str, size: tuple[int, int]) -> "Params":
    """The parameters with a backbone as published (256 channels in each deconvolution, sigma 2 cells at 256 px) and an input of this height
    and width; crops as fine as the input, with the room of the presets for such inputs."""
    height, width = size
    changed = {"backbone": backbone, "options": {}, "head_channels": [], "height": height, "width": width, "sigma": height / 128}
    model = p.model.model_copy(update=changed)
    stride = backbone_of(model.model_copy(update={"pretrained": False})).stride
    model = model.model_copy(update={"head_channels": [256] * ((stride // STRIDE).bit_length() - 1)})
    crop = p.data.crop.model_copy(update={"size": round(max(size) * EXTENT), "extent": EXTENT})
    return p.model_copy(update={"model": model, "data": p.data.model_copy(update={"crop": crop})})


def bench(
    p: "Params", methods: list[str], root: Path | None, people: int, rounds: int, steps: int, runs: Path = Path("reports/runs")
) -> dict[str, Any]:
    """Measure everything in `rounds` rounds of `steps` training steps each.

    root: the data set that `p.data.source` lies in; None draws people. people: how many of them are cut out. runs: a project's evaluated
    cells, if it has any, from which a table is made. Rates are medians over the rounds, `spread` holds the lowest and highest. Raises
    InputError for data that cannot be read.
    """
    fabric = launch(p.machine, p.train.precision)
    device = fabric.device
    if root is None and p.data.source != "demo":
        raise InputError(f"data.source is {p.data.source}: say with --root where it lies, or take params.yaml of the demo")
    with tempfile.TemporaryDirectory() as scratch, torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        folder = Path(scratch)
        if root is None:
            root = folder / "drawn"
            render_set(root, {"train": DRAWN}, seed=0, processes=p.machine.workers)
        everybody = read_people(p.data.source, root, "train", p.data.validation_people, p.data.custom)
        chosen = everybody.subset(np.arange(min(people, len(everybody))))
        pack, packing, cutting = cut_out(p, chosen, root, folder, rounds)
        multiply, flop = product(device, p.train.precision)
        work: dict[str, Callable[[], float]] = {"matrix": lambda: rate(multiply, device) * flop / 1e9}
        subjects = {name: Subject(name, p, pack, fabric, steps, folder) for name in methods}
        for name, subject in subjects.items():
            work |= {f"{name} {what}": getattr(subject, what) for what in ("floor", "step", "end_to_end")}
        first, score = next(iter(subjects.values())), scoring(p)
        work |= {
            "data road": partial(first.data_road, False),
            "three views": partial(first.data_road, True),
            "prediction": first.prediction,
        }
        backends: list[Backend] = ["pycocotools", *(["faster-coco-eval"] if find_spec("faster_coco_eval") else [])]  # type: ignore[list-item]
        for backend in backends:
            work[backend] = partial(rate, partial(score, backend), device)
        if report := reporting(p, runs):
            work["report"] = partial(rate, report, torch.device("cpu"))
        found = in_turn(work, rounds)
        matrix = spread(found["matrix"]).median
        return {
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU",
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "precision": p.train.precision,
            "backbone": p.model.backbone,
            "input": f"{p.model.height}x{p.model.width}",
            "batch_size": p.train.batch_size,
            "people": len(pack),
            "rounds": rounds,
            "steps": steps,
            "matrix_gflops": matrix,
            "methods": {name: _summary(name, subject, found, matrix) for name, subject in subjects.items()},
            "image_px": int(np.median(chosen.sizes.max(axis=1))),
            "crop": p.data.crop.size,
            "packing": packing,
            "cutting": cutting,
            "data_road": spread(found["data road"]).median,
            "three_views": spread(found["three views"]).median,
            "prediction": spread(found["prediction"]).median,
            "scoring": {backend: spread(found[backend]).median for backend in backends},
            "report": spread(found["report"]).median if "report" in found else None,
            "spread": {name: spread(values)[1:] for name, values in found.items()},
        }


def _summary(name: str, subject: Subject, found: dict[str, list[float]], matrix: float) -> dict[str, Any]:
    gflop = subject.cost.gflop
    floor, step, whole = (found[f"{name} {what}"] for what in ("floor", "step", "end_to_end"))
    of_floor = spread([one / limit for one, limit in zip(whole, floor, strict=True)])
    return {
        "floor": spread(floor).median,
        "step": spread(step).median,
        "end_to_end": spread(whole).median,
        "of_floor": of_floor.median,
        "of_floor_spread": of_floor[1:],
        "gflop": gflop,
        "floor_of_matrix": gflop * spread(floor).median / matrix,
        "peak_memory_mib": subject.peak,
        "shares": subject.shares(),
    }
