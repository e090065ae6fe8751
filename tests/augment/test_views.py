"""The laws of the draws by statistics, masking against a loop over people, and inputs that nobody writes to."""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from semipose.augment import mixing, patches, selection, views
from semipose.augment.task import Task
from semipose.data.loading.batch import Labelled
from semipose.data.loading.matrices import base_matrix
from semipose.data.loading.normalise import MEAN, STD, normalise
from semipose.data.loading.pack import Crops


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def view(**changes: float) -> Any:
    law = {"rotation_probability": 0.6, "rotation_deg": 30.0, "rotation_limit_deg": 60.0, "scale": 0.25}
    return SimpleNamespace(**{**law, "flip_probability": 0.5, **changes})


PATCH: Any = SimpleNamespace(half_min=10, half_max=19, jitter=10.0)
CENTRE = (95.5, 127.5)


def angle_and_box(matrices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The angle (degrees) and the factor on the box, from the second column, which no flip touches."""
    sin, cos = -matrices[:, 0, 1], matrices[:, 1, 1]
    return torch.rad2deg(torch.atan2(sin, cos)), 1 / torch.hypot(sin, cos)


def normal_cdf(x: float) -> float:
    return 0.5 * (1 + math.erf(x / math.sqrt(2)))


@pytest.mark.parametrize(("strong", "probability"), [(False, 0.6), (True, 0.8)])
def test_rotation_and_scale_follow_their_laws(strong: bool, probability: float) -> None:
    n, p = 40000, view(rotation_probability=probability)
    matrices = views.sample_strong(n, p, CENTRE, generator()) if strong else views.sample_weak(n, p, CENTRE, generator())[0]
    angle, box = angle_and_box(matrices)
    turned = angle[angle.abs() > 1e-4]
    assert len(turned) / n == pytest.approx(probability, abs=0.01)
    clipped = 2 * (1 - normal_cdf(2.0))
    assert turned.abs().max().item() == pytest.approx(60, abs=1e-3)
    assert (turned.abs() > 59.999).float().mean().item() == pytest.approx(clipped, abs=0.005)
    assert turned[turned.abs() < 59.999].abs().median().item() == pytest.approx(19.0, abs=0.7)  # of |30 z|, |z| < 2
    assert turned.mean().item() == pytest.approx(0, abs=0.6)
    assert box.min().item() == pytest.approx(0.75, abs=1e-4)
    assert box.max().item() == pytest.approx(1.25, abs=1e-4)
    assert (box < 0.75001).float().mean().item() == pytest.approx(1 - normal_cdf(1.0), abs=0.01)
    inner = box[(box > 0.7501) & (box < 1.2499)]
    assert inner.mean().item() == pytest.approx(1, abs=0.005)
    assert inner.std().item() == pytest.approx(0.25 * 0.5396, abs=0.003)  # of a normal cut at one sigma
    assert np.corrcoef(angle.abs(), box)[0, 1] == pytest.approx(0, abs=0.02)


def test_flip_follows_its_probability_and_shows_in_the_matrix() -> None:
    matrices, flipped = views.sample_weak(20000, view(flip_probability=0.3), CENTRE, generator())
    assert flipped.float().mean().item() == pytest.approx(0.3, abs=0.015)
    assert torch.equal(torch.linalg.det(matrices[:, :, :2]) < 0, flipped)
    assert not (torch.linalg.det(views.sample_strong(50, view(), CENTRE, generator())[:, :, :2]) < 0).any()


def test_a_mirrored_label_says_of_the_other_side_that_it_is_hidden(task: Task) -> None:
    count, left, right = 64, 9, 10  # the wrists
    crops = Crops(torch.zeros(count, 3, 32, 32, dtype=torch.uint8), torch.eye(2, 3).repeat(count, 1, 1))
    visible = torch.ones(count, 17)
    visible[:, left] = 0
    people = Labelled(crops, torch.full((count, 17, 2), 15.0), visible)
    flipped, weights = task.weak(crops, generator())[1], task.labelled(people, generator()).weight
    assert 16 < int(flipped.sum()) < 48
    for mirrored, hidden in ((False, left), (True, right)):
        assert not weights[flipped == mirrored][:, hidden].any()
        assert weights[flipped == mirrored].sum() == 16 * int((flipped == mirrored).sum()), "all others are seen"


def test_probability_zero_is_the_identity_and_one_is_always() -> None:
    still = view(rotation_probability=0, scale=0, flip_probability=0)
    identity = torch.eye(2, 3).repeat(30, 1, 1)
    torch.testing.assert_close(views.sample_weak(30, still, CENTRE, generator())[0], identity, atol=1e-5, rtol=0)
    torch.testing.assert_close(views.sample_strong(30, still, CENTRE, generator()), identity, atol=1e-5, rtol=0)
    matrices, flipped = views.sample_weak(30, view(rotation_probability=1, flip_probability=1), CENTRE, generator())
    assert flipped.all()
    assert angle_and_box(matrices)[0].abs().min() > 0


def test_every_view_keeps_its_centre() -> None:
    matrices, _ = views.sample_weak(50, view(), CENTRE, generator())
    centre = torch.tensor([*CENTRE, 1.0])
    torch.testing.assert_close((matrices * centre).sum(-1), centre[:2].expand(50, 2), atol=1e-3, rtol=0)


def test_the_same_generator_state_gives_the_same_draws() -> None:
    torch.manual_seed(0)
    points = torch.full((4, 5, 2), 50.0)
    for draw in (
        lambda g: views.sample_weak(9, view(), CENTRE, g)[0],
        lambda g: views.sample_strong(9, view(), CENTRE, g),
        lambda g: patches.keypoint_masks(points, torch.full((4,), 2), None, (128, 96), PATCH, g),
        lambda g: torch.tensor(mixing.sample_alpha(0.75, g)),
        lambda g: mixing.partner(9, g),
    ):
        torch.rand(3)  # the global generator has no say
        assert torch.equal(draw(generator(7)), draw(generator(7)))
        assert not torch.equal(draw(generator(7)), draw(generator(8)))


def test_turning_a_law_off_leaves_the_other_draws_as_they_were() -> None:
    """Every law draws its numbers whatever its probability, so ablations compare equal views."""
    box = [angle_and_box(views.sample_weak(9, view(rotation_probability=p), CENTRE, generator())[0])[1] for p in (0.0, 1.0)]
    torch.testing.assert_close(*box)


def test_normalise_maps_the_mean_colour_to_zero_and_makes_a_new_tensor() -> None:
    images = torch.randint(0, 256, (2, 3, 4, 5), dtype=torch.uint8, generator=generator())
    expected = (images / 255 - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    torch.testing.assert_close(normalise(images), expected, atol=1e-5, rtol=1e-5)
    assert normalise(images).dtype == torch.float32
    floats = images.float()
    normalise(floats)
    assert torch.equal(floats, images.float())
    mean = torch.tensor([124, 116, 104], dtype=torch.uint8)[None, :, None, None]
    assert normalise(mean).abs().max() < 0.01


@pytest.mark.parametrize("size", [(256, 192), (64, 48), (192, 256)])
def test_base_matrix_fills_the_view_with_the_padded_box(size: tuple[int, int]) -> None:
    """The middle 1/extent of the crop, by its longer side, is the padded box, and fills the view."""
    height, width = size
    matrix, half = base_matrix(300, 1.5, size)[0], 300 / 1.5 / 2
    x, y = 149.5 - half * width / max(size), 149.5 - half * height / max(size)
    corners = torch.tensor([[x, y, 1.0], [149.5, 149.5, 1.0]])
    mapped = (matrix[None] * corners[:, None]).sum(-1)
    expected = torch.tensor([[-0.5, -0.5], [(width - 1) / 2, (height - 1) / 2]])
    torch.testing.assert_close(mapped, expected, atol=1e-3, rtol=0)


def test_exactly_count_distinct_eligible_keypoints_are_chosen_uniformly() -> None:
    n, k = 20000, 6
    counts = torch.arange(n) % (k + 2)  # 0 ... 7: also more than there are
    chosen = selection.choose(counts, k, None, generator())
    assert torch.equal(chosen.sum(1), counts.clamp(max=k))
    two = chosen[counts == 2].float()
    torch.testing.assert_close(two.mean(0), torch.full((k,), 2 / k), atol=0.03, rtol=0)
    pairs = two.T @ two / len(two)  # every pair equally often: without replacement, without preference
    torch.testing.assert_close(pairs[~torch.eye(k, dtype=torch.bool)], torch.full((k * (k - 1),), 1 / 15), atol=0.02, rtol=0)
    eligible = torch.tensor([True, False, True, False, False, True]).expand(n, k)
    some = selection.choose(counts, k, eligible, generator())
    assert not some[~eligible].any()
    assert torch.equal(some.sum(1), counts.clamp(max=3))


@pytest.mark.parametrize(("width", "smallest", "largest"), [(192, 10, 19), (384, 20, 38), (64, 3, 6)])
def test_patch_sizes_scale_with_the_width(width: int, smallest: int, largest: int) -> None:
    points = torch.full((3000, 4, 2), 500.7)
    centres, halves = patches.sample_patches(points, width / 192, PATCH, generator())
    assert (halves.min(), halves.max()) == (smallest, largest)
    assert torch.equal(halves, halves.round())
    assert torch.equal(centres, centres.trunc())
    if width == 192:
        counts = torch.bincount(halves.long().flatten())[10:].float()
        assert len(counts) == 10
        assert counts.std() / counts.mean() < 0.06
    assert np.corrcoef(halves[..., 0].flatten(), halves[..., 1].flatten())[0, 1] == pytest.approx(0, abs=0.03)
    spread = centres - points
    assert spread.std().item() == pytest.approx(10 * width / 192, rel=0.03)
    assert spread.mean().item() == pytest.approx(-0.5, abs=0.3)  # truncation of a uniform fraction


def test_no_jitter_puts_the_patch_on_the_truncated_point() -> None:
    exact: Any = SimpleNamespace(half_min=2, half_max=2, jitter=0.0)
    mask = patches.keypoint_masks(torch.tensor([[[10.9, 5.2]]]), torch.tensor([1]), None, (256, 192), exact, generator())
    expected = torch.zeros(256, 192, dtype=torch.bool)
    expected[3:7, 8:12] = True
    assert torch.equal(mask[0], expected)


def naive_paint(chosen: np.ndarray, centres: np.ndarray, halves: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    mask = np.zeros((len(chosen), *size), dtype=bool)
    for b in range(len(chosen)):
        for j in np.flatnonzero(chosen[b]):
            (x, y), (a, c) = centres[b, j], halves[b, j]
            rows = slice(max(0, int(y - c)), max(0, int(y + c)))
            columns = slice(max(0, int(x - a)), max(0, int(x + a)))
            mask[b, rows, columns] = True
    return mask


def test_patches_equal_a_loop_over_people_with_the_same_draws() -> None:
    size, g = (256, 192), generator(3)
    points = 320 * torch.rand(12, 17, 2, generator=g) - 40  # some lie outside
    counts, eligible = torch.arange(12), torch.rand(12, 17, generator=g) < 0.7
    mask = patches.keypoint_masks(points, counts, eligible, size, PATCH, generator(4))
    same = generator(4)
    chosen = selection.choose(counts, eligible.shape[1], eligible, same)
    centres, halves = patches.sample_patches(points, 1.0, PATCH, same)
    assert mask.shape == (12, *size)
    assert mask.dtype == torch.bool
    np.testing.assert_array_equal(mask.numpy(), naive_paint(chosen.numpy(), centres.numpy(), halves.numpy(), size))
    assert not mask[0].any()


def test_ankles_of_a_portrait_crop_get_masked() -> None:
    """Trap T1: the released code clamps rows to the width, so that nothing below it is ever hidden."""
    points = torch.tensor([[[96.0, 240.0]]]).expand(200, 1, 2)
    mask = patches.keypoint_masks(points, torch.ones(200), None, (256, 192), PATCH, generator())
    assert not mask[:, :180].any()
    assert mask[:, 192:].flatten(1).any(1).all()
    assert mask[:, 255].any()


def test_masking_writes_zeros_into_a_new_tensor_only() -> None:
    """Trap T24: the teacher sees the same tensor."""
    images = torch.rand(3, 3, 8, 6) + 1
    before, mask = images.clone(), torch.rand(3, 8, 6, generator=generator()) < 0.3
    masked = patches.mask_keypoints(images, mask)
    assert torch.equal(images, before)
    everywhere = mask[:, None].expand_as(images)
    assert masked[everywhere].eq(0).all()
    assert torch.equal(masked[~everywhere], images[~everywhere])
    assert torch.equal(patches.mask_keypoints(images, torch.zeros_like(mask)), images)


@pytest.mark.parametrize("alpha", [0.2, 0.75, 1.0, 8.0])
def test_alpha_follows_the_beta_law(alpha: float) -> None:
    g = generator()
    draws = np.array([mixing.sample_alpha(alpha, g) for _ in range(4000)])
    assert draws.min() >= 0
    assert draws.max() <= 1
    assert draws.mean() == pytest.approx(0.5, abs=0.02)
    assert draws.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.08)


def test_partner_is_a_permutation() -> None:
    assert sorted(mixing.partner(50, generator()).tolist()) == list(range(50))
    assert mixing.partner(1, generator()).tolist() == [0]


def test_mix_equals_the_written_out_sum_and_leaves_its_input() -> None:
    x, order = torch.rand(4, 2, 3, 3), torch.tensor([2, 0, 3, 1])
    before, mixed = x.clone(), mixing.mix(x, order, 0.3)
    for i, j in enumerate(order.tolist()):
        torch.testing.assert_close(mixed[i], 0.3 * x[i] + 0.7 * x[j])
    assert torch.equal(x, before)
    assert torch.equal(mixing.mix(x, order, 1.0), x)
