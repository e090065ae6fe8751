"""The ways to train that `params.yaml` offers, each tried by AKM on the people of a pack."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from lightning_fabric import Fabric

from semipose.augment.task import task_of
from semipose.bench.clock import now
from semipose.config.methods import AKM
from semipose.config.tree import Params
from semipose.data.loading.batches import Batches
from semipose.data.loading.pack import CropPack
from semipose.methods import build
from semipose.models.compile import Mode
from semipose.models.network import build as build_network
from semipose.training.devices import arithmetic, forget_peak, peak_memory, precision_of
from semipose.training.trainer import Row, fit


class Way(NamedTuple):
    """A way to train, by the keys of params.yaml."""

    precision: Any = "32-true"
    tf32: bool = False
    deterministic: bool = False
    graphs: bool = False
    compiled: Mode = "none"

    def __str__(self) -> str:
        said = [f"train.precision: {self.precision}"]
        said += [f"machine.{name}: true" for name in ("tf32", "deterministic", "graphs") if getattr(self, name)]
        return ", ".join(said + ([f"machine.compile: {self.compiled}"] if self.compiled != "none" else []))


FLOAT, TF32, HALF = Way(), Way(tf32=True), Way("bf16-mixed")
REPEATABLE, GRAPHS, COMPILED = HALF._replace(deterministic=True), HALF._replace(graphs=True), HALF._replace(compiled="default")


class Found(NamedTuple):
    """What a training found.

    Attributes:
        rows: Its history.
        pairs: Pairs of a labelled and an unlabelled person per second, after the first quarter of
            the steps.
        first: Seconds until the first step was done, compilation included.
        memory: Largest memory in MiB.
    """

    rows: list[Row]
    pairs: float
    first: float
    memory: float


def loss(row: Row) -> float:
    return sum(value for name, value in row.items() if name.startswith("loss/"))


class Trial(NamedTuple):
    """What is the same for every way; folder: the crop pack's."""

    p: Params
    folder: Path
    device: torch.device
    steps: int

    @property
    def entry(self) -> AKM:
        found = self.p.method["akm"]
        assert isinstance(found, AKM)
        return found

    def train(
        self,
        way: Way,
        stop: Callable[[], str | None] = lambda: None,
        state: Path | None = None,
        seed: int = 0,
        place: str | None = None,
    ) -> Found:
        """Train AKM on the pack's people, again and again, in four epochs.

        Args:
            way: How to train.
            stop: As `trainer.fit` takes it.
            state: Folder of checkpoints; None: a temporary one.
            seed: Of the networks' random weights.
            place: The only place of Mixup; None: those of the parameters.
        """
        p, entry, pack = self.p, self.entry, CropPack.open(self.folder)
        if place is not None:
            entry = entry.model_copy(update={"mixup": entry.mixup.model_copy(update={"place": [place]})})
        if p.machine.threads:
            torch.set_num_threads(p.machine.threads)
        arithmetic(p.machine.model_copy(update={"tf32": way.tf32, "deterministic": way.deterministic}), self.device)
        task = task_of(p, pack, self.device)
        method = build([build_network(p.model, len(task.skeleton.joints), seed + k) for k in range(entry.trains)], entry, task)
        many, done = p.train.batch_size, iter(range(1, self.steps))
        order = np.resize(np.arange(len(pack)), self.steps // 4 * many)
        batches = Batches(pack, task.size, np.arange(len(pack) // 4), order, many, seed=1)
        on_gpu = self.device.type == "cuda"
        devices: list[int] | int = [self.device.index or 0] if on_gpu else 1
        fabric = Fabric(accelerator="gpu" if on_gpu else "cpu", devices=devices, plugins=precision_of(way.precision, self.device.type))

        def watch() -> str | None:
            if next(done) in (1, self.steps // 4):
                moments.append(now(self.device))
            return stop()

        forget_peak(self.device)
        moments = [now(self.device)]
        with tempfile.TemporaryDirectory() as scratch:
            rows = fit(
                method,
                batches,
                fabric,
                steps=self.steps,
                lr=p.train.lr,
                state=state or Path(scratch),
                checkpoint_seconds=1e9,
                compiled=way.compiled,
                graphed=way.graphs,
                report=lambda row: None,
                stop=watch,
            )
        end, (begun, first, counted) = now(self.device), moments
        return Found(rows, (self.steps - self.steps // 4) * many / (end - counted), first - begun, peak_memory(self.device))
