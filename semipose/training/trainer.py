"""The training loop, for any method: batches in, weights and history out."""

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from lightning_fabric import Fabric

from semipose.data.loading.batches import Batches
from semipose.methods.base import Losses, Method
from semipose.models.compile import Mode, compile_networks
from semipose.training import checkpoint
from semipose.training.groups import BatchGroups
from semipose.training.loss_log import LossLog, Row
from semipose.utils.errors import Stopped
from semipose.utils.memory import enough_memory
from semipose.utils.progress import Progress

if TYPE_CHECKING:
    from lightning_fabric.wrappers import _FabricModule, _FabricOptimizer


ASK = 4
"""Several processes ask each other after so many steps whether a checkpoint is due or one has to stop: who asks waits for the devices."""


def fit(
    method: Method,
    batches: Batches,
    fabric: Fabric,
    *,
    steps: int,
    lr: float,
    decay_at: list[float],
    decay: float,
    state: Path,
    checkpoint_seconds: float,
    observe: Callable[[Method, int, bool], Row],
    report: Callable[[Row], None],
    stop: Callable[[], str | None] = lambda: None,
    compiled: Mode = "none",
    title: str = "",
) -> list[Row]:
    """Train `method` in place for `steps` optimiser steps of Adam and return one history row per epoch.

    `observe(method, epoch, last)` adds figures to an epoch's row and must leave the method as it was; `report` gets each finished row;
    both are asked of the first process alone. A checkpoint is kept in `state`; a run that finds one goes on from it and ends with the
    weights of a run never stopped. `stop` is asked after each step, of several processes after each ASK-th: if it gives a reason, a
    checkpoint is written and Stopped is raised.
    `compiled`: how torch.compile treats the networks (compiled.py). `title`: what the progress says beside the program's name.
    """
    compile_networks(method, compiled, fabric.device)
    wrapped, optimiser = fabric.setup(method, adam(method, lr))
    groups = BatchGroups(batches.groups, method, fabric)
    loss_log = LossLog(batches.ids, groups.earliest)
    training = Training(method, wrapped, optimiser, batches, fabric, groups, loss_log, steps)
    training.resume(state)
    first = fabric.is_global_zero
    for row in training.rows if first else ():
        report(row)
    with closing(batches), Progress(steps, "steps", title, done=training.step) as progress:
        while training.step < steps:
            rate = learning_rate(training.step, steps, lr, decay_at, decay)
            training.take_step(rate)
            progress.advance()
            last = training.step == steps
            if last or training.step % batches.per_epoch == 0:
                row = training.end_epoch(rate)
                if first:
                    row |= observe(method, int(row["epoch"]), last)
                    report(row)
                    progress.note(_note(row))
            if not last:
                training.keep(state, checkpoint_seconds, stop())
    return training.rows


@dataclass
class Training:
    """A method and its optimiser, and how far they are: optimiser steps, a row for each epoch, the loss_log of the epoch that runs."""

    method: Method
    wrapped: "_FabricModule"
    optimiser: "_FabricOptimizer"
    batches: Batches
    fabric: Fabric
    groups: BatchGroups
    loss_log: LossLog
    steps: int
    step: int = 0
    rows: list[Row] = field(default_factory=list)
    saved_at: float = field(default_factory=time.monotonic)

    def take_step(self, rate: float) -> None:
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        with enough_memory(self.batches.batch_size // self.batches.groups, self._try, self._advice, fewest=2):
            self.optimiser.zero_grad()
            for group in self.groups:
                losses = self._learn(group)
                self.loss_log.add(self.step, losses, 1 / len(self.groups))
            self.optimiser.step()
        self.method.after_step()
        self.step += 1

    def _learn(self, group: int, people: int | None = None, alone: bool = False) -> Losses:
        """Forward and backward of a group, or of its first so many people; `alone`: gradients stay with this process."""
        with self.fabric.no_backward_sync(self.wrapped, enabled=alone or group != self.groups.last):
            batch = self.batches(self.step, self.fabric.device, group).first(people)
            losses: Losses = self.wrapped(batch, self.batches.generator_of(self.step, group, self.fabric.device))
            self.fabric.backward(torch.stack(list(losses.terms.values())).sum() / len(self.groups))
        return losses

    def _try(self, people: int) -> None:
        """What a step of so many people in a group takes of the memory; the training is over."""
        self.optimiser.zero_grad()
        self._learn(self.groups.last, people, alone=True)
        self.optimiser.step()

    def _advice(self, people: int) -> str:
        whole, groups = self.batches.batch_size, self.batches.groups
        return (
            f"set batch_size (of train, or of the warm-up that this is) to {people * groups} instead of {whole}, or raise "
            f"train.batch_groups from {groups}: a device takes one group after the other"
        )

    def end_epoch(self, rate: float) -> Row:
        """The means over the epoch, as the newest row."""
        self.method.after_epoch()
        sums = self.groups.mean(self.loss_log.read())
        means = {name: total / sums["n"] for name, total in sums.items() if name != "n"}
        epoch = (self.step - 1) // self.batches.per_epoch + 1
        self.rows.append({"epoch": epoch, "step": self.step, "lr": rate, **means})
        self.loss_log.sums = {}
        return self.rows[-1]

    def keep(self, folder: Path, every: float, reason: str | None) -> None:
        """Leave a checkpoint, if the last one is older (seconds), or if there is a reason to stop, in one of the processes: then Stopped is
        raised in all of them."""
        if self.fabric.world_size > 1 and self.step % ASK:
            return
        due = self.fabric.is_global_zero and time.monotonic() - self.saved_at > every
        asked = self.groups.largest(2 if reason else int(due))
        if not asked:
            return
        self.loss_log.sums = self.groups.mean(self.loss_log.read())
        if self.fabric.is_global_zero:
            progress = {"step": self.step, "rows": self.rows, "sums": self.loss_log.sums}
            checkpoint.save(folder, {"method": self.method.state_dict(), "optimiser": self.optimiser.state_dict(), "progress": progress})
        self.saved_at = time.monotonic()
        if asked == 2:
            raise Stopped(f"{reason or 'another process was asked to stop'}: a checkpoint was left after step {self.step} of {self.steps}")

    def resume(self, folder: Path) -> None:
        """Go on from the checkpoint in the folder, if there is one."""
        if saved := checkpoint.load(folder):
            self.method.load_state_dict(saved["method"])
            self.optimiser.load_state_dict(saved["optimiser"])
            self.step, self.rows, self.loss_log.sums = (saved["progress"][name] for name in ("step", "rows", "sums"))


def adam(method: Method, lr: float) -> torch.optim.Adam:
    """The optimiser of every method, over what of it is trained; fused: all weights in one go, a third of the time on a CPU."""
    return torch.optim.Adam([weights for weights in method.parameters() if weights.requires_grad], lr=lr, fused=True)


def _note(row: Row) -> str:
    """What the progress says of an epoch: the whole loss, and what validation found."""
    loss = sum(value for name, value in row.items() if name.startswith("loss/"))
    return ", ".join([f"loss {loss:.3g}", *(f"{name.removeprefix('val/')} {row[name]:.1f}" for name in row if name.startswith("val/"))])


def learning_rate(step: int, steps: int, base: float, decay_at: Sequence[float], decay: float) -> float:
    """Rate of a step (counted from 0): base, times `decay` for each fraction of `steps` that lies behind. Counts optimiser
    steps, so it does not depend on which loader an epoch is measured by."""
    return base * decay ** sum(step >= fraction * steps for fraction in decay_at)
