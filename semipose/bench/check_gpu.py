"""What a new GPU machine is asked first: `make check-gpu`, or `python -m semipose.bench.check_gpu --dry` on a CPU.

AKM of a preset trains on synthetic people from random weights, some hundred steps in each way that `params.yaml` offers. The table at the
end says what was found, and what to set. A part that fails is a line of the table and stops no other.
"""

import tempfile
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
import typer
from lightning_fabric import Fabric

from semipose.augment.task import task_of
from semipose.bench.clock import now, rate
from semipose.bench.components import product
from semipose.config.load import load
from semipose.config.tree import Params
from semipose.data.loading.batch import Labelled
from semipose.data.loading.batches import Batches
from semipose.data.loading.pack import CropPack
from semipose.data.packing.writing import Recipe, write_pack
from semipose.data.sources import read_people
from semipose.demo.dataset import render_set
from semipose.methods import build
from semipose.models.compile import Mode
from semipose.models.network import build as build_network
from semipose.pose.geometry import transform
from semipose.pose.heatmap import STRIDE
from semipose.training.devices import arithmetic, peak_memory, precision_of
from semipose.training.trainer import Row, fit
from semipose.utils.errors import Stopped

METHOD = "akm"
SURE = 0.1  # of the loss in float32: as near as a faster way must come to be advised


class Way(NamedTuple):
    """A way to train, by the keys of params.yaml."""

    precision: Any = "32-true"
    tf32: bool = False
    deterministic: bool = False
    compiled: Mode = "none"

    def __str__(self) -> str:
        said = [f"train.precision: {self.precision}"]
        said += [f"machine.{name}: true" for name in ("tf32", "deterministic") if getattr(self, name)]
        return ", ".join(said + ([f"machine.compile: {self.compiled}"] if self.compiled != "none" else []))


WAYS = (Way(), Way(tf32=True), Way("bf16-mixed"), Way("bf16-mixed", deterministic=True), Way("bf16-mixed", compiled="default"))


class Found(NamedTuple):
    """Of a training: its history, people labelled and not per second after the first quarter of the steps, largest memory (MiB)."""

    rows: list[Row]
    pairs: float
    memory: float


