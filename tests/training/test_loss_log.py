"""Sums that are read now and then: those of reading at once, and a fault is still that of its step."""

import pytest
import torch

from semipose.methods.base import Losses
from semipose.training.loss_log import UNREAD, LossLog
from semipose.utils.errors import InputError


def losses(step: int) -> Losses:
    values = torch.rand(2, generator=torch.Generator().manual_seed(step)).requires_grad_()
    return Losses({"supervised": values[0]}, {"masks": values[1]})


def people(step: int) -> tuple[list[int], list[int]]:
    return [step, step + 1], [100 + step]


def test_sums_are_those_of_numbers_read_at_once() -> None:
    loss_log, expected = LossLog(people), {"loss/supervised": 0.0, "masks": 0.0, "n": 0.0}
    for step in range(3 * UNREAD + 5):
        loss_log.add(step, losses(step), 0.5)
        for name, value in zip(expected, [*losses(step).terms.values(), *losses(step).measures.values(), torch.ones(())], strict=True):
            expected[name] += 0.5 * float(value.detach())
    assert len(loss_log.unread) == 5
    assert loss_log.read() == loss_log.sums == expected
    assert loss_log.read() == expected
    assert not loss_log.unread


@pytest.mark.parametrize(("bad", "words"), [(float("nan"), "nan"), (-float("inf"), "-inf"), (2e4, "2e[+]04")])
def test_a_fault_read_later_is_that_of_its_step(bad: float, words: str) -> None:
    loss_log = LossLog(people)

    def add(step: int) -> None:
        wrong = torch.tensor(bad if step in (3, 5) else 0.1)
        loss_log.add(step, Losses({"supervised": torch.tensor(0.2), "masked": wrong}, {}), 1.0)

    for step in range(UNREAD - 1):
        add(step)
    with pytest.raises(InputError, match=f"step 3: loss/masked is {words}[.] .*: labelled 3, 4; unlabelled 103$"):
        add(UNREAD - 1)
    assert loss_log.sums["n"] == 3
    assert not loss_log.unread


def test_losses_of_half_precision_and_methods_that_measure_more_in_some_steps() -> None:
    loss_log = LossLog(people)
    loss_log.add(0, Losses({"supervised": torch.tensor(0.5, dtype=torch.bfloat16)}, {}), 1.0)
    loss_log.add(1, Losses({"supervised": torch.tensor(0.25)}, {"kept": torch.tensor(1.0, dtype=torch.float64)}), 1.0)
    assert loss_log.read() == {"loss/supervised": 0.75, "n": 2.0, "kept": 1.0}
