"""From the names in params.yaml to the view: each strong augmentation with the papers' numbers, each reference bug in its place."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from semipose.augment import colour, patches
from semipose.augment.adaptive import adaptive_count
from semipose.augment.mixing import yoco
from semipose.augment.occlusion import cut_occlude
from semipose.augment.patches import cutmix, cutout
from semipose.augment.pseudo import PseudoLabels
from semipose.augment.strong import one
from semipose.augment.task import Task
from semipose.augment.views import sample_strong, sheared
from semipose.config.augment import Augment
from semipose.config.tree import Params
from semipose.data.loading.normalise import denormalise, normalise
from semipose.data.loading.pack import CropPack
from semipose.methods import AKM, build
from semipose.models.network import build as build_network
from semipose.utils.seeding import generator_of

SIZE = 64, 48  # portrait, as the reference_bugs need it
PEOPLE = 24


@pytest.fixture
def portrait(tiny: Params, pack: CropPack) -> Task:
    return Task(pack.people.skeleton, *SIZE, torch.device("cpu"), 1.0, tiny.augment)


@pytest.fixture
def images() -> Tensor:
    return normalise(torch.randint(256, (PEOPLE, 3, *SIZE), generator=torch.Generator().manual_seed(1)).float())


@pytest.fixture
def points() -> Tensor:
    return torch.rand(PEOPLE, 17, 2, generator=torch.Generator().manual_seed(2)) * torch.tensor([48.0, 64.0])


@pytest.fixture
def heatmaps() -> Tensor:
    return torch.rand(PEOPLE, 17, 16, 12, generator=torch.Generator().manual_seed(3)) ** 8


def trapped(augment: Augment, *names: str) -> Augment:
    return augment.model_copy(update={"reference_bugs": augment.reference_bugs.model_copy(update=dict.fromkeys(names, True))})


def at(heatmaps: Tensor, points: Tensor) -> PseudoLabels:
    """Pseudo-labels whose keypoints lie at these points."""
    pseudo = PseudoLabels(heatmaps, 1.0)
    vars(pseudo)["points"] = points
    return pseudo


def generator() -> torch.Generator:
    return generator_of(5, "strong_augment", 0)


@pytest.mark.parametrize("reference_bugs", [(), ("clamp", "transposed", "channels")])
def test_each_name_is_its_function_with_the_papers_numbers(
    tiny: Params, images: Tensor, points: Tensor, heatmaps: Tensor, reference_bugs: tuple[str, ...]
) -> None:
    """methods.md 3.8: five joints, two pasted, five holes, two swapped, two colour changes of magnitude 20."""
    p, patch = trapped(tiny.augment, *reference_bugs), tiny.augment.strong_augment.patch
    channels, clamp, transposed = (24, "reference", True) if reference_bugs else (None, "frame", False)

    def hidden(counts: Tensor) -> Tensor:
        mask = patches.keypoint_masks(points, counts, None, SIZE, patch, generator(), channels=channels, clamp=clamp)
        return patches.mask_keypoints(images, mask)

    def halves(change: str) -> Tensor:
        g, plain = generator(), denormalise(images)
        two = [colour.rand_augment(plain, 2, 20, g) if change == "rand" else colour.trivial_augment(plain, g) for _ in range(2)]
        return normalise(yoco(*two, g))

    law = p.strong_augment.adaptive
    simple = heatmaps.amax(dim=(2, 3)) >= law.tau
    expected = {
        "joint_cutout": hidden(torch.full((PEOPLE,), 5)),
        "adaptive_cutout": hidden(adaptive_count(heatmaps, simple, law)),
        "cut_occlude": cut_occlude(images, points, 2, patch, generator(), channels=channels, transposed=transposed),
        "cutout": cutout(images, 5, patch, generator(), clamp),
        "cutmix": cutmix(images, 2, patch, generator(), clamp),
        "rand_augment": normalise(colour.rand_augment(denormalise(images), 2, 20, generator())),
        "trivial_augment": normalise(colour.trivial_augment(denormalise(images), generator())),
        "yoco": halves("rand"),
        "yoco_trivial": halves("trivial"),
    }
    for name, strong in expected.items():
        assert torch.equal(one(name, images, at(heatmaps, points), p, generator()), strong), name
        assert not torch.equal(strong, images), name


@pytest.mark.parametrize(
    ("bug", "names"),
    [
        ("clamp", {"joint_cutout", "adaptive_cutout", "cutout", "cutmix"}),
        ("transposed", {"cut_occlude"}),
        ("channels", {"joint_cutout", "adaptive_cutout", "cut_occlude"}),
    ],
)
def test_a_trap_changes_what_it_is_about_and_nothing_else(
    tiny: Params, images: Tensor, points: Tensor, heatmaps: Tensor, bug: str, names: set[str]
) -> None:
    everything = (
        "joint_cutout",
        "adaptive_cutout",
        "cut_occlude",
        "keypoint_mix",
        "cutout",
        "cutmix",
        "mixup",
        "rand_augment",
        "trivial_augment",
        "yoco",
    )
    right, wrong = tiny.augment, trapped(tiny.augment, bug)
    changed = {
        name
        for name in everything
        if not torch.equal(*(one(name, images, at(heatmaps, points), augment, generator()) for augment in (right, wrong)))
    }
    assert changed == names


def test_another_person_shines_through_by_at_most_a_quarter(tiny: Params, heatmaps: Tensor, points: Tensor) -> None:
    """methods.md 3.5: the own weight is 1 - lam / 4, lam from Beta(0.2, 0.2). Person i is bright at pixel i alone."""
    images = torch.eye(PEOPLE, dtype=torch.float64).reshape(PEOPLE, 1, 1, PEOPLE).expand(PEOPLE, 3, 1, PEOPLE)
    shares = []
    for step in range(400):
        mixed = one("mixup", images, at(heatmaps, points), tiny.augment, generator_of(step, "mixup", 0))[:, 0, 0]
        assert torch.allclose(mixed.sum(dim=1), torch.ones(PEOPLE, dtype=torch.float64))
        own = mixed.diagonal()
        with_another = own < 1
        assert with_another.sum() >= PEOPLE - 8, "a permutation leaves few people with themselves"
        weights = own[with_another]
        assert torch.allclose(weights, weights[:1].expand_as(weights)), "one weight for the batch"
        assert torch.allclose(mixed.sort(dim=1).values[with_another][:, -2], 1 - weights, atol=1e-9), "one other person, who has the rest"
        shares.append(float(weights[0]))
    lam = 4 * (1 - np.array(shares))
    assert stats.kstest(lam, stats.beta(0.2, 0.2).cdf).pvalue > 1e-3


def test_sheared_strong_views_are_sampled_under_the_trap_alone(portrait: Task) -> None:
    theta = sample_strong(PEOPLE, portrait.augment.strong, portrait.centre, generator())
    assert torch.equal(portrait.strong(PEOPLE, generator()), theta)
    wrong = replace(portrait, augment=trapped(portrait.augment, "shear"))
    assert torch.equal(wrong.strong(PEOPLE, generator()), sheared(theta, SIZE))
    assert not torch.allclose(sheared(theta, SIZE), theta, atol=1e-3)


def test_the_traps_hold_for_akm_too(tiny: Params, portrait: Task, images: Tensor, heatmaps: Tensor) -> None:
    """If a table has the errors of the released code, so have AKM's masks.

    The view does not move here, so that rows stay where they are.
    """
    still = portrait.augment.strong.model_copy(update={"rotation_probability": 0.0, "scale": 0.0})
    p = tiny.method["akm"].model_copy(update={"masking": "fixed", "fixed_count": 17})

    def hidden(*reference_bugs: str) -> Tensor:
        task = replace(portrait, augment=trapped(portrait.augment.model_copy(update={"strong": still}), *reference_bugs))
        method = build([build_network(tiny.model, 17, seed=0)], p, task)  # which no view passes
        assert isinstance(method, AKM)
        view = method.strong_view(images, method.counted(heatmaps, generator()), generator())
        return (view.images == 0).all(dim=1).float().mean(dim=(0, 2))  # of each row

    right, clamped, sampled = hidden(), hidden("clamp"), hidden("channels")
    assert right[48:].min() > 0
    assert clamped[48:].max() == 0
    assert torch.allclose(clamped[:40], right[:40], atol=1e-6)
    assert not torch.allclose(sampled, right, atol=0.01)
