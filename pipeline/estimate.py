"""What the cells of a params.yaml cost to train, before any of them is: `python -m pipeline.estimate coco`."""

from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from pipeline.use import preset_file
from semipose.config.budget import by_budget
from semipose.config.load import load
from semipose.config.tree import Params
from semipose.training.cost import equal_steps, pair_gflop, shared_network, supervised_gflop, warmup_gflop
from semipose.utils.console import reported


class Cost(NamedTuple):
    """Of one cell: optimiser steps, floating-point operations (10^15)."""

    stage: str
    cell: str
    steps: int
    pflop: float


def estimate(
    preset: Annotated[str | None, typer.Argument(help="A preset. Default: params.yaml as it is.")] = None,
    tflops: Annotated[float, typer.Option(min=0.001, help="Operations per second (10^12) of the GPU in large matrix products.")] = 790.0,
    fraction: Annotated[float, typer.Option(min=0.001, max=1, help="The share of them that training reaches.")] = 1.0,
) -> None:
    """Say what training each cell costs, and how long one GPU would take; nothing is trained.

    The default rate is an H200's in bf16. `semipose bench` measures rate and share on a machine of yours.

    Example: python -m pipeline.estimate coco-full --fraction 0.1
    """
    with reported():
        costs = costs_of(load(preset_file(preset) if preset else Path("params.yaml")))
    typer.echo("| stage | cell | steps | PFLOP | hours |\n|---|---|---|---|---|")
    costs.append(Cost("all", f"{len(costs)} cells", sum(cost.steps for cost in costs), sum(cost.pflop for cost in costs)))
    for stage, cell, steps, pflop in costs:
        typer.echo(f"| {stage} | {cell} | {steps:,} | {short(pflop)} | {short(hours(pflop, tflops * fraction))} |")


def hours(pflop: float, tflops: float) -> float:
    return pflop * 1000 / tflops / 3600


def short(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.2g}"


def costs_of(p: Params) -> list[Cost]:
    """The cells of `warmup` (where it has steps), `train` and `ablate`."""
    costs, equal = [], equal_steps(p)
    for labels in p.sweep.labels:
        if steps := by_budget(p.warmup.steps, labels):
            gflop = supervised_gflop(p, shared_network(p)) * len(p.model.networks) * steps * p.warmup.batch_size
            costs += [Cost("warmup", f"{labels}-s{seed}", steps, gflop / 1e6) for seed in p.sweep.seeds]
    for stage, names, grid in (("train", p.sweep.methods, p.sweep), ("ablate", p.ablation.variants, p.ablation)):
        for name in names:
            per_pair = pair_gflop(p, name)
            for labels in grid.labels:
                steps = equal[name][labels] if equal else by_budget(p.train.steps, labels)
                gflop = per_pair * steps * p.train.batch_size + warmup_gflop(p, name, labels, own=True)
                costs += [Cost(stage, f"{name}-{labels}-s{seed}", steps, gflop / 1e6) for seed in grid.seeds]
    return costs


if __name__ == "__main__":
    typer.run(estimate)
