"""The protocol behind a table: the lines under it, and a warning if its columns are not comparable."""

from collections import Counter
from collections.abc import Iterable, Sequence

from semipose.reporting.results import Run

# What every method of a column must share: field of a run -> name in the note.
SHARED = {"steps": "steps", "batch_size": "batch size", "warmup_steps": "warm-up steps", "input": "input", "backbone": "backbone"}
SHARED |= {"people": "validation people", "labelled": "labelled people", "unlabelled": "unlabelled people"}
SHARED |= {"metric": "metric", "boxes": "boxes", "flip_test": "flip test", "decode": "decode", "epoch": "epoch"}

RECONSTRUCTED = ("denoise_select", "reviewer")  # docs/methods.md 3.9, 3.10


def protocol_lines(runs: Sequence[Run], labels: Iterable[str]) -> list[str]:
    """How the numbers of these runs were made: evaluation, training of
    each budget, and the meaning of ± and brackets.
    """
    if not runs:
        return ["Protocol: none of these runs has finished."]
    return [f"Protocol: {evaluation(runs)}.", *_training(runs, labels), *_statistics(runs)]


def evaluation(runs: Sequence[Run]) -> str:
    """Data, metric, boxes, flip test, decode, epoch, input and backbone in one line."""
    say = _said(runs)
    metric = f"{runs[0].protocol['headline']} ({say['metric'].upper()}, 0–100, higher is better)"
    how = "; ".join(f"{SHARED[field]}: {say[field]}" for field in ("boxes", "flip_test", "decode", "epoch", "input", "backbone"))
    return f"{runs[0].data} data; {metric} of {say['people']} validation people; {how}"


def unequal(runs: Sequence[Run], labels: Iterable[str]) -> list[str]:
    """One note for each budget and shared quantity in which its runs differ, naming who has which value."""
    notes = []
    for budget in labels:
        column = [run for run in runs if run.labels == budget]
        for field, name in SHARED.items():
            owners: dict[str, dict[str, None]] = {}
            for run in column:
                owners.setdefault(_shown(run, field), {})[run.method] = None
            if len(owners) > 1:
                notes.append(f"unequal: {name} at {budget}: " + "; ".join(f"{value} ({', '.join(own)})" for value, own in owners.items()))
    return notes


def reconstructions(runs: Iterable[Run]) -> list[str]:
    """A note that names the methods that were rebuilt from abstracts, if there are any."""
    names = dict.fromkeys(run.method for run in runs if run.parameters["base"] in RECONSTRUCTED)
    return [f"Reconstructions from the papers' abstracts, no code being public: {', '.join(names)}."] if names else []


def _training(runs: Sequence[Run], labels: Iterable[str]) -> list[str]:
    notes = []
    for budget in labels:
        column = [run for run in runs if run.labels == budget]
        if column:
            say = _said(column)
            people = f"{say['labelled']} labelled and {say['unlabelled']} unlabelled people"
            steps = f"{say['steps']} steps × batch {say['batch_size']} after {say['warmup_steps']} warm-up steps"
            notes.append(f"Training, {budget}: {people}; {steps}.")
    return notes


def _statistics(runs: Sequence[Run]) -> list[str]:
    seeds = sorted({run.seed for run in runs})
    repeats = Counter((run.method, run.labels) for run in runs)
    alone = [run for run in runs if repeats[run.method, run.labels] == 1]
    first = f"Statistics: {'seeds' if len(seeds) > 1 else 'seed'} {', '.join(map(str, seeds))}"
    if len(alone) < len(runs):
        first += "; mean ± standard deviation over seeds (n − 1)"
    notes = [f"{first}."]
    if any(run.score.low is not None for run in alone):
        resamples = _either(alone, "bootstrap")
        units = "images" if alone[0].protocol["metric"] == "oks" else "people"
        notes.append(f"Statistics, in brackets: bootstrap 95 % interval over {units} of a single seed ({resamples} resamples).")
        notes.append("This interval covers validation people only: another seed may change a result by more.")
    return notes


def _said(runs: Sequence[Run]) -> dict[str, str]:
    return {field: _either(runs, field) for field in SHARED}


def _either(runs: Iterable[Run], field: str) -> str:
    *some, last = dict.fromkeys(_shown(run, field) for run in runs)
    return f"{', '.join(some)} or {last}" if some else last


def _shown(run: Run, field: str) -> str:
    value = {**run.training, **run.protocol, "labelled": run.labelled, "unlabelled": run.unlabelled}[field]
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)
