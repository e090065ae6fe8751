"""What training costs: forward passes and floating-point operations of a measured step, and steps that make runs cost the same."""

import copy
from collections import Counter
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.utils.flop_counter import FlopCounterMode

from semipose.augment.task import Task
from semipose.config.budget import by_budget
from semipose.config.methods import Supervised as Nothing
from semipose.config.network import Model
from semipose.data.loading.batch import Batch, Labelled
from semipose.data.loading.pack import Crops
from semipose.methods import build
from semipose.methods.base import Method
from semipose.models.network import PoseNet
from semipose.models.network import build as build_network
from semipose.pose.skeleton import COCO17
from semipose.utils.errors import InputError
from semipose.utils.seeding import generator_of

if TYPE_CHECKING:
    from semipose.config.tree import Params

SIDE = 32  # px, of the input of the measured step, unless a ViT has to see all of it: operations of convolutions go with its area
PEOPLE = 8  # labelled and unlabelled, of a measured step whose method takes all of them


class Cost(NamedTuple):
    """Of one labelled and one unlabelled person in a training step.

    Attributes:
        passes: Forward passes by module name of the network and by whether they have a gradient;
            a pass of some of the people counts as a part.
        gflop: Floating-point operations of forward and backward passes, 10^9; a multiply-add is two.
    """

    passes: dict[tuple[str, bool], float]
    gflop: float


def step_cost(method: Method, people: int = PEOPLE) -> Cost:
    """Measure a step of a copy of the method, as from the second epoch on, on grey people.

    Args:
        method: The method.
        people: Labelled and unlabelled people of the step, from `people_of` if the method takes a share of them.
    """
    method, task = copy.deepcopy(method).to(method.task.device).train(), method.task
    method.after_epoch()
    nets = {name: net for name, net in method.named_modules() if isinstance(net, PoseNet)}
    height, width = (SIDE, SIDE) if all(net.any_size for net in nets.values()) else task.size
    method.task, device = replace(task, height=height, width=width), task.device
    passed: Counter[tuple[str, bool]] = Counter()
    for name, net in nets.items():
        net.register_forward_pre_hook(lambda _, given, name=name: passed.update({(name, torch.is_grad_enabled()): len(given[0])}))
    pixels = torch.full((people, 3, height, width), 127, dtype=torch.uint8, device=device)
    crops = Crops(pixels, torch.eye(2, 3, device=device).repeat(people, 1, 1))
    joints = len(task.skeleton.joints)
    labelled = Labelled(crops, torch.zeros(people, joints, 2, device=device), torch.ones(people, joints, device=device))
    with FlopCounterMode(display=False) as counter, torch.enable_grad():
        losses = method(Batch(0, labelled, crops), generator_of(0, "cost", 0, device))
        torch.stack(list(losses.terms.values())).sum().backward()
    area = task.height * task.width / (height * width)
    passes = {key: count / people if count % people else count // people for key, count in passed.items()}
    return Cost(passes, counter.get_total_flops() * area / people / 1e9)


def people_of(p: "Params", name: str) -> int:
    """With how many people to measure a step of an entry of `method`: of a share of the labelled ones, whole people of a batch train."""
    return p.train.batch_size if hasattr(p.method[name], "labelled_share") else PEOPLE


def pair_gflop(p: "Params", name: str) -> float:
    """Measure a training step of an entry of `method`.

    Keypoints count as COCO's 17: a head's last layer is little.

    Args:
        p: All parameters.
        name: Name of the entry.

    Returns:
        10^9 floating-point operations for one labelled and one unlabelled person.
    """
    entry = p.method[name]
    nets = [_network(p, name, one) for one in p.model.networks[: entry.trains]]
    return step_cost(build(nets, entry, _task(p)), people_of(p, name)).gflop


def warmup_gflop(p: "Params", name: str, labels: str, own: bool = False) -> float:
    """Measure the warm-up of the networks that an entry of `method` trains.

    Args:
        p: All parameters.
        name: Name of the entry.
        labels: The budget, on which the number of steps may depend.
        own: Count only the networks that are warmed up in the entry's own run.

    Returns:
        10^9 floating-point operations.
    """
    entry, settings = p.method[name], p.method[name].warmup or p.warmup
    nets = [_network(p, name, one) for one in p.model.networks[: entry.trains] if not own or entry.warmup or one in entry.networks]
    people = by_budget(settings.steps, labels) * settings.batch_size
    return sum(supervised_gflop(p, net) for net in nets) * people if people else 0.0


def supervised_gflop(p: "Params", net: PoseNet) -> float:
    """10^9 floating-point operations of supervised training for one labelled person."""
    return step_cost(build([net], Nothing(base="supervised"), _task(p))).gflop


def equal_steps(p: "Params") -> dict[str, dict[str, int]]:
    """Compute the steps with which the training of every entry costs as much as that of
    `train.equal_cost`.

    The cost is that of forward and backward passes of all its networks, their warm-up included.

    Returns:
        Optimiser steps of every entry that runs, by budget; {} if `train.equal_cost` is null.

    Raises:
        InputError: A method's warm-up alone costs more.
    """
    reference = p.train.equal_cost
    if reference is None:
        return {}
    names = list(dict.fromkeys((*p.sweep.methods, *p.ablation.variants)))
    batch = {name: pair_gflop(p, name) * p.train.batch_size for name in dict.fromkeys((reference, *names))}
    steps: dict[str, dict[str, int]] = {name: {} for name in names}
    for labels in p.sweep.labels:
        total = warmup_gflop(p, reference, labels) + batch[reference] * by_budget(p.train.steps, labels)
        for name in names:
            steps[name][labels] = round((total - warmup_gflop(p, name, labels)) / batch[name])
            if steps[name][labels] < 1:
                raise InputError(
                    f"train.equal_cost = {reference}: at {labels} the warm-up of {name} alone costs more than the whole training of "
                    f"{reference}; raise train.steps or lower warmup.steps"
                )
    return steps


def shared_network(p: "Params") -> PoseNet:
    """A network of section `model`, with random weights; equal ones are one."""
    return _build(p.model.model_copy(update={"pretrained": False}).model_dump_json())


def _task(p: "Params") -> Task:
    return Task(COCO17, p.model.height, p.model.width, torch.device("cpu"), p.model.sigma, p.augment)


def _network(p: "Params", entry: str, name: str) -> PoseNet:
    return _build(p.network(entry, name).model_copy(update={"pretrained": False}).model_dump_json())


@cache
def _build(model: str) -> PoseNet:
    return build_network(Model.model_validate_json(model), len(COCO17.joints), seed=0)
