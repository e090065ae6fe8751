"""Which GPU of a machine a training takes, where several trainings share the machine (the workers of `dvc queue`)."""

import os
import platform
import resource
import tempfile
from contextlib import suppress
from inspect import signature
from itertools import count as count_up
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from filelock import FileLock, Timeout
from lightning_fabric import Fabric
from lightning_fabric.plugins.precision import MixedPrecision, Precision
from lightning_fabric.strategies import DDPStrategy
from torch.nn.parallel import DistributedDataParallel

from semipose.utils.workers import end_with

if TYPE_CHECKING:
    from semipose.config.tree import Machine

CPU = Path("/proc/cpuinfo")
PORTABLE = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "COMPATIBLE"}
"""What torch and its libraries read in the environment when they are first used: newer instructions round differently,
and so does MKL (exp, sqrt) on another maker's CPU.
"""
_SYNC = "forward_sync_buffers" if "forward_sync_buffers" in signature(DistributedDataParallel).parameters else "broadcast_buffers"
"""DDP's option to copy the first process's batch-norm statistics to the others in each step; torch 2.15 renamed it."""
_held: list[FileLock] = []  # closed, and so given back, when the process ends, however it ends


def take(count: int) -> int:
    """The first of `count` GPUs that the fewest processes of this user have taken, taken until this process ends."""
    folder = Path(tempfile.gettempdir()) / f"semipose-gpus-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(count)))).split(",")
    for place, (number, name) in ((place, one) for place in count_up() for one in enumerate(visible[:count])):
        lock = FileLock(folder / f"{name.strip()}-{place}", blocking=False)
        with suppress(Timeout):
            lock.acquire()
            _held.append(lock)
            return number
    raise AssertionError("there is always a next place")


class Autocast(MixedPrecision):
    """bf16-mixed for the networks alone: in bfloat16, keypoints and crop matrices would be off by up to two heatmap cells."""

    def convert_input(self, data: Any) -> Any:
        return data


def precision_of(name: Literal["32-true", "bf16-mixed"], device: str) -> Precision:
    """Fabric's plugin for a precision on "cpu" or "cuda"."""
    return Autocast("bf16-mixed", device) if name == "bf16-mixed" else Precision()


def arithmetic(machine: "Machine", device: torch.device) -> None:
    """Set how a GPU computes: with TF32 or without, and whether equal work gives equal bits.

    Not every operation has a deterministic form; torch warns of one that has none, instead of
    raising.
    For a CPU there is nothing to set.
    """
    if device.type != "cuda":
        return
    torch.backends.cudnn.allow_tf32 = machine.tf32
    torch.set_float32_matmul_precision("high" if machine.tf32 else "highest")
    torch.backends.cudnn.deterministic = machine.deterministic
    torch.backends.cudnn.benchmark = not machine.deterministic  # chosen by time, so now and then differently
    torch.use_deterministic_algorithms(machine.deterministic, warn_only=True)
    # True would cost a kernel for each tensor; nothing here reads what it did not write.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def launch(machine: "Machine", precision: Literal["32-true", "bf16-mixed"]) -> Fabric:
    """Start Lightning Fabric on the machine's devices.

    This process gets `machine.threads` CPU threads.
    On a CPU, `machine.portable` holds only if torch has computed nothing in this process before.
    For several devices there is a process each, started here, by torchrun or by SLURM.
    Batch-norm statistics are then not those of the first process but the mean (groups.py).
    One device on a machine with several GPUs is the one that the fewest other trainings have taken.

    Args:
        machine: Section `machine` of the parameters.
        precision: "bf16-mixed" holds for the networks only (see Autocast).
    """
    devices: int | list[int] = machine.devices
    several = machine.devices * machine.nodes > 1
    if not several and machine.accelerator != "cpu" and torch.cuda.device_count() > 1:
        devices = [take(torch.cuda.device_count())]
    options: dict[str, Any] = {_SYNC: False}
    strategy = DDPStrategy(**options) if several else "auto"
    on_gpu = machine.accelerator != "cpu" and torch.cuda.is_available()
    if on_gpu:
        torch.set_float32_matmul_precision("high")  # else Fabric advises it; `arithmetic` decides
    if on_gpu and machine.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS is first used
    if not on_gpu and machine.portable and precision == "32-true":
        _restrict()
    plugin = precision_of(precision, "cuda" if on_gpu else "cpu")
    fabric = Fabric(accelerator=machine.accelerator, strategy=strategy, devices=devices, num_nodes=machine.nodes, plugins=plugin)
    fabric.launch()
    arithmetic(machine, fabric.device)
    if machine.threads:  # afterwards: Fabric shares the cores out to its processes
        torch.set_num_threads(machine.threads)
    if fabric.local_rank > 0:
        end_with(os.getppid())
    return fabric


def _restrict() -> None:
    """Restrict torch to what every x86 CPU with AVX2 computes alike, if this is one."""
    with suppress(OSError):  # not Linux
        if "avx2" in CPU.read_text(encoding="utf-8").split():
            os.environ.update(PORTABLE)


def processor(device: torch.device) -> str:
    """Name of the GPU, or of the CPU with its vector instructions: the same training has other bits on another processor."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    with suppress(OSError):
        for line in CPU.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return f"{line.partition(':')[2].strip()}, {torch.backends.cpu.get_cpu_capability()}"
    return f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}"


def peak_memory(device: torch.device) -> float:
    """Largest memory so far (MiB): of the GPU if there is one, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def forget_peak(device: torch.device) -> None:
    """Reset the largest memory."""
    if device.type == "cuda":
        torch.cuda.init()  # which that does not do itself
        torch.cuda.reset_peak_memory_stats(device)
    elif (counters := Path("/proc/self/clear_refs")).exists():  # of Linux
        counters.write_text("5")
