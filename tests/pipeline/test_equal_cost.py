"""Equal cost from params.yaml to the record of a run, and what a run says of its pseudo-labels."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from semipose.reporting.results import read_columns


@pytest.mark.slow
def test_a_run_gets_the_steps_that_cost_what_the_references_training_does(stages: Callable[..., Path]) -> None:
    folder = stages({"equal_cost: null": "equal_cost: supervised", "  steps: 14": "  steps: 40"})
    entries = {name: json.loads((folder / f"entries/{name}.json").read_text()) for name in ("supervised", "akm", "posecons")}
    assert entries["supervised"]["steps"] == {"L20": 40}
    assert "steps" not in entries["posecons"], "it does not run"
    training = json.loads((folder / "reports/runs/demo-akm-L20-s0.json").read_text())["training"]
    assert training["steps"] == entries["akm"]["steps"]["L20"] == pytest.approx(40 * 1.0 / 3.34, abs=1)
    assert training["warmup_gflop"] > 0
    columns = read_columns(folder / "reports/runs/demo-akm-L20-s0/pseudo_labels.csv")
    assert list(columns) == ["peak", "disagreement", "spread", "error"]
    assert len(columns["peak"]) > 100
