"""The training loop, for any method: batches in, weights and history out."""

import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy

from semipose import checkpoint, gpus
from semipose.batches import Batches
from semipose.errors import InputError, Stopped
from semipose.groups import Groups
from semipose.methods.method import Losses, Method
from semipose.schedule import learning_rate

if TYPE_CHECKING:
    from semipose.params import Machine

Row = dict[str, float]

EXPLODED = 1e4  # heatmaps lie in 0-1: with a loss like that every cell is wrong by a hundred


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
) -> list[Row]:
    """Train `method` in place for `steps` optimiser steps of Adam and return one history row per epoch.

    `observe(method, epoch, last)` adds figures to an epoch's row and must leave the method as it was; `report` gets each finished row;
    both are asked of the first process alone. A checkpoint is kept in `state`; a run that finds one goes on from it and ends with the
    weights of a run never stopped. `stop` is asked after each step: if it gives a reason, a checkpoint is written and Stopped is raised.
    """
    wrapped, optimiser = fabric.setup(method, adam(method, lr))
    groups = Groups(batches.groups, method, fabric)
    progress: dict[str, Any] = {"step": 0, "rows": [], "sums": {}}
    if saved := checkpoint.load(state):
        method.load_state_dict(saved["method"])
        optimiser.load_state_dict(saved["optimiser"])
        progress = saved["progress"]
    for row in progress["rows"] if fabric.is_global_zero else ():
        report(row)
    saved_at = time.monotonic()
    for step in range(progress["step"], steps):
        rate = learning_rate(step, steps, lr, decay_at, decay)
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.zero_grad()
        for group in groups:
            with fabric.no_backward_sync(wrapped, enabled=group != groups.last):
                losses: Losses = wrapped(batches(step, fabric.device, group), batches.draws(step, group, fabric.device))
                fabric.backward(torch.stack(list(losses.terms.values())).sum() / len(groups))
            _add(progress["sums"], losses, step, batches, 1 / len(groups))
        optimiser.step()
        method.after_step()
        progress["step"] = step + 1
        if (step + 1) % batches.per_epoch == 0 or step + 1 == steps:
            epoch = step // batches.per_epoch + 1
            method.after_epoch()
            sums = groups.mean(progress["sums"])
            means = {name: total / sums["n"] for name, total in sums.items() if name != "n"}
            row = {"epoch": epoch, "step": step + 1, "lr": rate, **means}
            if fabric.is_global_zero:
                row |= observe(method, epoch, step + 1 == steps)
                report(row)
            progress["rows"].append(row)
            progress["sums"] = {}
        if step + 1 == steps:
            break
        reason = stop()
        due = fabric.is_global_zero and time.monotonic() - saved_at > checkpoint_seconds
        asked = groups.largest(2 if reason else int(due))
        if asked:
            progress["sums"] = groups.mean(progress["sums"])
            if fabric.is_global_zero:
                checkpoint.save(state, {"method": method.state_dict(), "optimiser": optimiser.state_dict(), "progress": progress})
            saved_at = time.monotonic()
        if asked == 2:
            raise Stopped(f"{reason or 'another process was asked to stop'}: a checkpoint was left after step {step + 1} of {steps}")
    return progress["rows"]


def adam(method: Method, lr: float) -> torch.optim.Adam:
    """The optimiser of every method, over what of it is trained; fused: all weights in one go, a third of the time on a CPU."""
    return torch.optim.Adam([weights for weights in method.parameters() if weights.requires_grad], lr=lr, fused=True)


def launch(machine: "Machine", precision: Literal["32-true", "bf16-mixed"]) -> Fabric:
    """Lightning Fabric on the machine's devices, with `threads` CPU threads in this process. Several devices: a process for each, begun
    here, by torchrun or by SLURM; batch-norm statistics are not those of the first process but the mean (groups.py). One device on a
    machine with several GPUs: one that no other training has."""
    if machine.threads:
        torch.set_num_threads(machine.threads)
    devices: int | list[int] = machine.devices
    several = machine.devices * machine.nodes > 1
    if not several and machine.accelerator != "cpu" and torch.cuda.device_count() > 1:
        devices = [gpus.take(torch.cuda.device_count())]
    strategy = DDPStrategy(broadcast_buffers=False) if several else "auto"
    fabric = Fabric(accelerator=machine.accelerator, strategy=strategy, devices=devices, num_nodes=machine.nodes, precision=precision)
    fabric.launch()
    return fabric


def peak_memory(device: torch.device) -> float:
    """Largest memory so far (MiB): of the GPU where there is one, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def _add(sums: Row, losses: Losses, step: int, batches: Batches, share: float) -> None:
    """Sum up the losses and measures of a group, which is this share of a step; stop on a loss that is no number or beyond all measure,
    naming it, step and people."""
    named = {f"loss/{name}": value for name, value in losses.terms.items()} | losses.measures
    for name, value in named.items():
        number = float(value.detach())
        if not abs(number) < EXPLODED:
            labelled, unlabelled = (", ".join(map(str, ids)) for ids in batches.ids(step))
            raise InputError(
                f"step {step}: {name} is {number:.3g}. Lower the learning rate, or look at this step's people: "
                f"labelled {labelled}; unlabelled {unlabelled}"
            )
        sums[name] = sums.get(name, 0.0) + share * number
    sums["n"] = sums.get("n", 0) + share
