"""Runs with made-up numbers, for the tests of tables, figures and report."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from semipose.reporting.results import Grid, Key, Run, read_run

FINGERPRINT = "0123456789abcdef0123456789abcdef"
COMMIT = "3f2c9a1b7d6e5f4a3b2c1d0e9f8a7b6c5d4e3f2a"


def record(method: str, labels: str, seed: int, value: float | None, **changed: Any) -> dict[str, Any]:
    """What `evaluate` leaves for a run; `changed` replaces a value by name in whichever section has it."""
    made: dict[str, Any] = {
        "cell": f"demo-{method}-{labels}-s{seed}",
        "data": "demo",
        "stage": "ablate" if "_" in method else "train",
        "method": method,
        "base": method.split("_")[0],
        "labels": labels,
        "seed": seed,
        "labelled": int(labels[1:]),
        "unlabelled": 4000,
        "fingerprint": FINGERPRINT,
        "commit": COMMIT,
        "protocol": {
            "metric": "oks",
            "headline": "AP",
            "boxes": "ground truth",
            "flip_test": False,
            "decode": "quarter",
            "epoch": "last",
            "people": 700,
            "input": "64x64",
            "backbone": "resnet18",
            "bootstrap": 1000,
        },
        "training": {
            "steps": 1500,
            "batch_size": 32,
            "warmup_steps": 400,
            "networks": 1,
            "reported": "net",
            "forward_passes": 4.0,
            "gflop": 2012.3,
            "masks": 2.5,
            "simple": 9.0,
        },
        "parameters": {"base": method.split("_")[0], "tau": 0.7, "mixup": {"place": ["input", "stem"]}},
        "metrics": {
            "AP": {
                "value": value,
                "low": None if value is None else value - 1,
                "high": None if value is None else value + 2,
            },
            "AP50": {"value": 80.0},
            "joint/left_ankle": {"value": 40.0 + seed},
            "joint/right_ankle": {"value": 50.0},
        },
    }
    for name, new in changed.items():
        next(part for part in (made["protocol"], made["training"], made) if name in part)[name] = new
    return made


def write(root: Path, made: dict[str, Any]) -> Path:
    path = root / "reports" / "runs" / f"{made['cell']}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(made))
    if not (path.with_suffix("") / "bootstrap.csv").exists():
        write_resamples(root, made["cell"], [], made["protocol"]["headline"])
    return path


def write_resamples(root: Path, name: str, values: Iterable[float], metric: str = "AP") -> None:
    """The values of a run's headline metric in each resample."""
    folder = root / "reports" / "runs" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bootstrap.csv").write_text("\n".join([metric, *map(str, values)]) + "\n")


def runs_of(root: Path, *records: dict[str, Any]) -> dict[Key, Run]:
    """The runs, through their files and the reader."""
    runs = {}
    for made in records:
        key = (made["method"], made["labels"], made["seed"])
        runs[key] = read_run(write(root, made), "demo", made["stage"], key)
    return runs


SWEEP = Grid("train", ("supervised", "akm"), ("L100", "L400"), (0, 1))
ABLATION = Grid("ablate", ("akm_shuffled", "akm_no_mixup"), ("L100",), (0, 1))
DIFFERS = {"akm_shuffled": {"masking": "shuffled"}, "akm_no_mixup": {"mixup.place": ["none"], "lambda_m": 0.0}}
BASES = dict.fromkeys(ABLATION.methods, "akm")
