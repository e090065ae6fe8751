"""Run the pipeline with several trainings side by side, one thread each: `python -m pipeline.parallel 2`."""

import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

import typer

from semipose.config.load import load
from semipose.config.tree import Params
from semipose.reporting.results import grids
from semipose.utils.console import reported
from semipose.utils.errors import InputError


def parallel(jobs: Annotated[int, typer.Argument(min=1, help="Number of trainings at a time; on a CPU, each takes a core.")]) -> None:
    """Run every stage as `dvc repro` does, with independent runs side by side.

    A failed run does not stop the others.
    Run the command again to continue.

    Example: python -m pipeline.parallel 2
    """
    with reported():
        p = load()
        _repro("split")
        for round_ in (_warmups(p), _runs(p)):
            with ThreadPoolExecutor(jobs) as pool:
                failed = [name for name, done in pool.map(lambda stages: (stages[-1], _side_by_side(stages)), round_) if not done]
            if failed:
                raise InputError(
                    f"{len(failed)} of {len(round_)} failed: {', '.join(failed)}. Their messages are above; run this command "
                    "again after repairing the cause"
                )
        _repro()


def _warmups(p: Params) -> list[list[str]]:
    return [[f"warmup@{labels}-{seed}"] for labels in p.sweep.labels for seed in p.sweep.seeds]


def _runs(p: Params) -> list[list[str]]:
    """Training and evaluation stages of each run."""
    stages = (("train", "evaluate"), ("ablate", "evaluate_ablation"))
    return [
        [f"{stage}@{method}-{labels}-{seed}" for stage in pair]
        for pair, grid in zip(stages, grids(p), strict=True)
        for method, labels, seed in grid.runs()
    ]


def _repro(*targets: str) -> None:
    if subprocess.run(["dvc", "repro", *targets], check=False).returncode:
        raise InputError("`dvc repro` failed; its message is above")


def _side_by_side(stages: Iterable[str]) -> bool:
    """Run stages without those before them, whose check would lock files that another run reads.

    DVC's own lock is held only for moments.
    """
    return not subprocess.run(["dvc", "--wait-for-lock", "repro", "--single-item", *stages], check=False).returncode


if __name__ == "__main__":
    typer.run(parallel)
