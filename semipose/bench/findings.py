"""What is found out about a GPU, part by part: rows of the table of `make check-gpu`."""

import os
import tempfile
import warnings
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from itertools import count
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
import torch
from lightning_fabric.plugins.precision import MixedPrecision, Precision

from semipose.bench.clock import gaps, now, rate
from semipose.bench.components import copying, product, tiny_operations
from semipose.bench.ways import Trial, Way, loss
from semipose.data.loading.batch import Labelled
from semipose.data.loading.pack import CropPack
from semipose.pose.geometry import transform
from semipose.pose.heatmap import STRIDE
from semipose.training.devices import precision_of
from semipose.utils.errors import Stopped
from semipose.utils.workers import end_with

NOTICED = 5  # microseconds of a gap between kernels


def ceilings(device: torch.device) -> dict[str, str]:
    """The device, and the most that it can do."""
    found = {"device": f"CPU, torch {torch.__version__}"}
    if device.type == "cuda":
        card = torch.cuda.get_device_properties(device)
        size = f"{card.total_memory / 2**30:.0f} GiB, {card.multi_processor_count} multiprocessors"
        libraries = f"torch {torch.__version__}, CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"
        found = {"device": f"{torch.cuda.device_count()} x {card.name}, {size}; {libraries}"}
    for precision in ("32-true", "bf16-mixed"):
        work, flop = product(device, precision)
        work()
        found[f"matrix products, {precision}"] = f"{rate(work, device) * flop / 1e12:,.3g} TFLOP/s"
    copy, tiny = copying(device), tiny_operations(device)
    copy(), tiny()
    found["copies, read and written"] = f"{rate(copy, device) / 1e12:,.3g} TB/s"
    found["a tiny operation"] = f"{1e6 / rate(tiny, device):,.3g} microseconds"
    return found


def labels(trial: Trial) -> dict[str, str]:
    """How far labels lie from their image in bfloat16, with our plugin and with Fabric's own."""
    pack, model, kind = CropPack.open(trial.folder), trial.p.model, trial.device.type
    everybody = np.arange(len(pack))
    given = Labelled(pack.read(everybody, (model.height, model.width)), *pack.points(everybody))

    def beside(plugin: Precision) -> str:
        seen = plugin.convert_input(given)
        matrices = seen.crops.base.float()
        apart = transform(matrices, seen.points.float()) - transform(matrices, given.points)
        cells = apart.norm(dim=-1)[given.visible > 0] / STRIDE
        return f"{float(cells.quantile(0.95)):.3f} cells (95 %), at most {float(cells.max()):.3f}"

    ours, fabrics = precision_of("bf16-mixed", kind), MixedPrecision("bf16-mixed", kind)
    return {"labels beside their image in bf16": f"{beside(ours)}; with Fabric's own plugin {beside(fabrics)}"}


def resume(trial: Trial, way: Way) -> dict[str, str]:
    """Train twice the same, and stopped half-way."""
    whole, again = trial.train(way), trial.train(way)
    asked = iter([None] * (trial.steps // 2) + ["half-way"])
    with tempfile.TemporaryDirectory() as folder:
        try:
            trial.train(way, lambda: next(asked), state=Path(folder))
        except Stopped:
            resumed = trial.train(way, state=Path(folder), seed=7)  # other weights: those of the checkpoint must come back
    said = {name: "equal" if one.rows == whole.rows else "differs" for name, one in {"again": again, "resumed": resumed}.items()}
    return {f"to the last bit, {way}": ", ".join(f"{name}: {what}" for name, what in said.items())}


def graphs(trial: Trial, way: Way) -> dict[str, str]:
    """Steps as CUDA graphs beside steps kernel by kernel, a quarter as many, for each place of Mixup, which has its own graph."""
    short, found = trial._replace(steps=max(8, trial.steps // 4)), {}
    for place in trial.entry.mixup.place:
        plain, graphed = (short.train(way._replace(graphs=on), place=place) for on in (False, True))
        apart = max(abs(loss(a) - loss(b)) / loss(a) for a, b in zip(plain.rows, graphed.rows, strict=True))
        losses = "equal to the last bit" if graphed.rows == plain.rows else f"apart by {apart:.2g} of them"
        losses += "" if trial.device.type == "cuda" else " (there is no GPU: both without graphs)"
        found[f"CUDA graphs, Mixup at {place}"] = f"losses {losses}, {graphed.pairs / plain.pairs:.2f} times as fast"
    return found


def waits(trial: Trial, way: Way) -> dict[str, str]:
    """Where the host waits for the GPU, by line, from the fifth step on."""
    done = count(1)

    def strict() -> None:
        if next(done) == 5:
            torch.cuda.set_sync_debug_mode("warn")

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            trial.train(way, strict)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    lines = Counter(f"{Path(one.filename).name}:{one.lineno}" for one in caught if "called a synchroniz" in str(one.message))
    return {"waits for the GPU": ", ".join(f"{line} {count} times" for line, count in lines.most_common(8)) or "none"}


def kernels(trial: Trial, way: Way) -> dict[str, str]:
    """Kernels of the last steps but one; on a CPU what the profiler calls operations there."""
    from torch.profiler import ProfilerActivity, profile

    kind = "CUDA" if trial.device.type == "cuda" else "CPU"
    done, watched = count(1), profile(activities=[getattr(ProfilerActivity, kind)])
    many = min(12, trial.steps // 4)

    def watch() -> None:
        step = next(done)  # `stop` is not asked after the last one
        if step == trial.steps - 1 - many:
            now(trial.device)
            profiled.enter_context(watched)
        elif step == trial.steps - 1:
            now(trial.device)
            profiled.close()

    with ExitStack() as profiled:
        trial.train(way, watch)
    spans = ("Optimizer.", "ProfilerStep")  # over other kernels, no kernels
    events = [one for one in watched.events() or [] if one.device_type.name == kind and not one.is_user_annotation]
    events = [one for one in events if not one.name.startswith(spans)]
    if not events:
        return {"kernels": "the profiler saw none (it may lack the right to read the GPU's counters)"}
    idle, between = gaps((one.time_range.start, one.time_range.end) for one in events)
    total: dict[str, float] = defaultdict(float)
    for one in events:
        total[one.name[:60]] += one.time_range.end - one.time_range.start
    longest = sorted(total.items(), key=lambda one: -one[1])[:5]
    noticed = sum(one > NOTICED for one in between)
    return {
        "kernels": f"{len(events) / many:,.0f} in a step, and between them the device is idle {idle:.0%} of the time",
        "gaps between kernels": f"{noticed / many:,.0f} in a step over {NOTICED} microseconds, at most {max(between, default=0):,.0f}",
        "longest kernels": "; ".join(f"{name} {took / sum(total.values()):.0%}" for name, took in longest),
    }


def together(trial: Trial, way: Way, processes: int) -> float:
    """Pairs per second of several trainings on one device, added up; they begin together, and end nearly so."""
    context = get_context("spawn")
    barrier = context.Barrier(processes)
    with ProcessPoolExecutor(processes, context, initializer=_wait, initargs=(barrier, os.getpid())) as pool:
        return sum(one.pairs for one in pool.map(trial.train, [way] * processes))


def _wait(barrier: Barrier, parent: int) -> None:
    end_with(parent)
    barrier.wait()
