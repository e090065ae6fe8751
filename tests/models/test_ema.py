"""The moving average of a network against its formula."""

import copy

import torch
from torch import nn

from semipose.models.ema import follow


def test_the_average_keeps_its_share_of_weights_and_statistics() -> None:
    student = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
    teacher = copy.deepcopy(student)
    with torch.no_grad():
        for number, value in enumerate(student.state_dict().values(), start=1):
            value += number
    before, now = ({name: value.clone() for name, value in net.state_dict().items()} for net in (teacher, student))
    follow(teacher, student, 0.9)
    for name, value in teacher.state_dict().items():
        expected = 0.9 * before[name] + 0.1 * now[name] if value.is_floating_point() else now[name]
        torch.testing.assert_close(value, expected)
