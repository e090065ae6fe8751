"""Stages `train` and `ablate`: one method or variant, one budget, one seed, on from the warm-up's weights."""

import csv
import json
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray

from pipeline import stage
from pipeline.limit import Limit
from pipeline.material import Material, open_pack, read_material
from pipeline.origin import commit
from semipose.batches import Batches, stream
from semipose.crops import CropPack
from semipose.engine import Row, fit, launch, peak_memory
from semipose.errors import InputError
from semipose.evaluation import validate
from semipose.files import replacing
from semipose.gallery import training_views
from semipose.methods import Method, build
from semipose.models import PoseNet, load_network, network_card, save_network
from semipose.params import Method as Entry
from semipose.params import Model, Params, Train, by_budget
from semipose.probe import Probe, probe
from semipose.skeleton import Skeleton
from semipose.task import Task
from semipose.warmup import warm_up

PROBED = 512  # unlabelled people whose pseudo-labels are compared with the truth


def train(name: str, method_name: str, labels: str, seed: str) -> None:
    key = "method" if name == "train" else "variant"
    cell = f"{method_name}-{labels}-s{seed}"
    with (
        stage.opened(name, cell, {key: method_name, "labels": labels, "seed": seed}) as (this, tracker),
        Limit(this.params.machine.max_minutes) as limit,
    ):
        p, started = this.params, time.monotonic()
        fabric = launch(p.machine, p.train.precision)
        material = read_material(p, labels, fabric.device, tracker)
        pack, unlabelled = (material.pack, material.split.unlabelled) if p.data.unlabelled is None else _everybody("unlabelled")
        tracker.dataset("unlabelled", "unlabelled", f"data/split/{labels}.json", pack.digest[:32], people=len(unlabelled))
        entry, task, steps = p.method[method_name], material.task, by_budget(p.train.steps, labels)
        if entry.strong_view:
            task = replace(task, augment=p.augment.model_copy(update={"strong": entry.strong_view}))
        nets = [
            _network(one, method_name, this, fabric, material, labels, int(seed), tracker.metrics, limit)
            for one in p.model.networks[: entry.trains]
        ]
        method = build(nets, entry, task)
        size, order = p.train.batch_size, stream(int(seed), "train", 0)
        batches = Batches(material.pack, material.split.labelled, unlabelled, size, order, pack, p.train.groups)
        observe = Observer(task, pack, open_pack("val"), unlabelled, p.train)
        rows = fit(
            method,
            batches,
            fabric,
            steps=steps,
            lr=p.train.lr,
            decay_at=by_budget(p.train.decay_at, labels),
            decay=p.train.decay,
            state=this.state,
            checkpoint_seconds=p.machine.checkpoint_seconds,
            observe=observe,
            report=lambda row: tracker.metrics(row, step=int(row["step"])),
            stop=limit,
        )
        if not fabric.is_global_zero:
            return

        folder = Path("runs") / f"{p.data.source}-{cell}"
        _write_rows(folder / "history.csv", rows)
        _write_masks(folder / "masks.csv", observe.probe)
        training = _training(p, entry, labels, method, batches, rows)
        card = {"fingerprint": this.fingerprint, "cell": cell, "training": training, "method": entry.model_dump(mode="json")}
        _save_networks(folder, method, task.skeleton, material.pack.padding, card)
        views = Path("reports/views") / f"{p.data.source}-{cell}"
        for picture, image in training_views(method, task, pack, unlabelled, observe.probe).items():
            with replacing(views / f"{picture}.jpg") as temporary:
                image.save(temporary, "JPEG", quality=88)
            tracker.picture(f"views/{picture}.jpg", views / f"{picture}.jpg")
        cost = _cost(fabric.device, time.monotonic() - started, steps)
        with replacing(folder / "cost.json") as temporary:
            temporary.write_text(json.dumps(cost, indent=1) + "\n", encoding="utf-8")
        tracker.file("params.yaml", Path("params.yaml"))
        tracker.final({"seconds": cost["seconds"], "peak_memory_mib": cost["peak_memory_mib"]})
        this.finish()


def _network(
    name: str,
    method_name: str,
    this: stage.Stage,
    fabric: Fabric,
    material: Material,
    labels: str,
    seed: int,
    report: Callable[[Row, int], None],
    stop: Limit,
) -> PoseNet:
    """As the stage `warmup` left it; warmed up here where the entry has a network or a warm-up of its own."""
    p, entry = this.params, this.params.method[method_name]
    model = p.network(method_name, name)
    if entry.warmup is None and name not in entry.networks:
        return warmed_up(Path("warmups") / f"{p.data.source}-{labels}-s{seed}" / f"{name}.safetensors", model, material.task.skeleton)
    return warm_up(
        name,
        model,
        entry.warmup or p.warmup,
        fabric,
        pack=material.pack,
        labelled=material.split.labelled,
        task=material.task,
        labels=labels,
        seed=seed,
        groups=p.train.groups,
        state=this.state / "warmup",
        checkpoint_seconds=p.machine.checkpoint_seconds,
        report=report,
        stop=stop,
    )


