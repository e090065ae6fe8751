"""What a cell learns from: the people of a budget, and the task that params.yaml describes."""

from pathlib import Path
from typing import NamedTuple

import torch

from pipeline.tracking.track import Tracker
from semipose.augment.task import Task, task_of
from semipose.config.tree import Params
from semipose.data.loading.pack import CropPack
from semipose.data.splits import Split, read_split, split_file


class Material(NamedTuple):
    """split: who of the pack's people is labelled, and who is not."""

    pack: CropPack
    split: Split
    task: Task


def open_pack(name: str) -> CropPack:
    """A crop pack of this project. Raises InputError where it is damaged."""
    return CropPack.open(Path("data/packs") / name)


def read_material(p: Params, labels: str, seed: int, device: torch.device, tracker: Tracker) -> Material:
    """Of one budget and seed; MLflow learns who is labelled. Raises InputError if files are missing or do not belong together."""
    pack, path = open_pack("train"), split_file(labels, seed)
    split = read_split(path, pack.people)
    tracker.dataset(f"{p.data.source}-{labels}-labelled", "labelled", str(path), pack.digest[:32], people=len(split.labelled))
    return Material(pack, split, task_of(p, pack, device))
