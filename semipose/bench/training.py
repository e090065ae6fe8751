"""A method in training, and what of it is measured: its floor, its step, the whole way from crop pack to step."""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from itertools import count
from math import ceil
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric

from semipose.augment import strong
from semipose.augment.task import task_of
from semipose.bench.clock import Clock, now
from semipose.config.tree import Params
from semipose.data.loading.batch import Batch
from semipose.data.loading.batches import Batches
from semipose.data.loading.pack import CropPack
from semipose.data.loading.prefetch import each
from semipose.inference.predict import predict_pack
from semipose.methods import Method
from semipose.methods import build as build_method
from semipose.models.compile import compile_networks
from semipose.models.network import PoseNet
from semipose.models.network import build as build_network
from semipose.training import trainer
from semipose.training.cost import people_of, step_cost
from semipose.training.devices import forget_peak, peak_memory
from semipose.utils.seeding import generator_of

CAPTURED = 64
"""Steps by which each place of Mixup has come often enough for its CUDA graph."""

PARTS = {  # of a step -> the task's methods that are it
    "views": ("weak", "strong", "view", "move_images"),
    "targets": ("targets", "move_heatmaps"),
}


class Subject:
    """A method on its networks, ready to train on the people of a pack.

    `floor`, `step`, `data_road` and `prediction` return how many pairs (or people) they did.

    Args:
        name: Entry of `method`.
        p: All parameters.
        pack: The people; all are labelled and unlabelled.
        fabric: The launched Fabric.
        steps: Training steps in a round.
        folder: Where checkpoints would go.
    """

    def __init__(self, name: str, p: Params, pack: CropPack, fabric: Fabric, steps: int, folder: Path) -> None:
        entry, named = p.method[name], p.model.networks
        task = task_of(p, pack, fabric.device).of(entry)
        models = [p.network(name, one).model_copy(update={"pretrained": False}) for one in named[: entry.trains]]
        nets = [build_network(model, len(task.skeleton.joints), seed) for seed, model in enumerate(models)]
        self.method: Method = build_method(nets, entry, task)
        self.cost = step_cost(self.method, people_of(p, name))
        self.p, self.pack, self.fabric, self.steps, self.task = p, pack, fabric, steps, task
        self.size, self.device, self.state = task.size, fabric.device, folder / "state"
        everybody = np.arange(len(pack))
        self.batches = Batches(pack, self.size, everybody, everybody, p.train.batch_size, seed=0)
        self.units = steps * p.train.batch_size
        self.peak = 0.0  # MiB, of end_to_end
        compile_networks(self.method, p.machine.compile, fabric.device)
        self.wrapped, self.optimiser = fabric.setup(self.method, trainer.adam(self.method, p.train.lr))
        self.resident = [self.batches(step, self.device) for step in range(2)]
        count = p.train.batch_size
        self.images = torch.randn(count, 3, *self.size, device=self.device).to(memory_format=torch.channels_last)

    def floor(self) -> int:
        count = len(self.images)
        for _ in range(self.steps):
            total = torch.zeros((), device=self.device)
            with self.fabric.autocast():
                for (name, gradient), passes in self.cost.passes.items():
                    for images in self.images.repeat(ceil(passes), 1, 1, 1)[: round(passes * count)].split(count):
                        with torch.set_grad_enabled(gradient):
                            heatmaps = self.method.get_submodule(name)(images)
                        if gradient:
                            total = total + heatmaps.float().square().mean()
            self.optimiser.zero_grad()
            self.fabric.backward(total)
        return self.units

    def step(self) -> int:
        for number in range(self.steps):
            self._train(self.resident[number % len(self.resident)], number, lambda part: nullcontext())  # a clock waits for the device
        return self.units

    def end_to_end(self) -> float:
        """Pairs per second from the end of the first step to the end of the last but one.

        What fit does once is therefore not in it.
        With CUDA graphs, the time begins after the step by which they are captured.
        """
        moments: list[float] = []
        steps, begin = count(1), CAPTURED if self.p.machine.graphs else 1
        forget_peak(self.device)

        def note_time() -> None:
            if next(steps) in (begin, begin + self.steps):
                moments.append(now(self.device))

        trainer.fit(
            self.method,
            self.batches,
            self.fabric,
            steps=begin + self.steps + 1,
            lr=self.p.train.lr,
            state=self.state,
            checkpoint_seconds=float("inf"),
            report=lambda row: None,
            graphed=self.p.machine.graphs,
            stop=note_time,
        )
        self.peak = peak_memory(self.device)
        return self.units / (moments[1] - moments[0])

    def shares(self) -> dict[str, float]:
        """Of a step's time, 0-1, by part; `method` is what the method does itself: masks, mixing, losses."""
        clock = Clock(self.device)
        with ExitStack() as watched:
            for part, names in PARTS.items():
                watched.enter_context(clock.watching(part, self.task, *names))
            watched.enter_context(clock.watching("views", strong, "augment"))
            for net in (module for module in self.method.modules() if isinstance(module, PoseNet)):
                watched.enter_context(clock.watching("network", net, "forward"))
            for number in range(self.steps):
                with clock("data"):
                    batch = self.batches(number)
                with clock("transfer"):
                    batch = each(batch, lambda tensor: tensor.to(self.device))
                self._train(batch, number, clock)
        return clock.shares()

    def data_road(self, strong: bool) -> int:
        """Make views from the pack, without any network.

        They are a labelled view with its targets and a weak view of the unlabelled person, which is
        what a loader of the released code makes.

        Args:
            strong: Make the strong view too.
        """
        for number in range(self.steps):
            generator = generator_of(0, "data road", number, self.device)
            batch = self.batches(number, self.device)
            self.task.labelled(batch.labelled, generator)
            weak = self.task.weak_view(batch.unlabelled, generator)
            if strong:
                self.task.move_images(weak, self.task.strong(len(weak), generator))
        return self.units

    def prediction(self) -> int:
        """Poses from crops, one pass of one network and no flip test."""
        chosen = np.arange(min(len(self.pack), 4 * self.p.evaluate.batch_size))
        predict_pack(self.method.net, self.pack, chosen, self.size, False, "quarter", self.p.evaluate.batch_size, self.device)
        return len(chosen)

    def _train(self, batch: Batch, number: int, clock: Callable[[str], AbstractContextManager[None]]) -> None:
        with clock("method"):
            losses = self.wrapped(batch, generator_of(0, "step", number, self.device))
            total = torch.stack(list(losses.terms.values())).sum()
        with clock("optimiser"):
            self.optimiser.zero_grad()
        with clock("network"):
            self.fabric.backward(total)
        with clock("optimiser"):
            self.optimiser.step()
            self.method.after_step()
