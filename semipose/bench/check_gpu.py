"""What a new GPU machine is asked first: `make check-gpu`, or `make check-gpu DRY=1` on a CPU.

AKM of a preset trains on synthetic people from random weights, some hundred steps in each way that `params.yaml` offers.
The table at the end says what was found, and what to set.
A part that fails, takes too long or is left out, because too little time is left,
is a row of the table and stops no other.
"""

import math
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import torch
import typer

from semipose.bench import findings
from semipose.bench.gpu_tests import outcomes
from semipose.bench.parts import FAILED, Parts
from semipose.bench.ways import COMPILED, FLOAT, GRAPHS, HALF, REPEATABLE, TF32, Found, Trial, Way, loss
from semipose.config.load import load
from semipose.config.tree import Params
from semipose.data.packing.writing import Recipe, write_pack
from semipose.data.sources import read_people
from semipose.demo.dataset import render_set

SECONDS = 480.0  # for everything
LIMIT = 60.0  # seconds of a part, but for those that do more; a dry try has ten times as many
SPARE = 10.0  # seconds of the tests' part for what is not a test
SURE = 0.1  # of the loss in float32: as near as a faster way must come to be advised
WORTH = 1.05  # times as fast: what another setting must bring to be advised


def small(p: Params) -> Params:
    """Next to no arithmetic, to try the check itself."""
    model = {"height": 64, "width": 64, "head_channels": [8, 8, 8], "options": {"layers": [1, 1, 1, 1], "channels": [8, 8, 8, 8]}}
    crop, train = p.data.crop.model_copy(update={"size": 80}), p.train.model_copy(update={"batch_size": 4})
    data = p.data.model_copy(update={"crop": crop})
    return p.model_copy(update={"model": p.model.model_copy(update=model), "train": train, "data": data})


def made(p: Params, folder: Path, people: int) -> Path:
    """A pack of synthetic people in the folder."""
    render_set(folder / "demo", {"train": people}, seed=0, processes=p.machine.workers)
    crop = p.data.crop
    recipe = Recipe(crop.size, crop.padding, crop.extent, p.model.width / p.model.height)
    write_pack(read_people("demo", folder / "demo", "train", 0, None), folder / "demo", folder / "pack", recipe, 0, p.machine.workers)
    return folder / "pack"


def each_way(parts: Parts, trial: Trial, ways: Sequence[Way], limit: float) -> dict[Way, Found]:
    """Train in each way. Those that did are returned."""
    found: dict[Way, Found] = {}
    for way in ways:
        one = parts.do(str(way), 3 * limit if way.compiled != "none" else limit, trial.train, way)
        if one:
            losses = " ".join(f"{loss(row):.3g}" for row in one.rows)
            speed = f"{one.pairs:,.0f} pairs/s, first step after {one.first:.1f} s"
            parts.found({str(way): f"{speed}, losses {losses}, peak {one.memory:,.0f} MiB"})
            found[way] = one
    return found


def side_by_side(parts: Parts, trial: Trial, alone: Found | None, counts: Sequence[int], limit: float) -> None:
    """Several trainings on the device, beside one alone."""
    for processes in counts:
        rate = parts.do(f"{processes} trainings", 1.5 * limit, findings.together, trial, HALF, processes)
        if rate:
            gain = rate / alone.pairs if alone else math.nan
            advised = f": make repro JOBS={processes}" if gain > WORTH else ""
            said = f"{rate:,.0f} pairs/s together, {gain:.2f} times one alone{advised}"
            parts.found({f"{processes} trainings on this device": said})


def advice(found: dict[Way, Found]) -> str:
    """The fastest of the ways that end near the loss of float32; of ways that are as fast, the first."""
    if FLOAT not in found:
        return "nothing: float32 did not train"
    sound, best = loss(found[FLOAT].rows[-1]), FLOAT
    for way, one in found.items():
        if abs(loss(one.rows[-1]) - sound) <= SURE * sound and one.pairs > WORTH * found[best].pairs:
            best = way
    return f"{best} ({found[best].pairs / found[FLOAT].pairs:.1f} times float32)"


def check_gpu(
    params: Annotated[Path, typer.Option(help="Params file with network, batch and method.")] = Path("pipeline/presets/coco.yaml"),
    steps: Annotated[int, typer.Option(min=24, help="Training steps for each setting.")] = 300,
    seconds: Annotated[float, typer.Option(help="Time for all parts; one with less than half of its limit left is left out.")] = SECONDS,
    tests: Annotated[list[Path] | None, typer.Option(help="Test files that need a GPU; may be given more than once.")] = None,
    out: Annotated[Path, typer.Option(help="File for the table.")] = Path("check-gpu.txt"),
    dry: Annotated[bool, typer.Option("--dry", help="Try the check itself on a CPU, with a tiny network.")] = False,
) -> None:
    """Train AKM on synthetic people with the settings that
    params.yaml offers for a GPU, and print what to set.
    """
    if not dry and not torch.cuda.is_available():
        raise SystemExit("semipose: torch finds no GPU; use --dry to try the check on the CPU")
    begun = time.monotonic()
    p = load(params)
    p = p.model_copy(update={"model": p.model.model_copy(update={"pretrained": False})})
    p, steps, device = (small(p), 8, torch.device("cpu")) if dry else (p, steps, torch.device("cuda", 0))
    limit = 10 * LIMIT if dry else LIMIT
    with tempfile.TemporaryDirectory() as scratch:
        trial = Trial(p, made(p, Path(scratch), 24 if dry else 320), device, steps)
        with Parts(math.inf if dry else seconds - (time.monotonic() - begun), out) as parts:

            def rows(name: str, limit: float, work: Callable[..., dict[str, str]], *given: object) -> None:
                parts.found(parts.do(name, limit, work, *given) or {})

            half, repeatable = (FLOAT, FLOAT._replace(deterministic=True)) if dry else (HALF, REPEATABLE)
            rows("ceilings", limit, findings.ceilings, device)
            rows("labels", limit, findings.labels, trial)
            found = each_way(parts, trial, (FLOAT, TF32) if dry else (FLOAT, TF32, HALF, GRAPHS), limit)
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # for equal bits; read when a process first uses cuBLAS
            parts.renew()
            found |= each_way(parts, trial, () if dry else (REPEATABLE,), limit)
            rows(f"resume, {repeatable}", 1.5 * limit, findings.resume, trial, repeatable)
            rows("graphs", 2 * limit, findings.graphs, trial, repeatable)
            if tests:
                most = 2.5 * limit
                rows("tests", most, outcomes, tests, min(most, parts.left) - SPARE, out.with_suffix(".tests.txt"))
            side_by_side(parts, trial, found.get(half), (2,) if dry else (2, 4), limit)
            rows("kernels", limit, findings.kernels, trial, half)
            if not dry:
                rows("waits", limit, findings.waits, trial, half)
                rows(f"resume, {half}", 1.5 * limit, findings.resume, trial, half)
            found |= each_way(parts, trial, () if dry else (COMPILED,), limit)
            parts.found({"set in params.yaml": "nothing: a dry try says nothing of a GPU" if dry else advice(found)})
    typer.echo(f"\n{parts.table}")
    if any(name.endswith(FAILED) for name, _ in parts.rows):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(check_gpu)
