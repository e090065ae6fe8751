"""What a new GPU machine is asked first: `make check-gpu`, or `python -m semipose.bench.check_gpu --dry` on a CPU.

AKM of a preset trains on synthetic people from random weights, some hundred steps in each way that `params.yaml` offers. The table at the
end says what was found, and what to set. A part that fails, takes too long or is left out, because the time that is left could be too short
for it, is a line of the table and stops no other.
"""

import os
import tempfile
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer

from semipose.bench.clock import gaps, now, rate
from semipose.bench.components import copying, product, tiny_operations
from semipose.bench.ways import HALF, WAYS, Found, Trial, Way, loss
from semipose.config.load import load
from semipose.config.tree import Params
from semipose.data.loading.batch import Labelled
from semipose.data.loading.pack import CropPack
from semipose.data.packing.writing import Recipe, write_pack
from semipose.data.sources import read_people
from semipose.demo.dataset import render_set
from semipose.pose.geometry import transform
from semipose.pose.heatmap import STRIDE
from semipose.training.devices import precision_of
from semipose.utils.errors import Stopped

SECONDS = 480.0  # for everything
LIMIT = 40.0  # seconds of a part, but for those that do more
NOTICED = 5  # microseconds of a gap between kernels
SURE = 0.1  # of the loss in float32: as near as a faster way must come to be advised


class TooLong(Exception):
    """A part has had its time."""


