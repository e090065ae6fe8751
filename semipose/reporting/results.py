"""Results of runs: one JSON file per run is read, one long table is written."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from semipose.config.tree import Params
from semipose.utils.errors import InputError
from semipose.utils.files import replacing

Key = tuple[str, str, int]  # method or variant, budget, seed
BASELINE = "supervised"  # the method that gains are over
LONG = ("data", "stage", "method", "labels", "seed", "metric", "value", "low", "high", "fingerprint", "commit")
PROTOCOL = ("metric", "headline", "boxes", "flip_test", "decode", "epoch", "people", "input", "backbone", "bootstrap")
TRAINING = ("steps", "batch_size", "warmup_steps", "networks", "reported", "forward_passes", "gflop", "masks")


class Score(NamedTuple):
    """A metric with its bootstrap 95 % interval; None if undefined or not measured."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Grid:
    """The runs that `sweep` (stage train) or `ablation` (stage ablate) names."""

    stage: str
    methods: tuple[str, ...]
    labels: tuple[str, ...]
    seeds: tuple[int, ...]

    def runs(self) -> list[Key]:
        return list(product(self.methods, self.labels, self.seeds))


def grids(p: Params) -> tuple[Grid, Grid]:
    """The runs of `sweep`, and those of `ablation`."""
    sweep, ablation = p.sweep, p.ablation
    return (
        Grid("train", tuple(sweep.methods), tuple(sweep.labels), tuple(sweep.seeds)),
        Grid("ablate", tuple(ablation.variants), tuple(ablation.labels), tuple(ablation.seeds)),
    )


@dataclass(frozen=True)
class Run:
    """One trained and evaluated run, as in `reports/runs/<run>.json`."""

    name: str  # the records, archived ones too, have it as "cell"
    data: str
    stage: str
    method: str
    labels: str
    seed: int
    labelled: int
    unlabelled: int
    fingerprint: str
    commit: str
    protocol: Mapping[str, Any]
    training: Mapping[str, Any]
    parameters: Mapping[str, Any]  # the entry of `method` with which it trained
    metrics: Mapping[str, Score]
    resamples: Sequence[float]  # the headline metric in each resample of the validation set; the same resamples in every run

    @property
    def score(self) -> Score:
        """The headline metric."""
        return self.metrics[self.protocol["headline"]]


def name_of_run(data: str, key: Key) -> str:
    method, labels, seed = key
    return f"{data}-{method}-{labels}-s{seed}"


def read_runs(folder: Path, data: str, grid: Grid) -> dict[Key, Run]:
    """Read the finished runs of a grid, in the grid's order; other files of the folder are ignored.

    Args:
        folder: reports/runs of a project.
        data: `data.source` of the runs.
        grid: The runs wanted.

    Raises:
        InputError: A file is damaged, lacks a field, or belongs to another run.
    """
    paths = {key: folder / f"{name_of_run(data, key)}.json" for key in grid.runs()}
    return {key: read_run(path, data, grid.stage, key) for key, path in paths.items() if path.exists()}


def read_run(path: Path, data: str, stage: str, key: Key) -> Run:
    """Read one run with its resamples.

    Args:
        path: Its JSON.
        data: Data set that it must be of.
        stage: Stage that it must be of.
        key: Method, budget and seed that it must have.

    Raises:
        InputError: A file is missing or damaged, lacks a field, or belongs to another run.
    """
    again = "run the stage `evaluate` of this run again"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        run = run_of(record, read_columns(path.with_suffix("") / "bootstrap.csv"))
    except KeyError as error:
        raise InputError(f"{path}: field {error} is missing; {again}") from None
    except FileNotFoundError as error:
        raise InputError(f"{error.filename} is missing; {again}") from None
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise InputError(f"{path} is not readable as a run: {error}; {again}") from None
    found, asked = (run.data, run.stage, run.method, run.labels, run.seed, run.name), (data, stage, *key, name_of_run(data, key))
    if found != asked:
        raise InputError(f"{path} is of {found}, but its name asks for {asked}; {again}")
    return run


def run_of(record: Mapping[str, Any], resamples: Mapping[str, Sequence[float]]) -> Run:
    """Make the run of a record.

    Args:
        record: Content of a run's JSON.
        resamples: For each metric, its value in each resample; only the headline's are kept.

    Raises:
        KeyError: A field is missing.
        ValueError: A field is wrong.
        TypeError: A field is wrong.
    """
    fields = {name: record["cell" if name == "name" else name] for name in Run.__annotations__ if name != "resamples"}
    needed = [("protocol", name) for name in PROTOCOL] + [("training", name) for name in TRAINING]
    absent = [f"{section}.{name}" for section, name in needed if name not in record[section]]
    absent += [f"metrics.{name}" for name in [record["protocol"].get("headline")] if name not in record["metrics"]]
    if absent:
        raise KeyError(", ".join(absent))
    fields["labels"] = str(record["labels"])
    fields["metrics"] = {name: _score(metric) for name, metric in record["metrics"].items()}
    return Run(**fields, resamples=resamples[fields["protocol"]["headline"]])


def headline(runs: Iterable[Run]) -> str:
    """The metric that all runs report.

    Raises:
        InputError: They differ: one table has one metric.
    """
    names = {run.protocol["headline"]: run.name for run in runs}
    if len(names) > 1:
        (metric, name), (other, another) = list(names.items())[:2]
        raise InputError(
            f"reports/runs/{name}.json: protocol.headline is {metric!r}, but {another} reports {other!r}; run the stage "
            "`evaluate` of all runs with one `evaluate.metric`"
        )
    return next(iter(names), "score")


def write_results(path: Path, runs: Iterable[Run]) -> None:
    """The long table, one row per run and metric, with the
    columns LONG; undefined values stay empty.
    """
    rows = [
        (run.data, run.stage, run.method, run.labels, run.seed, metric, *score, run.fingerprint, run.commit)
        for run in runs
        for metric, score in run.metrics.items()
    ]
    with replacing(path) as temporary:
        pd.DataFrame(rows, columns=list(LONG), dtype=object).to_csv(temporary, index=False, lineterminator="\n")


def read_columns(path: Path) -> dict[str, list[float]]:
    """Columns of numbers by their heading (history.csv, masks.csv); an empty field is NaN.

    Raises:
        InputError: The file is missing or damaged.
    """
    try:
        table = pd.read_csv(path, dtype=float)
    except ValueError as error:
        raise InputError(f"{path}: {error}; train this run again") from None
    return {str(name): values.tolist() for name, values in table.items()}


def _score(metric: Mapping[str, Any]) -> Score:
    def number(value: Any) -> float | None:
        return float(value) if value is not None and math.isfinite(value) else None

    return Score(number(metric["value"]), number(metric.get("low")), number(metric.get("high")))
