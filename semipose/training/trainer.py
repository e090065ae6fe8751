"""The training loop, for any method: batches in, weights and history out."""

import math
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from lightning_fabric import Fabric
from torch import Tensor

from semipose.data.loading.batches import Batches
from semipose.methods.base import Losses, Method
from semipose.models.compile import Mode, compile_networks
from semipose.training import checkpoint, graphs
from semipose.training.groups import BatchGroups
from semipose.training.loss_log import LossLog, Row
from semipose.utils.errors import InputError, Stopped
from semipose.utils.memory import enough_memory
from semipose.utils.progress import Progress

if TYPE_CHECKING:
    from lightning_fabric.wrappers import _FabricModule, _FabricOptimizer


KINDS = {"cpu": "a CPU", "cuda": "a GPU"}
ASK = 4
"""Steps after which several processes ask each other whether a checkpoint is due or one must stop; asking waits for the devices."""


def fit(
    method: Method,
    batches: Batches,
    fabric: Fabric,
    *,
    steps: int,
    lr: float,
    decay_at: Sequence[float] = (),
    decay: float = 1.0,
    cosine: bool = False,
    state: Path,
    checkpoint_seconds: float,
    observe: Callable[[Method, int, bool], Row] = lambda method, epoch, last: {},
    report: Callable[[Row], None],
    stop: Callable[[], str | None] = lambda: None,
    compiled: Mode = "none",
    graphed: bool = False,
    title: str = "",
) -> list[Row]:
    """Train a method in place with Adam.

    A checkpoint is kept in `state`; a run that finds one continues from it and ends with the
    weights of a run never stopped.
    `observe` and `report` are called only in the first process.

    Args:
        method: The method, in train mode.
        batches: The people of each step.
        fabric: The launched Fabric.
        steps: Number of optimiser steps.
        lr: Learning rate of the first step.
        decay_at: As `learning_rate` takes it.
        decay: As `learning_rate` takes it.
        cosine: As `learning_rate` takes it.
        state: Folder of the checkpoints.
        checkpoint_seconds: Seconds between checkpoints, as `checkpoint.Writer` takes them.
        observe: Called with method, epoch (from 1) and whether it is the last; returns figures for
            the epoch's row. It must leave the method as it was.
        report: Gets each finished row; in a continued run first those of the run before.
        stop: Gives a reason to stop, or None; asked after each step but the last. With several
            processes its answer counts after each ASK-th step.
        compiled: How torch.compile treats the networks (models/compile.py).
        graphed: Whether steps are CUDA graphs, if they can be (graphs.py).
        title: What the progress says beside the program's name.

    Returns:
        One history row per epoch: `epoch`, `step`, `lr`, the means of losses and measures, and the
        figures of `observe`.

    Raises:
        Stopped: `stop` gave a reason, and a checkpoint was written.
        Everywhere: A loss is not a number, or is far too large.
        InputError: The device's memory is full, there is no compiler, the processes cannot share
            the groups out evenly, or another kind of device has left the checkpoint.
    """
    compile_networks(method, compiled, fabric.device)
    graphed = graphed and graphs.possible(method, batches, fabric.device)
    tensor = torch.tensor(lr, device=fabric.device)
    wrapped, optimiser = fabric.setup(method, adam(method, tensor if graphed else lr))
    groups = BatchGroups(batches.groups, method, fabric)
    writer = checkpoint.Writer(state, checkpoint_seconds)
    training = Training(method, wrapped, optimiser, batches, fabric, groups, LossLog(batches.ids, groups.earliest), steps, writer)
    training.resume()
    whole = graphs.GraphedStep(method, wrapped, optimiser, batches, fabric, tensor) if graphed else None
    for row in training.rows if fabric.is_global_zero else ():
        report(row)
    advice = (
        f"lower batch_size (of train, or of this warm-up) from {batches.batch_size}, or raise train.batch_groups from {batches.groups}: "
        "a device processes one group after the other"
    )
    with closing(batches), closing(writer), Progress(steps, "steps", title, done=training.step) as progress:
        for step in range(training.step, steps):
            rate = learning_rate(step, steps, lr, decay_at, decay, cosine)
            with enough_memory(advice):
                if whole:
                    training.loss_log.add(step, whole(step, rate), 1.0)
                else:
                    training.by_groups(step, rate)
            training.step = step + 1
            progress.advance()
            last = training.step == steps
            if last or training.step % batches.per_epoch == 0:
                row = training.end_epoch(rate)
                if fabric.is_global_zero:
                    with enough_memory(advice):
                        row |= observe(method, int(row["epoch"]), last)
                    report(row)
                    progress.note(_note(row))
            if not last:
                training.keep(stop())
    writer.wait()
    return training.rows