def _training(p: Params, entry: Entry, labels: str, method: Method, batches: Batches, rows: list[Row]) -> dict[str, Any]:
    """What the weight file and the run's record say of the training."""
    return {
        "steps": by_budget(p.train.steps, labels),
        "warmup_steps": by_budget((entry.warmup or p.warmup).steps, labels),
        "batch_size": p.train.batch_size,
        "labelled": len(batches.labelled),
        "unlabelled": len(batches.unlabelled),
        "networks": len(method.networks),
        "reported": method.reported,
        "passes": sum(sum(passes) for passes in method.passes.values()),
        "gflop": method.gflop(),
        **{measure: _mean(rows, measure) for measure in ("masks", "simple")},
    }


@dataclass
class Observer:
    """Validates the running network and its pseudo-labels every few epochs; `probe` is what the last look found."""

    task: Task
    pack: CropPack
    val: CropPack
    unlabelled: NDArray[np.int64]
    p: Train
    probe: Probe | None = None

    def __call__(self, method: Method, epoch: int, last: bool) -> Row:
        if not last and epoch % self.p.validate_every:
            return {}
        shown = np.arange(min(self.p.validation_people, len(self.val)))
        row = validate(method.net, self.task, self.val, shown, self.p.batch_size)
        chosen = self.unlabelled[np.linspace(0, len(self.unlabelled) - 1, min(PROBED, len(self.unlabelled))).astype(int)]
        self.probe = probe(method, self.task, self.pack, chosen, self.p.batch_size, next(method.parameters()).device)
        return row | (self.probe.row() if self.probe else {})


def _everybody(name: str) -> tuple[CropPack, NDArray[np.int64]]:
    """A pack and the positions of all its people."""
    pack = open_pack(name)
    return pack, np.arange(len(pack))


def warmed_up(path: Path, model: Model, skeleton: Skeleton) -> PoseNet:
    """The network of a warm-up's weight file. Raises InputError where that was another network's, or for another skeleton."""
    net, card = load_network(path)
    start = {"pretrained", "networks"}
    theirs = {"joints": card["skeleton"]["joints"], **net.model.model_dump(exclude=start)}
    ours = {"joints": list(skeleton.joints), **model.model_dump(exclude=start)}
    for key, value in ours.items():
        if value != theirs[key]:
            raise InputError(f"{path} was warmed up with {key} = {theirs[key]}, now it is {value}: run `dvc repro`, which warms up anew")
    net.model = model
    return net


def _save_networks(folder: Path, method: Method, skeleton: Skeleton, padding: float, card: dict[str, Any]) -> None:
    for name, net in method.networks.items():
        path = folder / ("weights.safetensors" if net is method.net else f"networks/{name}.safetensors")
        save_network(net, path, network_card(net.model, skeleton, padding, **card, network=name))
    with replacing(folder / "networks" / "names.json") as temporary:
        temporary.write_text(json.dumps(list(method.networks)) + "\n", encoding="utf-8")


def _cost(device: torch.device, seconds: float, steps: int) -> dict[str, Any]:
    """Time, memory and origin, apart from what equal training makes equal. Those of the last process, if a run was resumed."""
    head, changed = commit()
    return {
        "seconds": round(seconds, 1),
        "steps": steps,
        "peak_memory_mib": round(peak_memory(device)),
        "device": str(device),
        "host": socket.gethostname(),
        "commit": head,
        "changed": changed,
    }


def _mean(rows: list[Row], name: str) -> float | None:
    """Mean over the training of what each epoch's row says; None where the method says nothing of the kind."""
    values = [row[name] for row in rows if name in row]
    return round(float(np.mean(values)), 4) if values else None


def _write_rows(path: Path, rows: list[Row]) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row))
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: f"{value:.6g}" for name, value in row.items()} for row in rows)


def _write_masks(path: Path, found: Probe | None) -> None:
    """The last probe, person by person; only the heading where the method draws no keypoint masks of its own."""
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", "count", "simple", "teacher_error"])
        if found and np.isfinite(found.counts).all():
            for person, count, simple, error in zip(found.ids, found.counts, found.simple, found.error, strict=True):
                writer.writerow([int(person), int(count), f"{simple:.4f}", f"{error:.4f}"])


if __name__ == "__main__":
    stage.main(train, sys.argv[1:])
