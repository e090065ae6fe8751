"""People of the gallery: those of whom every method's pose is shown, from best to worst."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from semipose.reporting.results import Run, read_columns
from semipose.utils.errors import InputError

ENDS = 4  # people at either end that are shown at once; those between unfold


def same_people(reports: Path, runs: Sequence[Run]) -> dict[str, Any]:
    """The people that every run has pictures of, and their scores (0-1); {} if a run has no pictures.

    Returns:
        scores (method -> person -> OKS or PCK), people (how many), and the ids of the best, the worst and those between.
    """
    if not runs or not all((reports / "pictures" / run.cell).is_dir() for run in runs):
        return {}
    scores = {run.method: _scores(reports / "runs" / run.cell / "people.csv") for run in runs}
    people = sorted(set.intersection(*map(set, scores.values())), key=lambda person: -fmean(own[person] for own in scores.values()))
    ends = {"best": people[:ENDS], "worst": people[ENDS:][-ENDS:], "between": people[ENDS:-ENDS]}
    return {"scores": scores, "people": len(people), **ends}


def _scores(path: Path) -> dict[int, float]:
    if not path.exists():
        raise InputError(f"{path} is missing; run the stage `evaluate` of this cell again")
    columns = read_columns(path)
    return dict(zip(map(int, columns["id"]), columns["score"], strict=True))
