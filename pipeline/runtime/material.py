"""What a run learns from: the people of a budget, and the task that params.yaml describes."""

from pathlib import Path
from typing import NamedTuple

import torch

from pipeline.tracking.track import Tracker
from semipose.augment.task import Task, task_of
from semipose.config.tree import Params
from semipose.data.loading.pack import CropPack
from semipose.data.splits import Split, read_split, split_file


class Material(NamedTuple):
    """What a run learns from; `split` says which people of the pack are labelled."""

    pack: CropPack
    split: Split
    task: Task


def open_pack(name: str) -> CropPack:
    """Open a crop pack of this project.

    Raises:
        InputError: The pack is missing or damaged.
    """
    return CropPack.open(Path("data/packs") / name)


def read_material(p: Params, labels: str, seed: int, device: torch.device, tracker: Tracker) -> Material:
    """Read pack, split and task of one budget and seed, and tell MLflow who is labelled.

    Args:
        p: All parameters.
        labels: Name of the budget.
        seed: Seed of the sweep.
        device: Where the training computes.
        tracker: Gets the labelled people as a data input.

    Raises:
        InputError: Files are missing or do not fit each other.
    """
    pack, path = open_pack("train"), split_file(labels, seed)
    split = read_split(path, pack.people)
    tracker.dataset(f"{p.data.source}-{labels}-labelled", "labelled", str(path), pack.digest[:32], people=len(split.labelled))
    return Material(pack, split, task_of(p, pack, device))
