"""How many optimiser steps a run has."""

from pathlib import Path

from semipose.config.budget import by_budget
from semipose.config.tree import Params
from semipose.utils.files import read_json


def steps_of(p: Params, method: str, labels: str) -> int:
    """Find the number of optimiser steps of a run.

    With `train.equal_cost`, it is what the stage `check` computed.

    Args:
        p: All parameters.
        method: Entry of `method`.
        labels: Name of the budget.
    """
    if p.train.equal_cost is None:
        return by_budget(p.train.steps, labels)
    steps: int = read_json(Path("entries") / f"{method}.json")["steps"][labels]
    return steps
