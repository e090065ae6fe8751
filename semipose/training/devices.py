"""Which GPU of a machine a training takes, where several trainings share the machine (the workers of `dvc queue`)."""

import os
import resource
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from filelock import FileLock, Timeout
from lightning_fabric import Fabric
from lightning_fabric.plugins.precision import MixedPrecision, Precision
from lightning_fabric.strategies import DDPStrategy

from semipose.utils.workers import end_with

if TYPE_CHECKING:
    from semipose.config.tree import Machine

_held: list[FileLock] = []  # closed, and so given back, when the process ends, however it ends


def take(count: int) -> int:
    """The first of `count` GPUs that no other process of this user has taken, taken until this process ends; the first one of all where
    each is taken."""
    folder = Path(tempfile.gettempdir()) / f"semipose-gpus-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(count)))).split(",")
    for number, name in enumerate(visible[:count]):
        lock = FileLock(folder / name.strip(), blocking=False)
        with suppress(Timeout):
            lock.acquire()
            _held.append(lock)
            return number
    return 0


class Autocast(MixedPrecision):
    """bf16-mixed for the networks alone: in bfloat16, keypoints and crop matrices would be off by up to two cells."""

    def convert_input(self, data: Any) -> Any:
        return data


def precision_of(name: Literal["32-true", "bf16-mixed"], device: str) -> Precision:
    """Fabric's plugin for a precision on "cpu" or "cuda"."""
    return Autocast("bf16-mixed", device) if name == "bf16-mixed" else Precision()


def launch(machine: "Machine", precision: Literal["32-true", "bf16-mixed"]) -> Fabric:
    """Lightning Fabric on the machine's devices, with `threads` CPU threads in this process. Several devices: a process for each, begun
    here, by torchrun or by SLURM; batch-norm statistics are not those of the first process but the mean (groups.py). One device on a
    machine with several GPUs: one that no other training has."""
    if machine.threads:
        torch.set_num_threads(machine.threads)
    devices: int | list[int] = machine.devices
    several = machine.devices * machine.nodes > 1
    if not several and machine.accelerator != "cpu" and torch.cuda.device_count() > 1:
        devices = [take(torch.cuda.device_count())]
    strategy = DDPStrategy(forward_sync_buffers=False) if several else "auto"
    plugin = precision_of(precision, "cuda" if machine.accelerator != "cpu" and torch.cuda.is_available() else "cpu")
    fabric = Fabric(accelerator=machine.accelerator, strategy=strategy, devices=devices, num_nodes=machine.nodes, plugins=plugin)
    fabric.launch()
    if fabric.local_rank > 0:
        end_with(os.getppid())
    return fabric


def peak_memory(device: torch.device) -> float:
    """Largest memory so far (MiB): of the GPU where there is one, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
