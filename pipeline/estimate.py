"""What training the runs of a params.yaml costs, before it
begins: `python -m pipeline.estimate coco`.
"""

from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from pipeline.use import preset_file
from semipose.config.budget import by_budget
from semipose.config.load import load
from semipose.config.tree import Params
from semipose.training.cost import equal_steps, pair_gflop, shared_network, supervised_gflop, warmup_gflop
from semipose.utils.console import reported
from semipose.utils.errors import InputError
from semipose.utils.files import read_json


class Cost(NamedTuple):
    """Cost of one run: its entry of `method`, optimiser steps, floating-point operations (10^15)."""

    stage: str
    run: str
    method: str
    steps: int
    pflop: float


def estimate(
    preset: Annotated[str | None, typer.Argument(help="Name of a preset. Default: the current params.yaml.")] = None,
    tflops: Annotated[
        float, typer.Option(min=0.001, help="Speed of the GPU in large matrix products, in 10^12 operations per second.")
    ] = 790.0,
    fraction: Annotated[float, typer.Option(min=0.001, max=1, help="Share of that speed that training reaches.")] = 1.0,
    bench: Annotated[
        Path | None, typer.Option(help="File of `semipose bench --json`, to use measured speeds instead of --tflops and --fraction.")
    ] = None,
) -> None:
    """Estimate what training each run costs, and how long one GPU would take; nothing is trained.

    The default speed is that of an H200 in bf16, which small networks do not reach.
    `semipose bench` measures speed and share on your machine, with or without a GPU.

    Example: python -m pipeline.estimate coco-full --bench bench.json
    """
    with reported():
        p = load(preset_file(preset) if preset else Path("params.yaml"))
        costs = costs_of(p)
        rates = measured(p, read_json(bench)) if bench else {}
    typer.echo("| stage | run | steps | PFLOP | time |\n|---|---|---|---|---|")
    times = [hours(cost.pflop, rates.get(cost.method, tflops * fraction)) for cost in costs]
    costs.append(Cost("all", f"{len(costs)} runs", "", sum(cost.steps for cost in costs), sum(cost.pflop for cost in costs)))
    for (stage, run, _, steps, pflop), time in zip(costs, [*times, sum(times)], strict=True):
        typer.echo(f"| {stage} | {run} | {steps:,} | {short(pflop)} | {duration(time)} |")
    typer.echo(f"\n{_assumed(tflops, fraction, bench)}")


def _assumed(tflops: float, fraction: float, bench: Path | None) -> str:
    """Which machine the times are of."""
    if bench:
        return f"Times: at the speeds in {bench}. Preparation and evaluation come on top."
    return (
        f"Times: on one GPU that reaches {tflops * fraction:,.4g} TFLOP/s (--tflops x --fraction); the default is an H200's peak. A small "
        "network, or a CPU, takes far longer: measure yours with `semipose bench --json bench.json` (and --params), then "
        "`python -m pipeline.estimate --bench bench.json`."
    )


def measured(p: Params, found: dict[str, Any]) -> dict[str, float]:
    """Compute the speed that training each method reaches from end to end.

    An entry that was not measured takes the value of its base.

    Args:
        p: All parameters.
        found: What `semipose bench --json` wrote.

    Returns:
        10^12 operations per second, by entry of `method`.

    Raises:
        InputError: Something else was measured.
    """
    at_once = p.train.batch_size // p.train.batch_groups
    wanted = f"{p.model.backbone}, {p.model.height}x{p.model.width}, {p.train.precision}, {at_once} people at once"
    try:
        there = f"{found['backbone']}, {found['input']}, {found['precision']}, {found['batch_size']} people at once"
        rates = {name: one["gflop"] * one["end_to_end"] / 1000 for name, one in found["methods"].items()}
    except (KeyError, TypeError):
        raise InputError("--bench: not a file that `semipose bench --json` wrote; run it again") from None
    if there != wanted:
        raise InputError(f"--bench: measured with {there}, but these parameters train {wanted}; measure with these parameters")
    needed = dict.fromkeys(cost.method for cost in costs_of(p))
    if missing := [name for name in needed if not {name, p.method[name].base} & set(rates)]:
        several = ",".join([*rates, *missing])
        raise InputError(f"--bench: {', '.join(missing)} was not measured; run semipose bench with --methods {several}")
    return {name: rates.get(name, rates.get(p.method[name].base, 0.0)) for name in needed}


def hours(pflop: float, tflops: float) -> float:
    return pflop * 1000 / tflops / 3600


def duration(time: float) -> str:
    """A time in hours, in readable units."""
    seconds = time * 3600
    if seconds < 1:
        return "under 1 s"
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{short(time)} h"


def short(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.2g}"


def costs_of(p: Params) -> list[Cost]:
    """The runs of `warmup` (if it has steps), `train` and `ablate`."""
    costs, equal = [], equal_steps(p)
    for labels in p.sweep.labels:
        if steps := by_budget(p.warmup.steps, labels):
            gflop = supervised_gflop(p, shared_network(p)) * len(p.model.networks) * steps * p.warmup.batch_size
            costs += [Cost("warmup", f"{labels}-s{seed}", "supervised", steps, gflop / 1e6) for seed in p.sweep.seeds]
    for stage, names, grid in (("train", p.sweep.methods, p.sweep), ("ablate", p.ablation.variants, p.ablation)):
        for name in names:
            per_pair = pair_gflop(p, name)
            for labels in grid.labels:
                steps = equal[name][labels] if equal else by_budget(p.train.steps, labels)
                gflop = per_pair * steps * p.train.batch_size + warmup_gflop(p, name, labels, own=True)
                costs += [Cost(stage, f"{name}-{labels}-s{seed}", name, steps, gflop / 1e6) for seed in grid.seeds]
    return costs


if __name__ == "__main__":
    typer.run(estimate)
