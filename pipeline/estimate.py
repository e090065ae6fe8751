"""What the cells of a params.yaml cost to train, before any of them is: `python -m pipeline.estimate coco`."""

from functools import cache
from pathlib import Path
from typing import Annotated, NamedTuple

import torch
import typer

from pipeline.use import preset_file
from semipose.augment.task import Task
from semipose.config.budget import by_budget
from semipose.config.load import load
from semipose.config.methods import Supervised as Nothing
from semipose.config.network import Model, Warmup
from semipose.config.tree import Params
from semipose.methods import build
from semipose.models.network import PoseNet
from semipose.models.network import build as build_network
from semipose.pose.skeleton import COCO17
from semipose.training.cost import step_cost
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
    """The cells of `warmup` (where it has steps), `train` and `ablate`. Keypoints count as COCO's 17: a head's last layer is little."""
    task = Task(COCO17, p.model.height, p.model.width, torch.device("cpu"), p.model.sigma, p.augment)

    @cache
    def supervised(net: PoseNet) -> float:
        """10^9 operations for one labelled person."""
        return step_cost(build([net], Nothing(base="supervised"), task)).gflop

    def warming(warmup: Warmup, labels: str, nets: list[PoseNet]) -> float:
        """10^15 operations of training these networks on labelled people alone."""
        return sum(map(supervised, nets)) * by_budget(warmup.steps, labels) * warmup.batch_size / 1e6

    costs = []
    nets = [_network(p, None, name) for name in p.model.networks]
    for labels in p.sweep.labels:
        if steps := by_budget(p.warmup.steps, labels):
            costs += [Cost("warmup", f"{labels}-s{seed}", steps, warming(p.warmup, labels, nets)) for seed in p.sweep.seeds]
    for stage, names, grid in (("train", p.sweep.methods, p.sweep), ("ablate", p.ablation.variants, p.ablation)):
        for name in names:
            entry = p.method[name]
            named = {one: _network(p, name, one) for one in p.model.networks[: entry.trains]}
            own = [net for one, net in named.items() if entry.warmup or one in entry.networks]  # warmed up in the cell itself
            per_pair = step_cost(build(list(named.values()), entry, task)).gflop
            for labels in grid.labels:
                steps = by_budget(p.train.steps, labels)
                pflop = per_pair * steps * p.train.batch_size / 1e6 + warming(entry.warmup or p.warmup, labels, own)
                costs += [Cost(stage, f"{name}-{labels}-s{seed}", steps, pflop) for seed in grid.seeds]
    return costs


def _network(p: Params, entry: str | None, name: str) -> PoseNet:
    """With random weights; equal ones are one."""
    return _build((p.network(entry, name) if entry else p.model).model_copy(update={"pretrained": False}).model_dump_json())


@cache
def _build(model: str) -> PoseNet:
    return build_network(Model.model_validate_json(model), len(COCO17.joints), seed=0)


if __name__ == "__main__":
    typer.run(estimate)
