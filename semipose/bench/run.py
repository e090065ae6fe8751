"""How fast this machine trains, cuts out, predicts and measures, and how near training comes to the network's own limit.

The floor of a method is its passes through its networks alone.
It does as many forward and backward passes per pair as the method, in the same precision, on
tensors that lie on the device.
A pair is one labelled and one unlabelled person.
`step` adds views, masks, targets, losses and the optimiser.
`end_to_end` is the training loop itself (trainer.fit), from crop pack to step.
"""

import tempfile
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from semipose.bench.clock import in_turn, rate, spread
from semipose.bench.components import cut_out, product, scoring
from semipose.bench.training import Subject
from semipose.config.tree import Params
from semipose.data.sources import read_people
from semipose.demo.dataset import render_set
from semipose.evaluation.metrics.average_precision import Backend
from semipose.models.backbones import backbone_of
from semipose.pose.heatmap import STRIDE
from semipose.training.devices import launch
from semipose.utils.errors import InputError

EXTENT = 1.25  # ratio; data.crop.extent of the presets for published networks
DEMO_IMAGES = 160  # images of the demo, where there is no data of the user's own


def as_published(p: Params, backbone: str, size: tuple[int, int]) -> Params:
    """Change the parameters to a network as published, with crops as fine as its input.

    Deconvolutions have 256 channels, sigma is 2 cells at 256 px, and crops have the room of the
    presets for such inputs.

    Args:
        p: All parameters.
        backbone: timm's name of the backbone.
        size: Height and width of the input in px.
    """
    height, width = size
    changed = {"backbone": backbone, "options": {}, "head_channels": [], "height": height, "width": width, "sigma": height / 128}
    model = p.model.model_copy(update=changed)
    stride = backbone_of(model.model_copy(update={"pretrained": False})).stride
    model = model.model_copy(update={"head_channels": [256] * ((stride // STRIDE).bit_length() - 1)})
    crop = p.data.crop.model_copy(update={"size": round(max(size) * EXTENT), "extent": EXTENT})
    return p.model_copy(update={"model": model, "data": p.data.model_copy(update={"crop": crop})})


def bench(p: Params, methods: list[str], root: Path | None, people: int, rounds: int, steps: int) -> dict[str, Any]:
    """Measure everything: training, cutting out, prediction and evaluation.

    Args:
        p: All parameters.
        methods: Entries of `method` to train.
        root: Folder of the data set `p.data.source`; None: synthetic people.
        people: How many people are cut out.
        rounds: Rounds of each measurement.
        steps: Training steps in a round.

    Returns:
        Rates are medians over the rounds, `spread` holds the lowest and highest.

    Raises:
        InputError: The data cannot be read.
    """
    fabric = launch(p.machine, p.train.precision)
    device = fabric.device
    if root is None and p.data.source != "demo":
        raise InputError(f"data.source is {p.data.source}: say with --root where it lies, or take params.yaml of the demo")
    with tempfile.TemporaryDirectory() as scratch, torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        folder = Path(scratch)
        if root is None:
            root = folder / "demo"
            render_set(root, {"train": DEMO_IMAGES}, seed=0, processes=p.machine.workers)
        everybody = read_people(p.data.source, root, "train", p.data.validation_people, p.data.custom, p.data.flic.split, p.data.exif)
        chosen = everybody.subset(np.arange(min(people, len(everybody))))
        pack, packing, cutting = cut_out(p, chosen, root, folder, rounds)
        multiply, flop = product(device, p.train.precision)
        subjects = {name: Subject(name, p, pack, fabric, steps, folder) for name in methods}
        first, score = next(iter(subjects.values())), scoring(p)
        backends: list[Backend] = ["pycocotools", *(["faster-coco-eval"] if find_spec("faster_coco_eval") else [])]  # type: ignore[list-item]
        measure: dict[str, Callable[[], float]] = {"matrix": partial(rate, multiply, device)}
        for name, subject in subjects.items():
            measure |= {f"{name} {what}": partial(rate, getattr(subject, what), device) for what in ("floor", "step")}
            measure[f"{name} end_to_end"] = subject.end_to_end
        work: dict[str, Callable[[], int]] = {"prediction": first.prediction}
        work |= {"data_road": partial(first.data_road, False), "three_views": partial(first.data_road, True)}
        work |= {backend: partial(score, backend) for backend in backends}
        found = in_turn(measure | {name: partial(rate, one, device) for name, one in work.items()}, rounds)
        found["matrix"] = [products * flop / 1e9 for products in found["matrix"]]
        medians = {name: spread(values).median for name, values in found.items()}
        return {
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU",
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "precision": p.train.precision,
            "compile": p.machine.compile,
            "graphs": p.machine.graphs,
            "backbone": p.model.backbone,
            "input": f"{p.model.height}x{p.model.width}",
            "batch_size": p.train.batch_size,
            "people": len(pack),
            "rounds": rounds,
            "steps": steps,
            "matrix_gflops": medians["matrix"],
            "methods": {name: _summary(name, subject, found, medians) for name, subject in subjects.items()},
            "image_px": int(np.median(chosen.sizes.max(axis=1))),
            "crop": p.data.crop.size,
            "packing": packing,
            "cutting": cutting,
            **{name: medians[name] for name in ("data_road", "three_views", "prediction")},
            "scoring": {backend: medians[backend] for backend in backends},
            "spread": {name: spread(values)[1:] for name, values in found.items()},
        }


def _summary(name: str, subject: Subject, found: dict[str, list[float]], medians: dict[str, float]) -> dict[str, Any]:
    rates = {what: medians[f"{name} {what}"] for what in ("floor", "step", "end_to_end")}
    shares = [one / limit for one, limit in zip(found[f"{name} end_to_end"], found[f"{name} floor"], strict=True)]
    of_floor, *between = spread(shares)
    gflop = subject.cost.gflop
    return {
        **rates,
        "of_floor": of_floor,
        "of_floor_spread": between,
        "gflop": gflop,
        "floor_of_matrix": gflop * rates["floor"] / medians["matrix"],
        "peak_memory_mib": subject.peak,
        "shares": subject.shares(),
    }
