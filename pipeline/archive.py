"""Archive the finished runs of params.yaml under version control: `python -m pipeline.archive coco`."""

import datetime
import re
from pathlib import Path
from typing import Annotated

import typer

from pipeline.use import NAMES, preset_file
from semipose.config.load import load
from semipose.reporting.archive import add_run, write_archive_results
from semipose.reporting.results import grids, read_runs
from semipose.utils.console import reported
from semipose.utils.errors import InputError


def archive(
    name: Annotated[str | None, typer.Argument(help="Name of the archive. Default: the preset that params.yaml equals.")] = None,
) -> None:
    """Copy every finished run of `sweep` and `ablation` to results/NAME/, to be committed.

    Example: python -m pipeline.archive coco
    """
    with reported():
        p = load(Path("params.yaml"))
        name = name or next((preset for preset in NAMES if load(preset_file(preset)) == p), None)
        if not name or not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name):
            raise InputError(f"{name or 'params.yaml equals no preset'}: give the archive a name of letters, digits, dots and hyphens")
        runs = [run for grid in grids(p) for run in read_runs(Path("reports/runs"), p.data.source, grid).values()]
        if not runs:
            raise InputError("reports/runs: no run of params.yaml has finished; run `dvc repro` first")
        folder, today = Path("results") / name, datetime.datetime.now(datetime.UTC).date().isoformat()
        for run in runs:
            print(add_run(folder, Path(), run, today))
        write_archive_results(folder)
        print(folder / "results.csv")


if __name__ == "__main__":
    typer.run(archive)
