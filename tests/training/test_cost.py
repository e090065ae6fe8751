"""A step's cost: the passes of every method, and the operations of a published network."""

import pytest
import torch
from gpu_stand_in import GPU, GPUGenerator, StandIn, stand_in

from semipose.augment.task import Task
from semipose.bench.run import as_published
from semipose.config.tree import Params
from semipose.methods import build
from semipose.models.network import build as build_network
from semipose.pose.skeleton import COCO17
from semipose.training import cost
from semipose.training.cost import equal_steps, pair_gflop, step_cost, supervised_gflop, warmup_gflop
from semipose.utils.errors import InputError


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
        ("jointmix", 1, 0.5),  # half of the labelled and half of the unlabelled people
    ],
)
def test_passes_are_those_of_the_paper(demo: Params, tiny: Params, task: Task, name: str, gradient: float, no_gradient: float) -> None:
    method = build([build_network(tiny.model, 17, seed=k) for k in range(demo.method[name].trains)], demo.method[name], task)
    before = {key: value.clone() for key, value in method.state_dict().items()}
    found = step_cost(method)
    assert sum(count for (_, there_and_back), count in found.passes.items() if there_and_back) == gradient
    assert sum(count for (_, there_and_back), count in found.passes.items() if not there_and_back) == no_gradient
    assert all(torch.equal(value, before[key]) for key, value in method.state_dict().items()), "the method is left as it was"


def test_a_step_is_measured_on_the_device_of_the_task(tiny: Params, demo: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of networks that are not there yet, as `semipose bench` has them."""
    task = Task(COCO17, 32, 32, GPU, 1.0, demo.augment)
    method = build([build_network(tiny.model, 17, seed=0)], demo.method["akm"], task)
    monkeypatch.setattr(cost, "generator_of", lambda *_: GPUGenerator())
    with stand_in(), StandIn(copies=True):
        assert sum(step_cost(method).passes.values()) == 4


def test_a_share_of_the_labelled_people_costs_what_whole_people_of_a_batch_do(demo: Params, tiny: Params) -> None:
    """A third of 16 is 5 people, so a step passes 21 of 32 with a gradient; of the 8 of other measurements it would be 3."""
    jointmix = demo.method["jointmix"].model_copy(update={"labelled_share": 1 / 3, "unlabelled_share": 1.0})
    p = demo.model_copy(update={"model": tiny.model, "method": demo.method | {"jointmix": jointmix}})
    one, batch = supervised_gflop(p, build_network(p.model, 17, seed=0)), p.train.batch_size
    assert batch == 16
    assert pair_gflop(p, "jointmix") == pytest.approx(one * (21 / 16 + 1 / 3), rel=0.02)  # a pass without a gradient is a third


def test_a_published_network_costs_what_is_known_of_it(demo: Params) -> None:
    """ResNet-18 at 256 x 192: 5.80 GFLOP there, twice that back but for the gradient of the images."""
    p = as_published(demo, "resnet18", (256, 192))
    task = Task(COCO17, 256, 192, torch.device("cpu"), 2.0, p.augment)
    found = step_cost(build([build_network(p.model, 17, seed=0)], p.method["supervised"], task))
    assert found.gflop == pytest.approx(3 * 5.80, rel=0.02)
    assert found.gflop < 3 * 5.80


def several(demo: Params, tiny: Params, **train: object) -> Params:
    """Supervised, AKM and PoseDual on tiny networks, 700 steps."""
    sweep = demo.sweep.model_copy(update={"methods": ["supervised", "akm", "posedual"]})
    model = tiny.model.model_copy(update={"networks": ["net", "second"]})
    ablation = demo.ablation.model_copy(update={"variants": ["akm_no_mixup"]})
    update = {"model": model, "sweep": sweep, "ablation": ablation, "train": demo.train.model_copy(update=train)}
    return demo.model_copy(update=update)


def test_equal_steps_make_every_training_cost_what_the_references_does(demo: Params, tiny: Params, task: Task) -> None:
    """Within half a step, with the warm-up of every network that a method trains."""
    p = several(demo, tiny, equal_cost="akm")
    steps = equal_steps(p)
    assert list(steps) == ["supervised", "akm", "posedual", "akm_no_mixup"]
    assert steps["akm"] == {"L50": 700}
    net = build_network(p.model, 17, seed=0)
    labelled = step_cost(build([net], demo.method["supervised"], task)).gflop  # for one person
    nets = {"supervised": 1, "akm": 1, "posedual": 2, "akm_no_mixup": 1}
    warm = {name: count * labelled * 400 * 16 for name, count in nets.items()}
    assert warmup_gflop(p, "posedual", "L50") == pytest.approx(warm["posedual"])
    pair = {name: step_cost(build([net] * count, demo.method[name], task)).gflop * 16 for name, count in nets.items()}
    whole = warm["akm"] + pair["akm"] * 700
    for name, by_budget in steps.items():
        assert abs(warm[name] + pair[name] * by_budget["L50"] - whole) <= pair[name] / 2 * 1.001
    assert steps["posedual"]["L50"] < 700 < steps["akm_no_mixup"]["L50"] < steps["supervised"]["L50"]


def test_without_a_reference_nothing_is_measured_and_a_warm_up_that_is_too_long_is_refused(demo: Params, tiny: Params) -> None:
    assert equal_steps(several(demo, tiny)) == {}
    p = several(demo, tiny, equal_cost="supervised", steps=50)
    with pytest.raises(InputError, match=r"train\.equal_cost = supervised: at L50 the warm-up of posedual alone costs more than the whole"):
        equal_steps(p)


def test_networks_of_an_entrys_own_are_warmed_up_in_its_run(demo: Params, tiny: Params) -> None:
    p = several(demo, tiny)
    assert warmup_gflop(p, "posedual", "L50", own=True) == 0
    longer = p.method["posedual"].model_copy(update={"warmup": p.warmup.model_copy(update={"steps": 800})})
    q = p.model_copy(update={"method": p.method | {"posedual": longer}})
    assert warmup_gflop(q, "posedual", "L50", own=True) == pytest.approx(2 * warmup_gflop(p, "posedual", "L50"))
