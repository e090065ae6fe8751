"""Stages `train` and `ablate`: one method or variant, one budget, one seed, on from the warm-up's weights."""

import csv
import json
import socket
import sys
import time
from pathlib import Path

import numpy as np

from pipeline import stage
from semipose.batches import Batches, stream
from semipose.crops import CropPack
from semipose.engine import Row, fit, launch, peak_memory
from semipose.evaluation import validate
from semipose.files import replacing
from semipose.methods import Method, build
from semipose.models import build as build_network
from semipose.models import forward_gflop, load_weights, network_card, save_network
from semipose.probe import Probe, probe
from semipose.splits import read_split
from semipose.task import task_of

PROBED = 512  # unlabelled people whose pseudo-labels are compared with the truth


def train(name: str, method_name: str, labels: str, seed: str) -> None:
    key = "method" if name == "train" else "variant"
    cell = f"{method_name}-{labels}-s{seed}"
    with stage.opened(name, cell, {key: method_name, "labels": labels, "seed": seed}) as (this, tracker):
        p, started = this.params, time.monotonic()
        fabric = launch(p.machine, p.train.precision)
        pack, val = CropPack.open(Path("data/packs/train")), CropPack.open(Path("data/packs/val"))
        split = read_split(Path("data/split") / f"{labels}.json", pack.people)
        for context, positions in {"labelled": split.labelled, "unlabelled": split.unlabelled}.items():
            tracker.dataset(context, context, f"data/split/{labels}.json", pack.digest[:32], len(positions))
        task = task_of(p, pack, fabric.device)
        net = build_network(p.model, len(task.skeleton.joints), seed=0)
        warm = Path("warmups") / f"{p.data.source}-{labels}-s{seed}" / f"{p.model.networks[0]}.safetensors"
        net.load_state_dict(load_weights(warm)[0])
        method = build(net, p.method[method_name], task)
        batches = Batches(pack, split.labelled, split.unlabelled, p.train.batch_size, stream(int(seed), "train", 0))
        probed = split.unlabelled[np.linspace(0, len(split.unlabelled) - 1, min(PROBED, len(split.unlabelled))).astype(int)]
        probes: list[Probe] = []

        def observe(trained: Method, epoch: int, last: bool) -> Row:
            if not last and epoch % p.train.validate_every:
                return {}
            shown = np.arange(len(val.people) if last else min(p.train.validation_people, len(val.people)))
            row = validate(trained.net, task, val, shown, p.train.batch_size)
            found = probe(trained, task, pack, probed, p.train.batch_size, fabric.device)
            probes[:] = [found] if found else []
            return row | (found.row() if found else {})

        rows = fit(
            method,
            batches,
            fabric,
            steps=p.steps("train", labels),
            lr=p.train.lr,
            decay_at=p.train.decay_at,
            decay=p.train.decay,
            state=this.state,
            checkpoint_seconds=p.machine.checkpoint_seconds,
            observe=observe,
            report=lambda row: tracker.metrics(row, step=int(row["step"])),
        )
        folder = Path("runs") / f"{p.data.source}-{cell}"
        _write_rows(folder / "history.csv", rows)
        _write_masks(folder / "masks.csv", probes)
        training = {
            "steps": p.steps("train", labels),
            "warmup_steps": p.steps("warmup", labels),
            "batch_size": p.train.batch_size,
            "labelled": len(split.labelled),
            "unlabelled": len(split.unlabelled),
            "networks": 1,
            **method.passes,
            "forward_gflop": forward_gflop(net, p.model.height, p.model.width),
            **{name: _mean(rows, name) for name in ("masks", "simple")},
        }
        card = network_card(p.model, task.skeleton, pack.padding, fingerprint=this.fingerprint, cell=cell, training=training)
        card["method"] = p.method[method_name].model_dump(mode="json")
        save_network(net, folder / "weights.safetensors", card)
        head, changed = stage.commit(this.root)
        cost = {
            "seconds": round(time.monotonic() - started, 1),
            "steps": training["steps"],
            "people": training["steps"] * p.train.batch_size,
            "peak_memory_mib": round(peak_memory(fabric.device)),
            "device": str(fabric.device),
            "host": socket.gethostname(),
            "commit": head,
            "changed": changed,
        }
        with replacing(folder / "cost.json") as temporary:
            temporary.write_text(json.dumps(cost, indent=1) + "\n", encoding="utf-8")
        tracker.file("params.yaml", Path("params.yaml"))
        tracker.final({"seconds": cost["seconds"], "peak_memory_mib": cost["peak_memory_mib"]})
        this.finish()


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


def _write_masks(path: Path, probes: list[Probe]) -> None:
    """The last probe, person by person; only the heading where the method teaches nobody."""
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", "count", "simple", "teacher_error"])
        for found in probes:
            for person, count, simple, error in zip(found.ids, found.counts, found.simple, found.error, strict=True):
                writer.writerow([int(person), int(count), f"{simple:.4f}", f"{error:.4f}"])


if __name__ == "__main__":
    stage.main(train, sys.argv[1:])
