"""What a training step costs, measured on one: forward passes of each network, and floating-point operations."""

import copy
from collections import Counter
from dataclasses import replace
from typing import NamedTuple

import torch
from torch.utils.flop_counter import FlopCounterMode

from semipose.data.loading.batch import Batch, Labelled
from semipose.data.loading.pack import Crops
from semipose.methods.base import Method
from semipose.models.network import PoseNet
from semipose.utils.seeding import generator_of

SIDE = 32  # px, of the input of the measured step, unless a ViT has to see all of it: operations of convolutions go with its area
PEOPLE = 2  # labelled and unlabelled; batch norm needs two


class Cost(NamedTuple):
    """Of one labelled and one unlabelled person in a training step.

    Attributes:
        passes: Forward passes by module name of the network and by whether they have a gradient.
        gflop: Floating-point operations of forward and backward passes, 10^9; a multiply-add is two.
    """

    passes: dict[tuple[str, bool], int]
    gflop: float


def step_cost(method: Method) -> Cost:
    """Measure a step of a copy of the method, as from the second epoch on, on grey people."""
    method, task = copy.deepcopy(method).train(), method.task
    method.after_epoch()
    nets = {name: net for name, net in method.named_modules() if isinstance(net, PoseNet)}
    height, width = (SIDE, SIDE) if all(net.any_size for net in nets.values()) else task.size
    method.task, device = replace(task, height=height, width=width), task.device
    passes: Counter[tuple[str, bool]] = Counter()
    for name, net in nets.items():
        net.register_forward_pre_hook(lambda _, given, name=name: passes.update({(name, torch.is_grad_enabled()): len(given[0]) // PEOPLE}))
    pixels = torch.full((PEOPLE, 3, height, width), 127, dtype=torch.uint8, device=device)
    crops = Crops(pixels, torch.eye(2, 3, device=device).repeat(PEOPLE, 1, 1))
    joints = len(task.skeleton.joints)
    labelled = Labelled(crops, torch.zeros(PEOPLE, joints, 2, device=device), torch.ones(PEOPLE, joints, device=device))
    with FlopCounterMode(display=False) as counter, torch.enable_grad():
        losses = method(Batch(0, labelled, crops), generator_of(0, "cost", 0, device))
        torch.stack(list(losses.terms.values())).sum().backward()
    area = task.height * task.width / (height * width)
    return Cost(dict(passes), counter.get_total_flops() * area / PEOPLE / 1e9)
