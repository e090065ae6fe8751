"""What a trained cell leaves behind: weights, history, masks, pictures, cost."""

import csv
import json
import socket
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.tracking.origin import commit
from semipose.config.budget import by_budget
from semipose.config.tree import Params
from semipose.data.loading.batches import Batches
from semipose.methods import Method
from semipose.models.network import network_metadata, save_network
from semipose.pose.skeleton import Skeleton
from semipose.training.cost import step_cost, warmup_gflop
from semipose.training.devices import peak_memory
from semipose.training.probe import Probe
from semipose.training.reliability import Columns
from semipose.training.trainer import Row
from semipose.utils.files import replacing, write_text


def training_record(p: Params, name: str, labels: str, steps: int, method: Method, batches: Batches, rows: list[Row]) -> dict[str, Any]:
    """What the weight file and the run's record say of the training of the entry `name`."""
    cost = step_cost(method)
    return {
        "steps": steps,
        "warmup_steps": by_budget((p.method[name].warmup or p.warmup).steps, labels),
        "batch_size": p.train.batch_size,
        "labelled": len(batches.labelled),
        "unlabelled": len(batches.unlabelled),
        "networks": sum(any(weight.requires_grad for weight in net.parameters()) for net in method.networks.values()),
        "reported": method.reported,
        "passes": sum(cost.passes.values()),
        "gflop": cost.gflop,
        "warmup_gflop": warmup_gflop(p, name, labels),
        **{measure: _mean(rows, measure) for measure in ("masks", "simple")},
    }


def save_networks(folder: Path, method: Method, skeleton: Skeleton, padding: float, metadata: dict[str, Any]) -> None:
    """Each network under its name, and their names, the method's own network first. `evaluate` makes the weight file for use of it."""
    for name, net in method.networks.items():
        metadata_of_it = network_metadata(net.model, skeleton, padding, **metadata, network=name)
        save_network(net, folder / "networks" / f"{name}.safetensors", metadata_of_it)
    write_text(folder / "networks" / "names.json", json.dumps(list(method.networks)) + "\n")


def write_rows(path: Path, rows: list[Row]) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row))
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: f"{value:.6g}" for name, value in row.items()} for row in rows)


def write_masks(path: Path, found: Probe | None) -> None:
    """The last probe, person by person; only the heading where the method draws no keypoint masks of its own."""
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", "count", "simple", "teacher_error"])
        if found and np.isfinite(found.counts).all():
            for person, count, simple, error in zip(found.ids, found.counts, found.simple, found.error, strict=True):
                writer.writerow([int(person), int(count), f"{simple:.4f}", f"{error:.4f}"])


def write_pseudo_labels(path: Path, found: Columns | None) -> None:
    """What the method says of each pseudo-label at the end of training, and its true error; only the heading where there is none."""
    columns = found or dict.fromkeys(("peak", "disagreement", "spread", "error"), np.empty(0))
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([f"{value:.4g}" if value == value else "" for value in row] for row in zip(*columns.values(), strict=True))


def write_cost(path: Path, device: torch.device, seconds: float, steps: int) -> dict[str, Any]:
    """Time, memory and origin, apart from what equal training makes equal. Those of the last process, if a run was resumed."""
    head, changed = commit()
    cost = {
        "seconds": round(seconds, 1),
        "steps": steps,
        "peak_memory_mib": round(peak_memory(device)),
        "device": str(device),
        "host": socket.gethostname(),
        "commit": head,
        "changed": changed,
    }
    write_text(path, json.dumps(cost, indent=1) + "\n")
    return cost


def _mean(rows: list[Row], name: str) -> float | None:
    """Mean over the training of what each epoch's row says; None where the method says nothing of the kind."""
    values = [row[name] for row in rows if name in row]
    return round(float(np.mean(values)), 4) if values else None
