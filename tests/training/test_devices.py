"""How a GPU is told to compute, and how many threads a process has: flags alone, so that no GPU is needed."""

from collections.abc import Iterator

import pytest
import torch
from lightning_fabric import Fabric
from torch.backends import cudnn

from semipose.config.tree import Params
from semipose.models.network import evaluating
from semipose.training.devices import arithmetic, launch


def flags() -> tuple[bool, str, bool, bool, bool]:
    products, strict = torch.get_float32_matmul_precision(), torch.are_deterministic_algorithms_enabled()
    return cudnn.allow_tf32, products, cudnn.deterministic, cudnn.benchmark, strict


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    tf32, products, deterministic, benchmark, strict = flags()
    yield
    cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark = tf32, deterministic, benchmark
    torch.set_float32_matmul_precision(products)
    torch.use_deterministic_algorithms(strict)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, (False, "highest", False, True, False)),
        ({"tf32": True}, (True, "high", False, True, False)),
        ({"deterministic": True}, (False, "highest", True, False, True)),
    ],
)
def test_arithmetic_is_what_the_machine_says(changes: dict[str, bool], expected: tuple[object, ...], tiny: Params) -> None:
    machine, before = tiny.machine.model_copy(update=changes), flags()
    arithmetic(machine, torch.device("cpu"))
    assert flags() == before, "a CPU has no such choice"
    arithmetic(machine, torch.device("cuda"))
    assert flags() == expected


def test_evaluation_never_rounds_to_tf32(tiny: Params) -> None:
    arithmetic(tiny.machine.model_copy(update={"tf32": True}), torch.device("cuda"))
    with evaluating(torch.nn.Identity()):
        assert flags()[:2] == (False, "highest")
    assert flags()[:2] == (True, "high")


def test_fabric_does_not_overwrite_the_threads(tiny: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    """With several processes it shares the cores out when it begins them."""
    monkeypatch.setattr(Fabric, "launch", lambda self: torch.set_num_threads(3))
    launch(tiny.machine.model_copy(update={"accelerator": "cpu", "threads": 2}), "32-true")
    assert torch.get_num_threads() == 2
