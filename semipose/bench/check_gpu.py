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
from typing import Annotated

import numpy as np
import torch
import typer

from semipose.bench.clock import rate
from semipose.bench.components import product
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

SURE = 0.1  # of the loss in float32: as near as a faster way must come to be advised


class Check:
    """The parts, on one device; `rows` of the table: what, and what was found."""

    def __init__(self, trial: Trial) -> None:
        self.trial, self.train, self.device = trial, trial.train, trial.device
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

    def ceilings(self) -> dict[str, str]:
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "CPU"
        found = {"device": f"{name}, torch {torch.__version__}"}
        for precision in ("32-true", "bf16-mixed"):
            work, flop = product(self.device, precision)
            work()
            found[f"matrix products, {precision}"] = f"{rate(work, self.device) * flop / 1e12:,.3g} TFLOP/s"
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
                self.train(way, lambda: next(asked), Path(folder))
            except Stopped:
                resumed = self.train(way, state=Path(folder), seed=7)  # other weights: those of the checkpoint must come back
        said = {name: "equal" if one.rows == whole.rows else "differs" for name, one in {"again": again, "resumed": resumed}.items()}
        return {f"to the last bit, {way}": ", ".join(f"{name}: {what}" for name, what in said.items())}

    def graphs(self, way: Way) -> dict[str, str]:
        """Steps as CUDA graphs beside steps kernel by kernel, a quarter as many, for each place of Mixup, which has its own graph."""
        short, found = self.trial._replace(steps=max(8, self.trial.steps // 4)), {}
        for place in self.trial.entry.mixup.place:
            plain, graphed = (short.train(way._replace(graphs=on), place=place) for on in (False, True))
            apart = max(abs(loss(a) - loss(b)) / loss(a) for a, b in zip(plain.rows, graphed.rows, strict=True))
            losses = "equal to the last bit" if graphed.rows == plain.rows else f"apart by {apart:.2g} of them"
            losses += "" if self.device.type == "cuda" else " (there is no GPU: both without graphs)"
            found[f"CUDA graphs, Mixup at {place}"] = f"losses {losses}, {graphed.pairs / plain.pairs:.2f} times as fast"
        return found

    def waits(self) -> dict[str, str]:
        """From the fifth step on, by line."""
        done = iter(range(1, 10**9))

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

    def kernels(self) -> dict[str, str]:
        """Of the last quarter of the steps."""
        from torch.profiler import ProfilerActivity, profile

        done, watched = iter(range(1, 10**9)), profile(activities=[ProfilerActivity.CUDA])

        def watch() -> None:
            if next(done) == self.trial.steps - 12:
                watched.__enter__()

        self.train(HALF, watch)
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
                rates = list(pool.map(_alone, [self.trial] * count))
            found[f"{count} trainings on this device"] = f"{sum(rates):,.0f} pairs/s together"
        return found

    def advice(self) -> dict[str, str]:
        """The fastest of the ways that end near the loss of float32."""
        if Way() not in self.ways:
            return {"set": "nothing: float32 did not train"}
        sound = loss(self.ways[Way()].rows[-1])
        near = {way: one for way, one in self.ways.items() if abs(loss(one.rows[-1]) - sound) <= SURE * sound}
        best = max(near, key=lambda way: near[way].pairs)
        return {"set in params.yaml": f"{best} ({near[best].pairs / self.ways[Way()].pairs:.1f} times float32)"}


def _alone(trial: Trial) -> float:
    return trial.train(HALF).pairs


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
    p, steps, device = (small(p), 8, torch.device("cpu")) if dry else (p, steps, torch.device("cuda", 0))
    with tempfile.TemporaryDirectory() as scratch:
        folder, crop = Path(scratch), p.data.crop
        render_set(folder / "demo", {"train": 24 if dry else 320}, seed=0, processes=p.machine.workers)
        people = read_people("demo", folder / "demo", "train", 0, None)
        recipe = Recipe(crop.size, crop.padding, crop.extent, p.model.width / p.model.height)
        write_pack(people, folder / "demo", folder / "pack", recipe, 0, p.machine.workers)
        check = Check(Trial(p, folder / "pack", device, steps))
        check.part("ceilings", check.ceilings)
        check.part("labels", check.labels)
        for way in WAYS[: 2 if dry else None]:
            check.part(str(way), lambda way=way: check.way(way))  # type: ignore[misc]
        for deterministic in (True,) if dry else (False, True):
            way = (Way() if dry else HALF)._replace(deterministic=deterministic)
            check.part("resume", lambda way=way: check.resume(way))  # type: ignore[misc]
        check.part("graphs", lambda: check.graphs((Way() if dry else HALF)._replace(deterministic=True)))
        if not dry:
            check.part("waits", check.waits)
            check.part("kernels", check.kernels)
        check.part("together", lambda: check.together((1,) if dry else (2, 4)))
        check.part("advice", check.advice)
    width = max(len(what) for what, _ in check.rows)
    typer.echo("\n" + "\n".join(f"{what:<{width}} | {found}" for what, found in check.rows))


if __name__ == "__main__":
    typer.run(check_gpu)
