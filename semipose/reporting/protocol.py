"""The protocol behind a table: the lines printed under it, and a warning where its columns are not comparable."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from semipose.reporting.results import Run

# What every method of a column must share: name in the note -> value of a run.
SHARED: dict[str, Callable[[Run], Any]] = {
    "steps": lambda run: run.training["steps"],
    "batch size": lambda run: run.training["batch_size"],
    "warm-up steps": lambda run: run.training["warmup_steps"],
    "input": lambda run: run.protocol["input"],
    "backbone": lambda run: run.protocol["backbone"],
    "validation people": lambda run: run.protocol["people"],
    "labelled people": lambda run: run.labelled,
    "unlabelled people": lambda run: run.unlabelled,
    "metric": lambda run: run.protocol["metric"],
    "boxes": lambda run: run.protocol["boxes"],
    "flip test": lambda run: _flip(run),
    "decode": lambda run: run.protocol["decode"],
    "epoch": lambda run: run.protocol["epoch"],
}


def protocol_lines(runs: Sequence[Run], labels: Iterable[str]) -> list[str]:
    """How the numbers of these runs came about: evaluation, training of each budget, and what ± and brackets mean."""
    if not runs:
        return ["Protocol: none of these cells has run."]
    return [
        f"Protocol: {evaluation(runs)}.",
        f"Training: {_training(runs, labels)}.",
        f"Statistics: {_statistics(runs)}.",
    ]


def evaluation(runs: Sequence[Run]) -> str:
    """Data, metric, boxes, flip test, decode, epoch, input and backbone in one line."""
    say = {name: _either(value_of(run) for run in runs) for name, value_of in SHARED.items()}
    metric = f"{runs[0].protocol['headline']} ({say['metric'].upper()}, 0–100, higher is better)"
    how = "; ".join(f"{name}: {say[name]}" for name in ("boxes", "flip test", "decode", "epoch", "input", "backbone"))
    return f"{runs[0].data} data; {metric} of {say['validation people']} validation people; {how}"


def unequal(runs: Sequence[Run], labels: Iterable[str]) -> list[str]:
    """One note for each budget and shared quantity in which its runs differ, naming who has which value."""
    notes = []
    for budget in labels:
        column = [run for run in runs if run.labels == budget]
        for name, value_of in SHARED.items():
            owners: dict[str, list[Run]] = {}
            for run in column:
                owners.setdefault(_show(value_of(run)), []).append(run)
            if len(owners) > 1:
                parts = (f"{value} ({', '.join(_owners(own, column))})" for value, own in owners.items())
                notes.append(f"unequal: {name} at {budget}: {'; '.join(parts)}")
    return notes


def _owners(own: Sequence[Run], column: Sequence[Run]) -> list[str]:
    """Methods whose every run is among `own`, and single runs of methods that are split."""
    names = []
    for method in dict.fromkeys(run.method for run in own):
        mine = [run for run in own if run.method == method]
        whole = len(mine) == sum(run.method == method for run in column)
        names += [method] if whole else [f"{method} s{run.seed}" for run in mine]
    return names


def _training(runs: Sequence[Run], labels: Iterable[str]) -> str:
    parts = []
    for budget in labels:
        column = [run for run in runs if run.labels == budget]
        if column:
            say = {name: _either(value_of(run) for run in column) for name, value_of in SHARED.items()}
            people = f"{say['labelled people']} labelled and {say['unlabelled people']} unlabelled people"
            steps = f"{say['steps']} steps × batch {say['batch size']} after {say['warm-up steps']} warm-up steps"
            parts.append(f"{budget}: {people}, {steps}")
    return "; ".join(parts)


def _statistics(runs: Sequence[Run]) -> str:
    seeds = sorted({run.seed for run in runs})
    repeats = Counter((run.method, run.labels) for run in runs)
    alone = [run for run in runs if repeats[run.method, run.labels] == 1]
    parts = [f"{'seeds' if len(seeds) > 1 else 'seed'} {', '.join(map(str, seeds))}"]
    if len(alone) < len(runs):
        parts.append("mean ± standard deviation over seeds (n − 1)")
    if any(run.score.low is not None for run in alone):
        resamples = _either(run.protocol["bootstrap"] for run in alone)
        units = "images" if alone[0].protocol["metric"] == "oks" else "people"
        parts.append(f"in brackets: bootstrap 95 % interval over {units} of a single seed ({resamples} resamples)")
    return "; ".join(parts)


def _flip(run: Run) -> str:
    return "yes" if run.protocol["flip_test"] else "no"


def _either(values: Iterable[Any]) -> str:
    return " or ".join(dict.fromkeys(map(_show, values)))


def _show(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
