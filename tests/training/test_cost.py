"""A step's cost: the passes of every method, and the operations of a published network."""

import pytest
import torch

from semipose.augment.task import Task
from semipose.bench.run import as_published
from semipose.config.tree import Params
from semipose.methods import build
from semipose.models.network import build as build_network
from semipose.pose.skeleton import COCO17
from semipose.training.cost import step_cost


@pytest.mark.parametrize(
    ("name", "gradient", "no_gradient"),
    [
        ("supervised", 1, 0),
        ("akm", 3, 1),
        ("posecons", 2, 1),
        ("posedual", 4, 2),
        ("sspcm", 6, 4),  # from the second epoch on, the previous teachers are asked too
        ("multiaugs", 5, 1),
        ("pseudopose", 2, 1),
        ("datadistill", 2, 18),  # mirrored or not, three scales, three rotations
        ("denoise_select", 4, 8),  # two students, four views each
        ("reviewer", 2, 2),
    ],
)
def test_passes_are_those_of_the_paper(demo: Params, tiny: Params, task: Task, name: str, gradient: int, no_gradient: int) -> None:
    method = build([build_network(tiny.model, 17, seed=k) for k in range(demo.method[name].trains)], demo.method[name], task)
    before = {key: value.clone() for key, value in method.state_dict().items()}
    cost = step_cost(method)
    assert sum(count for (_, there_and_back), count in cost.passes.items() if there_and_back) == gradient
    assert sum(count for (_, there_and_back), count in cost.passes.items() if not there_and_back) == no_gradient
    assert all(torch.equal(value, before[key]) for key, value in method.state_dict().items()), "the method is left as it was"


def test_a_published_network_costs_what_is_known_of_it(demo: Params) -> None:
    """ResNet-18 at 256 x 192: 5.80 GFLOP there, twice that back but for the gradient of the images."""
    p = as_published(demo, "resnet18", (256, 192))
    task = Task(COCO17, 256, 192, torch.device("cpu"), 2.0, p.augment)
    cost = step_cost(build([build_network(p.model, 17, seed=0)], p.method["supervised"], task))
    assert cost.gflop == pytest.approx(3 * 5.80, rel=0.02)
    assert cost.gflop < 3 * 5.80