class Check:
    """The parts, on one device; `rows` of the table: what, and what was found. All must end within `seconds` from now on."""

    def __init__(self, trial: Trial, seconds: float) -> None:
        self.trial, self.device = trial, trial.device
        self.end = time.monotonic() + seconds
        self.deadline = self.end  # of the part that runs
        self.rows: list[tuple[str, str]] = []
        self.ways: dict[Way, Found] = {}

    def part(self, name: str, work: Callable[[], dict[str, str]], limit: float = LIMIT) -> None:
        """Do a part, unless it may take more seconds (`limit`; 0: next to none) than are left; past them its training ends."""
        begun = time.monotonic()
        if limit and begun + limit > self.end:
            self.rows.append((f"{name}: LEFT OUT", f"it may take {limit:.0f} s, and {max(0.0, self.end - begun):.0f} s are left"))
            return
        self.deadline = begun + limit
        try:
            found = work()
        except TooLong:
            found = {f"{name}: CUT OFF": f"it took longer than {limit:.0f} s"}
        except Exception as error:  # whatever it is, the other parts are worth their minutes
            found = {f"{name}: FAILED": f"{type(error).__name__}: {str(error).splitlines()[0][:200] if str(error) else ''}"}
        typer.echo(f"{name}: {time.monotonic() - begun:.0f} s")
        self.rows += found.items()

    def train(self, way: Way, stop: Callable[[], str | None] = lambda: None, trial: Trial | None = None, **options: Any) -> Found:
        """As Trial.train, for as long as the part may."""
        return (trial or self.trial).train(way, _until(self.deadline, stop), **options)

    def ceilings(self) -> dict[str, str]:
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "CPU"
        found = {"device": f"{name}, torch {torch.__version__}"}
        for precision in ("32-true", "bf16-mixed"):
            work, flop = product(self.device, precision)
            work()
            found[f"matrix products, {precision}"] = f"{rate(work, self.device) * flop / 1e12:,.3g} TFLOP/s"
        copy, tiny = copying(self.device), tiny_operations(self.device)
        copy(), tiny()
        found["copies, read and written"] = f"{rate(copy, self.device) / 1e12:,.3g} TB/s"
        found["a tiny operation"] = f"{1e6 / rate(tiny, self.device):,.3g} microseconds"
        return found

    def labels(self) -> dict[str, str]:
        pack, model = CropPack.open(self.trial.folder), self.trial.p.model
        everybody = np.arange(len(pack))
        given = Labelled(pack.read(everybody, (model.height, model.width)), *pack.points(everybody))
        seen = precision_of("bf16-mixed", self.device.type).convert_input(given)
        matrices = seen.crops.base.float()
        beside = (transform(matrices, seen.points.float()) - transform(matrices, given.points)).norm(dim=-1)[given.visible > 0] / STRIDE
        return {"labels beside their image in bf16": f"{float(beside.quantile(0.95)):.3f} cells (95 %), at most {float(beside.max()):.3f}"}

    def way(self, way: Way) -> dict[str, str]:
        found = self.ways[way] = self.train(way)
        losses = " ".join(f"{loss(row):.3g}" for row in found.rows)
        return {str(way): f"{found.pairs:,.0f} pairs/s, losses {losses}, peak {found.memory:,.0f} MiB"}

    def resume(self, way: Way) -> dict[str, str]:
        """Twice the same, and stopped half-way."""
        whole, again = self.train(way), self.train(way)
        asked = iter([None] * (self.trial.steps // 2) + ["half-way"])
        with tempfile.TemporaryDirectory() as folder:
            try:
                self.train(way, lambda: next(asked), state=Path(folder))
            except Stopped:
                resumed = self.train(way, state=Path(folder), seed=7)  # other weights: those of the checkpoint must come back
        said = {name: "equal" if one.rows == whole.rows else "differs" for name, one in {"again": again, "resumed": resumed}.items()}
        return {f"to the last bit, {way}": ", ".join(f"{name}: {what}" for name, what in said.items())}

    def graphs(self, way: Way) -> dict[str, str]:
        """Steps as CUDA graphs beside steps kernel by kernel, a quarter as many, for each place of Mixup, which has its own graph."""
        short, found = self.trial._replace(steps=max(8, self.trial.steps // 4)), {}
        for place in self.trial.entry.mixup.place:
            plain, graphed = (self.train(way._replace(graphs=on), place=place, trial=short) for on in (False, True))
            apart = max(abs(loss(a) - loss(b)) / loss(a) for a, b in zip(plain.rows, graphed.rows, strict=True))
            losses = "equal to the last bit" if graphed.rows == plain.rows else f"apart by {apart:.2g} of them"
            losses += "" if self.device.type == "cuda" else " (there is no GPU: both without graphs)"
            found[f"CUDA graphs, Mixup at {place}"] = f"losses {losses}, {graphed.pairs / plain.pairs:.2f} times as fast"
        return found

    def waits(self) -> dict[str, str]:
        """From the fifth step on, by line."""
        done = count(1)

        def strict() -> None:
            if next(done) == 5:
                torch.cuda.set_sync_debug_mode("warn")

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                self.train(HALF, strict)
            finally:
                torch.cuda.set_sync_debug_mode("default")
        lines = Counter(f"{Path(one.filename).name}:{one.lineno}" for one in caught if "synchroniz" in str(one.message))
        return {"waits for the GPU": ", ".join(f"{line} {count} times" for line, count in lines.most_common(8)) or "none"}

    def kernels(self, way: Way) -> dict[str, str]:
        """Of the last steps but one; on a CPU of what the profiler calls operations there."""
        from torch.profiler import ProfilerActivity, profile

        kind = "CUDA" if self.device.type == "cuda" else "CPU"
        done, watched = count(1), profile(activities=[getattr(ProfilerActivity, kind)])
        many = min(12, self.trial.steps // 4)

        def watch() -> None:
            step = next(done)  # `stop` is not asked after the last one
            if step == self.trial.steps - 1 - many:
                now(self.device)
                profiled.enter_context(watched)
            elif step == self.trial.steps - 1:
                now(self.device)
                profiled.close()

        with ExitStack() as profiled:
            self.train(way, watch)
        spans = ("Optimizer.", "ProfilerStep")  # over other kernels, no kernels
        events = [one for one in watched.events() or [] if one.device_type.name == kind and not one.is_user_annotation]
        events = [one for one in events if not one.name.startswith(spans)]
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

    def together(self, processes: int) -> dict[str, str]:
        with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
            rates = list(pool.map(_alone, [self.trial] * processes, [self.deadline] * processes))
        return {f"{processes} trainings on this device": f"{sum(rates):,.0f} pairs/s together"}

    def advice(self) -> dict[str, str]:
        """The fastest of the ways that end near the loss of float32."""
        if Way() not in self.ways:
            return {"set": "nothing: float32 did not train"}
        sound = loss(self.ways[Way()].rows[-1])
        near = {way: one for way, one in self.ways.items() if abs(loss(one.rows[-1]) - sound) <= SURE * sound}
        best = max(near, key=lambda way: near[way].pairs)
        return {"set in params.yaml": f"{best} ({near[best].pairs / self.ways[Way()].pairs:.1f} times float32)"}


def _until(deadline: float, stop: Callable[[], str | None] = lambda: None) -> Callable[[], str | None]:
    """`stop`, which raises TooLong from the deadline on: all processes of a machine have the same clock."""

    def asked() -> str | None:
        if time.monotonic() > deadline:
            raise TooLong
        return stop()

    return asked


def _alone(trial: Trial, deadline: float) -> float:
    return trial.train(HALF, _until(deadline)).pairs


def small(p: Params) -> Params:
    """Next to no arithmetic, to try the check itself."""
    model = {"height": 64, "width": 64, "head_channels": [8, 8, 8], "options": {"layers": [1, 1, 1, 1], "channels": [8, 8, 8, 8]}}
    crop, train = p.data.crop.model_copy(update={"size": 80}), p.train.model_copy(update={"batch_size": 4})
    data = p.data.model_copy(update={"crop": crop})
    return p.model_copy(update={"model": p.model.model_copy(update=model), "train": train, "data": data})


def check_gpu(
    params: Annotated[Path, typer.Option(help="Params file with network, batch and method.")] = Path("pipeline/presets/coco.yaml"),
    steps: Annotated[int, typer.Option(min=24, help="Training steps for each setting.")] = 300,
    seconds: Annotated[
        float, typer.Option(help="Time for all parts; those that could take longer than what is left are left out.")
    ] = SECONDS,
    dry: Annotated[bool, typer.Option("--dry", help="Try the check itself on a CPU, with a tiny network.")] = False,
) -> None:
    """Train AKM on synthetic people with each setting that
    params.yaml offers, and print what to set.
    """
    if not dry and not torch.cuda.is_available():
        raise SystemExit("semipose: torch finds no GPU; use --dry to try the check on the CPU")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # for equal bits; read when cuBLAS is first used
    begun = time.monotonic()
    p = load(params)
    p = p.model_copy(update={"model": p.model.model_copy(update={"pretrained": False})})
    p, steps, device = (small(p), 8, torch.device("cpu")) if dry else (p, steps, torch.device("cuda", 0))
    with tempfile.TemporaryDirectory() as scratch:
        folder, crop = Path(scratch), p.data.crop
        render_set(folder / "demo", {"train": 24 if dry else 320}, seed=0, processes=p.machine.workers)
        people = read_people("demo", folder / "demo", "train", 0, None)
        recipe = Recipe(crop.size, crop.padding, crop.extent, p.model.width / p.model.height)
        write_pack(people, folder / "demo", folder / "pack", recipe, 0, p.machine.workers)
        check = Check(Trial(p, folder / "pack", device, steps), seconds - (time.monotonic() - begun))
        check.part("ceilings", check.ceilings, 20)
        check.part("labels", check.labels, 10)
        half = Way() if dry else HALF
        for way in WAYS[: 2 if dry else None]:
            check.part(str(way), lambda way=way: check.way(way), LIMIT if way.compiled == "none" else 3 * LIMIT)  # type: ignore[misc]
        if not dry:
            check.part("waits", check.waits)
        check.part("kernels", lambda: check.kernels(half))
        for deterministic in (True,) if dry else (False, True):
            way = half._replace(deterministic=deterministic)
            check.part(f"resume, {way}", lambda way=way: check.resume(way), 1.5 * LIMIT)  # type: ignore[misc]
        check.part("graphs", lambda: check.graphs(half._replace(deterministic=True)), 2 * LIMIT)
        for processes in (1,) if dry else (2, 4):
            check.part(f"{processes} trainings", lambda processes=processes: check.together(processes), 1.5 * LIMIT)  # type: ignore[misc]
        check.part("advice", check.advice, 0)
    width = max(len(what) for what, _ in check.rows)
    typer.echo("\n" + "\n".join(f"{what:<{width}} | {found}" for what, found in check.rows))


if __name__ == "__main__":
    typer.run(check_gpu)
