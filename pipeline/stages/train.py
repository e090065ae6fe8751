"""Stages `train` and `ablate`: train one method or variant with one
budget and seed, from the warm-up's weights.
"""

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.runtime import outputs, stage
from pipeline.runtime.limit import limited
from pipeline.runtime.material import Material, open_pack, read_material
from pipeline.runtime.networks import first_networks
from pipeline.tracking.track import Tracker
from semipose.config.budget import by_budget
from semipose.config.methods import Method as Entry
from semipose.config.tree import Params
from semipose.data.loading.batches import Batches
from semipose.data.splits import split_file
from semipose.methods import Method, build
from semipose.models.network import PoseNet
from semipose.pose.drawing import save_pictures
from semipose.training.devices import launch
from semipose.training.gallery import training_views
from semipose.training.observer import Observer
from semipose.training.trainer import Row, fit
from semipose.utils.files import read_json
from semipose.utils.seeding import stream


def train(name: str, method_name: str, labels: str, seed: str) -> None:
    with (
        stage.opened(name, method=method_name, labels=labels, seed=seed) as (this, tracker),
        limited(this.params.machine.max_minutes) as limit,
    ):
        p, entry, started = this.params, this.params.method[method_name], time.monotonic()
        fabric = launch(p.machine, p.train.precision)
        material = read_material(p, labels, int(seed), fabric.device, tracker)
        nets = first_networks(this, fabric, material, tracker.metrics, limit)
        method, batches, observe = _set_up(p, entry, nets, material, int(seed))
        named, where, digest = f"{p.data.source}-{labels}-unlabelled", str(split_file(labels, int(seed))), observe.pack.digest[:32]
        tracker.dataset(named, "unlabelled", where, digest, people=len(batches.unlabelled))
        decay_at, steps = by_budget(p.train.decay_at, labels), _steps_of(p, method_name, labels)
        rows = fit(
            method,
            batches,
            fabric,
            steps=steps,
            lr=p.train.lr,
            decay_at=decay_at,
            decay=p.train.decay,
            cosine=p.train.schedule == "cosine",
            state=this.state,
            checkpoint_seconds=p.machine.checkpoint_seconds,
            compiled=p.machine.compile,
            graphed=p.machine.graphs,
            observe=observe,
            report=lambda row: tracker.metrics(row, step=int(row["step"])),
            stop=limit,
        )
        if fabric.is_global_zero:
            training = outputs.training_record(p, method_name, labels, steps, method, batches, rows)
            metadata = {"fingerprint": this.fingerprint, "cell": this.run, "training": training, "method": entry.model_dump(mode="json")}
            _leave(this, tracker, method, observe, rows, metadata, time.monotonic() - started)


def _steps_of(p: Params, method: str, labels: str) -> int:
    """Number of optimiser steps of a run; with `train.equal_cost`, the one that the stage `check` computed."""
    if p.train.equal_cost is None:
        return by_budget(p.train.steps, labels)
    steps: int = read_json(Path("entries") / f"{method}.json")["steps"][labels]
    return steps


def _set_up(p: Params, entry: Entry, nets: list[PoseNet], material: Material, seed: int) -> tuple[Method, Batches, Observer]:
    """The method on its networks, its batches, and the observer of the training."""
    task, pack, unlabelled = material.task.of(entry), material.pack, material.split.unlabelled
    if p.data.unlabelled:
        pack = open_pack("unlabelled")
        unlabelled = np.arange(len(pack))
    order, many = stream(seed, "train", 0), p.train.batch_size
    batches = Batches(material.pack, task.size, material.split.labelled, unlabelled, many, order, pack, p.train.batch_groups)
    return build(nets, entry, task), batches, Observer(task, pack, open_pack("val"), unlabelled, p.train)


def _leave(
    this: stage.Stage, tracker: Tracker, method: Method, observe: Observer, rows: list[Row], metadata: dict[str, Any], seconds: float
) -> None:
    """Write the run's outputs, and log them to MLflow."""
    name = f"{this.params.data.source}-{this.run}"
    folder = Path("runs") / name
    outputs.write_rows(folder / "history.csv", rows)
    outputs.write_masks(folder / "masks.csv", observe.probe)
    outputs.write_pseudo_labels(folder / "pseudo_labels.csv", observe.reliability)
    outputs.save_networks(folder, method, observe.task.skeleton, observe.pack.padding, metadata)
    views = training_views(method, observe.task, observe.pack, observe.unlabelled)
    for path in save_pictures(Path("reports/views") / name, views).values():
        tracker.file(f"views/{path.name}", path)
    cost = outputs.write_cost(folder / "cost.json", next(method.parameters()).device, seconds, metadata["training"]["steps"])
    tracker.file("params.yaml", Path("params.yaml"))
    tracker.final({"seconds": cost["seconds"], "peak_memory_mib": cost["peak_memory_mib"]})


if __name__ == "__main__":
    stage.main(train, sys.argv[1:])
