"""What a trained run leaves behind: weights, history, masks, pictures, cost."""

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
from semipose.models.weight_file import network_metadata, save_network
from semipose.pose.skeleton import Skeleton
from semipose.training.cost import people_of, step_cost, warmup_gflop
from semipose.training.devices import peak_memory, processor
from semipose.training.probe import Probe
from semipose.training.reliability import Columns
from semipose.training.trainer import Row
from semipose.utils.files import replacing, write_json, write_text


def training_record(p: Params, name: str, labels: str, steps: int, method: Method, batches: Batches, rows: list[Row]) -> dict[str, Any]:
    """Describe a training for the weight file and the run's record.

    Args:
        p: All parameters.
        name: Entry of `method`.
        labels: Name of the budget.
        steps: Number of optimiser steps.
        method: The trained method.
        batches: Its people.
        rows: Its history.
    """
    cost = step_cost(method, people_of(p, name))
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
    """Write each network under its name, and the list of names, the main network first.

    The stage `evaluate` makes the weight file for prediction from them.

    Args:
        folder: Folder of the run; networks go into networks/.
        method: The trained method.
        skeleton: The joints.
        padding: As `network_metadata` takes it.
        metadata: Further fields.
    """
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
    """Write the last probe, one line per person; only the header
    if the method samples no keypoint masks.
    """
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", "count", "simple", "teacher_error"])
        if found and np.isfinite(found.counts).all():
            for person, count, simple, error in zip(found.ids, found.counts, found.simple, found.error, strict=True):
                writer.writerow([int(person), int(count), f"{simple:.4f}", f"{error:.4f}"])


def write_pseudo_labels(path: Path, found: Columns | None) -> None:
    """Write what the method says about each pseudo-label at
    the end of training, and its true error.

    Only the header is written if there is nothing to say.
    """
    columns = found or dict.fromkeys(("peak", "disagreement", "spread", "error"), np.empty(0))
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([f"{value:.4g}" if value == value else "" for value in row] for row in zip(*columns.values(), strict=True))


def write_cost(path: Path, device: torch.device, seconds: float, steps: int) -> dict[str, Any]:
    """Write time, memory and origin, which may differ between equal trainings.

    After a resumed training, they are those of its last process.

    Args:
        path: The file.
        device: Where it computed.
        seconds: How long it took.
        steps: Number of optimiser steps.

    Returns:
        What was written.
    """
    head, changed = commit()
    cost = {
        "seconds": round(seconds, 1),
        "steps": steps,
        "peak_memory_mib": round(peak_memory(device)),
        "device": str(device),
        "processor": processor(device),
        "host": socket.gethostname(),
        "commit": head,
        "changed": changed,
    }
    write_json(path, cost)
    return cost


def _mean(rows: list[Row], name: str) -> float | None:
    """Mean of a column over the epochs' rows; None if the method has no such column."""
    values = [row[name] for row in rows if name in row]
    return round(float(np.mean(values)), 4) if values else None