class Check:
    """The parts, on one device; `rows` of the table: what, and what was found."""

    def __init__(self, p: Params, folder: Path, device: torch.device, steps: int) -> None:
        self.p, self.folder, self.device, self.steps = p, folder, device, steps
        self.pack = CropPack.open(folder / "pack")
        self.rows: list[tuple[str, str]] = []
        self.ways: dict[Way, Found] = {}

    def part(self, name: str, work: Callable[[], dict[str, str]]) -> None:
        begun = time.monotonic()
        try:
            found = work()
        except Exception as error:  # whatever it is, the other parts are worth their minutes
            found = {f"{name}: FAILED": f"{type(error).__name__}: {str(error).splitlines()[0][:200] if str(error) else ''}"}
        typer.echo(f"{name}: {time.monotonic() - begun:.0f} s")
        self.rows += found.items()

    def train(self, way: Way, stop: Callable[[], str | None] = lambda: None, state: Path | None = None, seed: int = 0) -> Found:
        """AKM on the pack's people again and again, in four epochs."""
        p, entry = self.p, self.p.method[METHOD]
        arithmetic(p.machine.model_copy(update={"tf32": way.tf32, "deterministic": way.deterministic}), self.device)
        task = task_of(p, self.pack, self.device)
        method = build([build_network(p.model, len(task.skeleton.joints), seed + k) for k in range(entry.trains)], entry, task)
        many, done, moments = p.train.batch_size, iter(range(1, self.steps)), [0.0]
        order = np.resize(np.arange(len(self.pack)), self.steps // 4 * many)
        batches = Batches(self.pack, task.size, np.arange(len(self.pack) // 4), order, many, seed=1)
        on_gpu = self.device.type == "cuda"
        devices: list[int] | int = [self.device.index or 0] if on_gpu else 1
        fabric = Fabric(accelerator="gpu" if on_gpu else "cpu", devices=devices, plugins=precision_of(way.precision, self.device.type))

        def watch() -> str | None:
            if next(done) == self.steps // 4:
                moments[0] = now(self.device)
            return stop()

        with tempfile.TemporaryDirectory() as scratch:
            where = state or Path(scratch)
            kept: dict[str, Any] = {
                "state": where,
                "checkpoint_seconds": 1e9,
                "compiled": way.compiled,
                "report": lambda row: None,
                "stop": watch,
            }
            rows = fit(method, batches, fabric, steps=self.steps, lr=p.train.lr, **kept)
        return Found(rows, (self.steps - self.steps // 4) * many / (now(self.device) - moments[0]), peak_memory(self.device))

    def ceilings(self) -> dict[str, str]:
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "CPU"
        found = {"device": f"{name}, torch {torch.__version__}"}
        for precision in ("32-true", "bf16-mixed"):
            work, flop = product(self.device, precision)
            work()
            found[f"matrix products, {precision}"] = f"{rate(work, self.device) * flop / 1e12:,.3g} TFLOP/s"
        return found

    def labels(self) -> dict[str, str]:
        everybody = np.arange(len(self.pack))
        given = Labelled(self.pack.read(everybody, (self.p.model.height, self.p.model.width)), *self.pack.points(everybody))
        seen = precision_of("bf16-mixed", self.device.type).convert_input(given)
        matrices = seen.crops.base.float()
        beside = (transform(matrices, seen.points.float()) - transform(matrices, given.points)).norm(dim=-1)[given.visible > 0] / STRIDE
        return {"labels beside their image in bf16": f"{float(beside.quantile(0.95)):.3f} cells (95 %), at most {float(beside.max()):.3f}"}

    def way(self, way: Way) -> dict[str, str]:
        found = self.ways[way] = self.train(way)
        losses = " ".join(f"{_loss(row):.3g}" for row in found.rows)
        return {str(way): f"{found.pairs:,.0f} pairs/s, losses {losses}, peak {found.memory:,.0f} MiB"}

    def resume(self, way: Way) -> dict[str, str]:
        """Twice the same, and stopped half-way."""
        whole, again = self.train(way), self.train(way)
        asked = iter([None] * (self.steps // 2) + ["half-way"])
        with tempfile.TemporaryDirectory() as folder:
            try:
                self.train(way, lambda: next(asked), Path(folder))
            except Stopped:
                resumed = self.train(way, state=Path(folder), seed=7)  # other weights: those of the checkpoint must come back
        said = {name: "equal" if one.rows == whole.rows else "differs" for name, one in {"again": again, "resumed": resumed}.items()}
        return {f"to the last bit, {way}": ", ".join(f"{name}: {what}" for name, what in said.items())}

    def waits(self) -> dict[str, str]:
        """From the fifth step on, by line."""
        done = iter(range(1, 10**9))

        def strict() -> None:
            if next(done) == 5:
                torch.cuda.set_sync_debug_mode("warn")

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                self.train(Way("bf16-mixed"), strict)
            finally:
                torch.cuda.set_sync_debug_mode("default")
        lines = Counter(f"{Path(one.filename).name}:{one.lineno}" for one in caught if "synchroniz" in str(one.message))
        return {"waits for the GPU": ", ".join(f"{line} {count} times" for line, count in lines.most_common(8)) or "none"}

    def kernels(self) -> dict[str, str]:
        """Of the last quarter of the steps."""
        from torch.profiler import ProfilerActivity, profile

        done, watched = iter(range(1, 10**9)), profile(activities=[ProfilerActivity.CUDA])

        def watch() -> None:
            if next(done) == self.steps - 12:
                watched.__enter__()

        self.train(Way("bf16-mixed"), watch)
        watched.__exit__(None, None, None)
        events = [one for one in watched.events() or [] if one.device_type.name == "CUDA"]
        spans = sorted((one.time_range.start, one.time_range.end) for one in events)
        busy = sum(end - start for start, end in spans) / (spans[-1][1] - spans[0][0])
        total: dict[str, float] = defaultdict(float)
        for one in events:
            total[one.name[:60]] += one.time_range.end - one.time_range.start
        longest = sorted(total.items(), key=lambda one: -one[1])[:5]
        top = "; ".join(f"{name} {took / sum(total.values()):.0%}" for name, took in longest)
        return {"kernels in 12 steps": f"{len(spans):,}, the device is busy {busy:.0%} of the time", "longest kernels": top}

    def together(self, counts: tuple[int, ...]) -> dict[str, str]:
        found = {}
        for count in counts:
            with ProcessPoolExecutor(count, get_context("spawn")) as pool:
                rates = list(pool.map(_alone, [(self.p, self.folder, self.device, self.steps)] * count))
            found[f"{count} trainings on this device"] = f"{sum(rates):,.0f} pairs/s together"
        return found

    def advice(self) -> dict[str, str]:
        """The fastest of the ways that end near the loss of float32."""
        if Way() not in self.ways:
            return {"set": "nothing: float32 did not train"}
        sound = _loss(self.ways[Way()].rows[-1])
        near = {way: one for way, one in self.ways.items() if abs(_loss(one.rows[-1]) - sound) <= SURE * sound}
        best = max(near, key=lambda way: near[way].pairs)
        return {"set in params.yaml": f"{best} ({near[best].pairs / self.ways[Way()].pairs:.1f} times float32)"}


def _alone(given: tuple[Params, Path, torch.device, int]) -> float:
    return Check(*given).train(Way("bf16-mixed")).pairs


def _loss(row: Row) -> float:
    return sum(value for name, value in row.items() if name.startswith("loss/"))


def small(p: Params) -> Params:
    """Next to no arithmetic, to try the check itself."""
    model = {"height": 64, "width": 64, "head_channels": [8, 8, 8], "options": {"layers": [1, 1, 1, 1], "channels": [8, 8, 8, 8]}}
    crop, train = p.data.crop.model_copy(update={"size": 80}), p.train.model_copy(update={"batch_size": 4})
    data = p.data.model_copy(update={"crop": crop})
    return p.model_copy(update={"model": p.model.model_copy(update=model), "train": train, "data": data})


def check_gpu(
    params: Annotated[Path, typer.Option(help="Params file with network, batch and method.")] = Path("pipeline/presets/coco.yaml"),
    steps: Annotated[int, typer.Option(min=24, help="Training steps for each setting.")] = 300,
    dry: Annotated[bool, typer.Option("--dry", help="Try the check itself on a CPU, with a tiny network.")] = False,
) -> None:
    """Train AKM on synthetic people with each setting that
    params.yaml offers, and print what to set.
    """
    if not dry and not torch.cuda.is_available():
        raise SystemExit("semipose: torch finds no GPU; use --dry to try the check on the CPU")
    p = load(params)
    p = p.model_copy(update={"model": p.model.model_copy(update={"pretrained": False})})
    p, steps, device = (small(p), 24, torch.device("cpu")) if dry else (p, steps, torch.device("cuda", 0))
    with tempfile.TemporaryDirectory() as scratch:
        folder, crop = Path(scratch), p.data.crop
        render_set(folder / "drawn", {"train": 24 if dry else 320}, seed=0, processes=p.machine.workers)
        people = read_people("demo", folder / "drawn", "train", 0, None)
        recipe = Recipe(crop.size, crop.padding, crop.extent, p.model.width / p.model.height)
        write_pack(people, folder / "drawn", folder / "pack", recipe, 0, p.machine.workers)
        check = Check(p, folder, device, steps)
        check.part("ceilings", check.ceilings)
        check.part("labels", check.labels)
        for way in WAYS[: 2 if dry else None]:
            check.part(str(way), lambda way=way: check.way(way))  # type: ignore[misc]
        for deterministic in (True,) if dry else (False, True):
            way = Way("32-true" if dry else "bf16-mixed", deterministic=deterministic)
            check.part("resume", lambda way=way: check.resume(way))  # type: ignore[misc]
        if not dry:
            check.part("waits", check.waits)
            check.part("kernels", check.kernels)
        check.part("together", lambda: check.together((1,) if dry else (2, 4)))
        check.part("advice", check.advice)
    width = max(len(what) for what, _ in check.rows)
    typer.echo("\n" + "\n".join(f"{what:<{width}} | {found}" for what, found in check.rows))


if __name__ == "__main__":
    typer.run(check_gpu)