@dataclass
class Training:
    """A method and its optimiser, and how far they are: steps done, a row for each epoch, the losses of the running one."""

    method: Method
    wrapped: "_FabricModule"
    optimiser: "_FabricOptimizer"
    batches: Batches
    fabric: Fabric
    groups: BatchGroups
    loss_log: LossLog
    steps: int
    writer: checkpoint.Writer
    step: int = 0
    rows: list[Row] = field(default_factory=list)

    def by_groups(self, step: int, rate: float) -> None:
        """A step, one group after the other."""
        groups = self.groups
        self.optimiser.param_groups[0]["lr"] = rate
        self.optimiser.zero_grad()
        with groups.averaged_statistics() as of_group:
            for group in groups.mine:
                with of_group(), self.fabric.no_backward_sync(self.wrapped, enabled=group != groups.last):
                    batch = self.batches(step, self.fabric.device, group)
                    losses: Losses = self.wrapped(batch, self.batches.generator_of(step, group, self.fabric.device))
                    total = torch.stack(list(losses.terms.values())).sum()
                    self.fabric.backward(total / len(groups.mine) if len(groups.mine) > 1 else total)
                self.loss_log.add(step, losses, 1 / len(groups.mine))
            self.optimiser.step()
        self.method.after_step()

    def end_epoch(self, rate: float) -> Row:
        """The means over the epoch, as the newest row."""
        self.method.after_epoch()
        sums = self.groups.mean(self.loss_log.read())
        means = {name: total / sums["n"] for name, total in sums.items() if name != "n"}
        epoch = (self.step - 1) // self.batches.per_epoch + 1
        self.rows.append({"epoch": epoch, "step": self.step, "lr": rate, **means})
        self.loss_log.sums = {}
        return self.rows[-1]

    def keep(self, reason: str | None) -> None:
        """Leave a checkpoint if it is time, or if one of the processes has a reason to stop.

        Raises:
            Stopped: There was a reason; it is raised in all processes.
        """
        if self.fabric.world_size > 1 and self.step % ASK:
            return
        due = self.fabric.is_global_zero and self.writer.due
        asked = self.groups.largest(2 if reason else int(due))
        if not asked:
            return
        self.loss_log.sums = self.groups.mean(self.loss_log.read())
        if self.fabric.is_global_zero:
            device = self.fabric.device.type
            progress = {"step": self.step, "rows": self.rows, "sums": self.loss_log.sums, "device": device}
            self.writer.begin({"method": self.method.state_dict(), "optimiser": self.optimiser.state_dict(), "progress": progress})
        if asked == 2:
            self.writer.wait()
            raise Stopped(f"{reason or 'another process was asked to stop'}: a checkpoint was left after step {self.step} of {self.steps}")

    def resume(self) -> None:
        """Continue from the checkpoint in the writer's folder, if there is one.

        Raises:
            InputError: Another kind of device has left it.
        """
        if saved := checkpoint.load(self.writer.folder):
            here, there = self.fabric.device.type, saved["progress"].get("device")
            if there not in (None, here):
                raise InputError(
                    f"{self.writer.folder}: this training began on {KINDS[there]}, and {KINDS[here]} has other random numbers; "
                    f"set machine.accelerator: {'cpu' if there == 'cpu' else 'gpu'} to finish it, or remove that folder to start over"
                )
            self.method.load_state_dict(saved["method"])
            ours = [{name: group[name] for name in ("lr", "capturable")} for group in self.optimiser.param_groups]
            self.optimiser.load_state_dict(saved["optimiser"])
            for group, one in zip(self.optimiser.param_groups, ours, strict=True):
                group.update(one)  # the checkpoint may be that of steps that were graphs, or were not
            self.step, self.rows, self.loss_log.sums = (saved["progress"][name] for name in ("step", "rows", "sums"))


def adam(method: Method, lr: float | Tensor) -> torch.optim.Adam:
    """Make the optimiser of every method.

    It is fused: all weights at once, which on a CPU takes a third of the time.

    Args:
        method: The method; weights without a gradient are left out.
        lr: The learning rate. With a tensor, a step can be part of a CUDA graph.
    """
    trained = [weights for weights in method.parameters() if weights.requires_grad]
    return torch.optim.Adam(trained, lr=lr, fused=True, capturable=isinstance(lr, Tensor))


def _note(row: Row) -> str:
    """What the progress says of an epoch: the whole loss, and what validation found."""
    loss = sum(value for name, value in row.items() if name.startswith("loss/"))
    return ", ".join([f"loss {loss:.3g}", *(f"{name.removeprefix('val/')} {row[name]:.1f}" for name in row if name.startswith("val/"))])


def learning_rate(step: int, steps: int, base: float, decay_at: Sequence[float], decay: float, cosine: bool = False) -> float:
    """Compute the learning rate of a step.

    It counts optimiser steps, so it does not depend on which loader an epoch is measured by.

    Args:
        step: The step, from 0.
        steps: Number of all steps.
        base: The rate of the first step.
        decay_at: Fractions of `steps` (0-1) at which the rate is multiplied by `decay`.
        decay: The factor.
        cosine: Lower the rate along half a cosine from `base` to 0 instead.
    """
    if cosine:
        return base * (1 + math.cos(math.pi * step / steps)) / 2
    return base * decay ** sum(step >= fraction * steps for fraction in decay_at)
