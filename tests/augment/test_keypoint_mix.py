"""Keypoint-Mix against a loop over people, pairs and pixels with the same draws."""

import pytest
import torch

from semipose.augment.keypoint_mix import keypoint_mix
from semipose.augment.strong import one
from semipose.config.augment import KeypointMix, Patch
from semipose.config.tree import Params
from semipose.pose.heatmap import encode
from semipose.utils.seeding import generator_of

SIZE = (64, 48)  # a quarter of the width for which patches are given
PATCH = Patch(half_min=10, half_max=19, jitter=10)


def mixing(**changes: object) -> KeypointMix:
    return KeypointMix(**{"count": 2, "source": "batch", "weight_min": 0.3, "weight_max": 0.7} | changes)


@pytest.mark.parametrize("source", ["self", "batch"])
def test_it_equals_a_loop_over_pixels(source: str) -> None:
    n, keypoints, p, g = 8, 5, mixing(count=3, source=source), generator_of(4, "mix", 0)
    images = torch.randn(n, 3, *SIZE, generator=torch.Generator().manual_seed(1))
    points = torch.rand(n, keypoints, 2, generator=torch.Generator().manual_seed(2)) * torch.tensor([48.0, 64.0])
    before = images.clone()
    mixed = keypoint_mix(images, points, p, PATCH, generator_of(4, "mix", 0))

    partner = torch.randperm(n, generator=g) if source == "batch" else torch.arange(n)
    targets = torch.rand(n, keypoints, generator=g).argsort(dim=1)[:, :3]
    steps = torch.randint(1, keypoints, (n, 3), generator=g)
    beta = 0.3 + 0.4 * torch.rand(n, 3, generator=g)
    centres = (points + 2.5 * torch.randn(points.shape, generator=g)).trunc().long()
    halves = (torch.randint(10, 20, points.shape, generator=g) / 4).round().long()
    expected, touched = images.clone(), 0
    for i in range(n):
        for k in range(3):
            j, q = int(targets[i, k]), int(partner[i])
            other = (j + int(steps[i, k])) % keypoints
            assert other != j
            for dy in range(-int(halves[q, other, 1]), int(halves[q, other, 1])):
                for dx in range(-int(halves[q, other, 0]), int(halves[q, other, 0])):
                    x, y = int(centres[i, j, 0]) + dx, int(centres[i, j, 1]) + dy
                    u, v = int(centres[q, other, 0]) + dx, int(centres[q, other, 1]) + dy
                    if 0 <= x < 48 and 0 <= y < 64 and 0 <= u < 48 and 0 <= v < 64:
                        expected[i, :, y, x] = beta[i, k] * images[i, :, y, x] + (1 - beta[i, k]) * images[q, :, v, u]
                        touched += 1
    assert touched > 500
    torch.testing.assert_close(mixed, expected, rtol=1e-5, atol=1e-6)
    assert torch.equal(images, before), "the argument is left alone"


def test_any_method_may_use_it(tiny: Params) -> None:
    """As a name in `strong` or `paths`, with the numbers of augment.strong_augment, at the teacher's keypoints."""
    from semipose.augment.pseudo import PseudoLabels

    images = torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    points = torch.rand(6, 17, 2, generator=torch.Generator().manual_seed(2)) * 32
    pseudo = PseudoLabels(encode(points, torch.ones(6, 17), (8, 8), 4, 1.0)[0], 1.0)
    much = tiny.augment.strong_augment
    mixed = one("keypoint_mix", images, pseudo, tiny.augment, generator_of(0, "m", 0))
    assert torch.equal(mixed, keypoint_mix(images, pseudo.points, much.keypoint_mix, much.patch, generator_of(0, "m", 0)))
    changed = (mixed != images).any(dim=1).flatten(1).float().mean(dim=1)
    assert float(changed.min()) > 0
    assert float(changed.max()) < 0.5


def test_weights_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValueError, match=r"weight_min = 0\.8 must not exceed weight_max = 0\.7"):
        mixing(weight_min=0.8)
