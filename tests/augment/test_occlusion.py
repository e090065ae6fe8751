"""Patches over, onto and out of people against loops over people with the same draws, and the bugs of the released code as options."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from semipose.augment import patches, selection
from semipose.augment.occlusion import cut_occlude
from semipose.augment.patches import cutmix, cutout, holes

SIZE = (128, 96)  # half of the released code's 256 x 192, so patches are half as large too
SCALE = 0.5
PATCH: Any = SimpleNamespace(half_min=10, half_max=19, jitter=10.0)
EXACT: Any = SimpleNamespace(half_min=10, half_max=19, jitter=0.0)
CHANNELS = 24


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def people(n: int, size: tuple[int, int] = SIZE) -> torch.Tensor:
    """Images whose channels say the person (from 1), the row and the column: where a pixel came from can be read off it."""
    person, row, column = torch.arange(1.0, n + 1), torch.arange(float(size[0])), torch.arange(float(size[1]))
    return torch.stack(torch.meshgrid(person, row, column, indexing="ij"), dim=1)


def joints(n: int, k: int = 17, margin: float = 0.0) -> torch.Tensor:
    """Points [n, k, 2] all over the frame, and up to ``margin`` px beyond it."""
    extent = torch.tensor([SIZE[1], SIZE[0]])
    return (extent + 2 * margin) * torch.rand(n, k, 2, generator=generator(9)) - margin


def draw_sizes(g: torch.Generator, shape: tuple[int, ...]) -> torch.Tensor:
    return (torch.randint(10, 20, shape, generator=g) * SCALE).round()


def sample_patches(g: torch.Generator, points: torch.Tensor, jitter: float) -> tuple[np.ndarray, np.ndarray]:
    moved = points + jitter * SCALE * torch.randn(points.shape, generator=g)
    return moved.trunc().long().numpy(), draw_sizes(g, points.shape).long().numpy()


def unreal(g: torch.Generator, points: torch.Tensor) -> torch.Tensor:
    n, k = points.shape[:2]
    x, y = (extent * torch.rand(n, CHANNELS - k, generator=g) for extent in (SIZE[1], SIZE[0]))
    return torch.cat([points, torch.stack([x, y], dim=-1)], dim=1)


def naive_mask(centres: np.ndarray, halves: np.ndarray, size: tuple[int, int], released: bool) -> np.ndarray:
    """One image's holes [H, W], from centres and half sizes [m, 2] (x, y)."""
    mask = np.zeros(size, dtype=bool)
    height, width = size
    bottom, right = (min(width, height), min(width, height)) if released else (height, width)
    for (x, y), (a, b) in zip(centres.astype(int), halves.astype(int), strict=True):
        for row in range(max(0, y - b), min(bottom, y + b)):
            for column in range(max(0, x - a), min(right, x + a)):
                mask[row, column] = True
    return mask


# Keypoint masks


@pytest.mark.parametrize("clamp", ["frame", "reference"])
@pytest.mark.parametrize("size", [(128, 96), (96, 128)])
def test_the_released_clamp_cuts_rows_off_at_the_width_and_columns_at_the_height(size: tuple[int, int], clamp: Any) -> None:
    g = generator()
    centres = (torch.tensor([size[1], size[0]]) * torch.rand(20, 5, 2, generator=g)).trunc()
    halves = draw_sizes(g, (20, 5, 2))
    painted = patches.paint(torch.ones(20, 5, dtype=torch.bool), centres, halves, size, clamp)
    for i in range(20):
        np.testing.assert_array_equal(painted[i].numpy(), naive_mask(centres[i].numpy(), halves[i].numpy(), size, clamp == "reference"))
    beyond = painted[:, 96:] if size[0] > 96 else painted[:, :, 96:]
    assert beyond.any() == (clamp == "frame")


def test_with_the_released_clamp_ankles_are_never_masked() -> None:
    points = torch.tensor([[[48.0, 120.0]]]).expand(60, 1, 2)
    assert not patches.keypoint_masks(points, torch.ones(60), None, SIZE, PATCH, generator(), clamp="reference").any()
    assert patches.keypoint_masks(points, torch.ones(60), None, SIZE, PATCH, generator()).flatten(1).any(1).all()


def test_five_draws_among_24_channels_hide_3_26_keypoints() -> None:
    """methods.md 3.8: of five draws 3.54 fall on real joints, on 3.26 distinct ones."""
    n, k = 20000, 17
    chosen = selection.choose_with_replacement(torch.full((n,), 5), CHANNELS, generator()).float()
    assert chosen.shape == (n, CHANNELS)
    torch.testing.assert_close(chosen.mean(0), torch.full((CHANNELS,), 1 - (23 / 24) ** 5), atol=0.015, rtol=0)
    assert chosen[:, :k].sum(1).mean().item() == pytest.approx(3.26, abs=0.02)
    once = selection.choose_with_replacement(torch.ones(n), CHANNELS, generator())
    assert once.sum(1).eq(1).all()
    assert once[:, :k].sum().item() / n == pytest.approx(17 / 24, abs=0.01)
    counts = torch.arange(n) % 6
    several = selection.choose_with_replacement(counts, CHANNELS, generator()).sum(1)
    assert (several <= counts).all()
    assert torch.equal(several > 0, counts > 0)
    assert (several[counts == 5] < 5).float().mean().item() == pytest.approx(1 - 23 * 22 * 21 * 20 / 24**4, abs=0.02)


def test_unreal_channels_mask_anywhere_and_real_ones_their_keypoint() -> None:
    outside = torch.full((4000, 17, 2), -500.0)
    points = selection.add_unreal(outside, CHANNELS, SIZE, generator())
    assert torch.equal(points[:, :17], outside)
    anywhere = points[:, 17:].flatten(0, 1)
    extent = torch.tensor([96.0, 128.0])
    assert (anywhere >= 0).all()
    assert (anywhere < extent).all()
    torch.testing.assert_close(anywhere.mean(0), extent / 2, atol=0.8, rtol=0)
    torch.testing.assert_close(anywhere.std(0), extent / 12**0.5, atol=0.8, rtol=0)
    mask = patches.keypoint_masks(outside[:800], torch.full((800,), 5), None, SIZE, EXACT, generator(), channels=CHANNELS)
    assert mask.flatten(1).any(1).float().mean().item() == pytest.approx(1 - (17 / 24) ** 5, abs=0.05)


@pytest.mark.parametrize("clamp", ["frame", "reference"])
def test_patches_of_the_released_code_equal_a_loop_over_people(clamp: Any) -> None:
    points, counts = joints(8), torch.arange(8)
    mask = patches.keypoint_masks(points, counts, None, SIZE, PATCH, generator(4), channels=CHANNELS, clamp=clamp)
    g = generator(4)
    draws = torch.randint(CHANNELS, (8, CHANNELS), generator=g)
    centres, halves = sample_patches(g, unreal(g, points), PATCH.jitter)
    for i in range(8):
        sampled = draws[i, : int(counts[i])].numpy()
        np.testing.assert_array_equal(mask[i].numpy(), naive_mask(centres[i, sampled], halves[i, sampled], SIZE, clamp == "reference"))


def test_channels_and_eligible_keypoints_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="eligible"):
        patches.keypoint_masks(joints(2), torch.ones(2), torch.ones(2, 17, dtype=torch.bool), SIZE, PATCH, generator(), channels=CHANNELS)


# Cutout and CutMix


def naive_holes(g: torch.Generator, n: int, count: int, released: bool) -> list[torch.Tensor]:
    limits = (128, 96) if released else (96, 128)
    centres = torch.stack([torch.randint(limit, (n, count), generator=g) for limit in limits], dim=-1)
    halves = draw_sizes(g, (n, count, 2))
    return [torch.from_numpy(naive_mask(centres[i].numpy(), halves[i].numpy(), SIZE, released)) for i in range(n)]


@pytest.mark.parametrize("clamp", ["frame", "reference"])
def test_cutout_equals_a_loop_over_people(clamp: Any) -> None:
    images = people(10)
    before, result = images.clone(), cutout(images, 5, PATCH, generator(2), clamp)
    for i, mask in enumerate(naive_holes(generator(2), 10, 5, clamp == "reference")):
        assert mask.any()
        assert result[i, :, mask].eq(0).all()
        assert torch.equal(result[i, :, ~mask], before[i, :, ~mask])
    assert torch.equal(images, before)
    assert torch.equal(cutout(images, 0, PATCH, generator()), before)


@pytest.mark.parametrize("clamp", ["frame", "reference"])
def test_cutmix_fills_the_holes_with_the_same_place_of_the_partner(clamp: Any) -> None:
    images = people(10)
    before, result = images.clone(), cutmix(images, 2, PATCH, generator(2), clamp)
    g = generator(2)
    masks, partner = naive_holes(g, 10, 2, clamp == "reference"), torch.randperm(10, generator=g)
    for i, mask in enumerate(masks):
        assert torch.equal(result[i, :, mask], before[partner[i], :, mask])
        assert torch.equal(result[i, :, ~mask], before[i, :, ~mask])
    assert torch.equal(result[:, 1:], before[:, 1:])  # every pixel kept its row and column
    assert torch.equal(images, before)
    assert torch.equal(cutmix(images, 0, PATCH, generator()), before)


def test_holes_lie_anywhere_and_are_20_to_38_px_of_a_192_px_wide_input() -> None:
    one = holes(torch.zeros(1500, 1, 128, 96), 1, PATCH, generator())
    for axis, extent in ((2, 128), (1, 96)):
        along = one.any(axis)
        sizes = along.sum(1)
        inside = ~along[:, 0] & ~along[:, -1]
        assert sizes[inside].min() == 10
        assert sizes[inside].max() == 20  # 19 halves to 9.5, rounded to 10
        assert sizes[inside].float().mean().item() == pytest.approx(14.6, abs=0.4)
        place = torch.arange(extent) * along
        assert (place.sum(1) / sizes)[inside].mean().item() == pytest.approx((extent - 1) / 2, abs=3)
    covered = one[:, 20:-20, 20:-20].float().mean().item()
    assert covered == pytest.approx(14.6**2 / (128 * 96), rel=0.08)
    assert not holes(torch.zeros(300, 1, 128, 96), 5, PATCH, generator(), "reference")[:, 96:].any()


# Cut-Occlude


def naive_cut_occlude(images: np.ndarray, g: torch.Generator, points: torch.Tensor, count: int, released: bool) -> np.ndarray:
    """Joint by joint and pixel by pixel. ``released``: 24 channels with replacement, transposed, their rules at the frame."""
    n, k = points.shape[:2]
    height, width = images.shape[-2:]
    partner = torch.randint(n, (n,), generator=g).numpy()
    if released:
        targets, sources = (torch.randint(CHANNELS, (n, count), generator=g).numpy() for _ in range(2))
        points = unreal(g, points)
    else:
        targets, sources = (torch.rand(n, k, generator=g).argsort(dim=1)[:, :count].numpy() for _ in range(2))
    centres, halves = sample_patches(g, points, PATCH.jitter)
    result = images.copy()
    for i in range(n):
        q = partner[i]
        for target, source in zip(targets[i], sources[i], strict=True):
            (x, y), (u, v), (a, b) = centres[i, target], centres[q, source], halves[q, source]
            if released:
                paste_as_released(images, result, (i, y, x), (q, v, u), (a, b))
                continue
            for dy in range(-b, b):
                for dx in range(-a, a):
                    if 0 <= y + dy < height and 0 <= x + dx < width and 0 <= v + dy < height and 0 <= u + dx < width:
                        result[i, :, y + dy, x + dx] = images[q, :, v + dy, u + dx]
    return result


def paste_as_released(images: np.ndarray, result: np.ndarray, onto: tuple, out_of: tuple, half: tuple) -> None:
    """With slices, as released: the joint's x is the row and its y the column; frames end before the last row and column."""
    height, width = images.shape[-2:]
    (i, column, row), (q, source_column, source_row) = onto, out_of
    a, b = half
    last_row, last_column = height - 1, width - 1
    top, bottom = np.clip([source_row - b, source_row + b], 0, last_row)
    left, right = np.clip([source_column - a, source_column + a], 0, last_column)
    above, below = abs(top - source_row), abs(bottom - source_row)
    before, after = abs(left - source_column), abs(right - source_column)
    rows = slice(*np.clip([row - above, row + below], 0, last_row))
    columns = slice(*np.clip([column - before, column + after], 0, last_column))
    if not (0 <= source_row <= last_row and 0 <= source_column <= last_column):
        result[i, :, rows, columns] = 0
    else:
        moved_rows = slice(rows.start - row + source_row, rows.stop - row + source_row)
        moved_columns = slice(columns.start - column + source_column, columns.stop - column + source_column)
        result[i, :, rows, columns] = images[q, :, moved_rows, moved_columns]


@pytest.mark.parametrize("released", [False, True])
def test_cut_occlude_equals_a_loop_over_people(released: bool) -> None:
    images, points = people(12), joints(12, margin=8)
    before, seen = images.clone(), points.clone()
    options: dict[str, Any] = {"channels": CHANNELS, "transposed": True} if released else {}
    result = cut_occlude(images, points, 4, PATCH, generator(5), **options)
    np.testing.assert_array_equal(result.numpy(), naive_cut_occlude(before.numpy(), generator(5), seen, 4, released))
    assert not torch.equal(result, before)
    assert torch.equal(images, before)
    assert torch.equal(points, seen)


def test_the_joint_of_the_other_lands_on_the_own_joint() -> None:
    n = 40
    images, points = people(n), 30 + (joints(n, 1) * 0.3).trunc()  # far from the frame, each in another place
    result = cut_occlude(images, points, 1, EXACT, generator())
    for i in range(n):
        x, y = points[i, 0].long().tolist()
        person, row, column = result[i, :, y, x].long().tolist()
        assert [column, row] == points[person - 1, 0].long().tolist()
    swapped = cut_occlude(images, points, 1, EXACT, generator(), transposed=True)
    for i in range(n):
        x, y = points[i, 0].long().tolist()
        person, row, column = swapped[i, :, x, y].long().tolist()
        assert [row, column] == points[person - 1, 0].long().tolist()


def test_transposed_patches_of_low_joints_are_blank() -> None:
    """A row below the width is a column outside the frame: the released code pastes nothing but the mean colour then."""
    images, points = people(2), torch.tensor([[[60.0, 30.0]], [[20.0, 110.0]]])  # the first high enough, the second not
    results = [cut_occlude(images, points, 1, EXACT, generator(seed), transposed=True) for seed in range(30)]
    values = {result[0, 0, 60, 30].item() for result in results}
    assert values == {1.0, 0.0}
    assert all(torch.equal(result[1], images[1]) for result in results)  # nor is anything pasted there
    rightly = [cut_occlude(images, points, 1, EXACT, generator(seed)) for seed in range(30)]
    assert {result[0, 0, 30, 60].item() for result in rightly} == {1.0, 2.0}
    assert all(result[:, 0].gt(0).all() for result in rightly)


def test_partners_and_joints_are_uniform_and_patches_have_their_sizes() -> None:
    n = 3000
    images = people(n, (8, 6))
    points = torch.tensor([[1.0, 1.0], [4.0, 1.0], [1.0, 5.0], [4.0, 5.0]]).expand(n, 4, 2)
    result = cut_occlude(images, points, 1, EXACT, generator())  # half sizes 10-19 of 192 px are 1 px here: patches of 2 x 2
    pasted = (result != images).any(1)
    assert (pasted.flatten(1).sum(1) <= 4).all()
    person = result[:, 0, [1, 1, 5, 5], [1, 4, 1, 4]]  # [n, 4] at the joints
    at_joint = person != images[:, 0, 0, :1]
    assert at_joint.sum().item() >= n - 15  # one joint each, but for who drew themselves
    torch.testing.assert_close(at_joint.float().mean(0), torch.full((4,), 0.25), atol=0.03, rtol=0)
    partners = person[at_joint]
    assert partners.mean().item() == pytest.approx(n / 2, rel=0.04)
    assert partners.std().item() == pytest.approx(n / 12**0.5, rel=0.04)
    rows = result[:, 1, [1, 1, 5, 5], [1, 4, 1, 4]][at_joint]
    assert rows.eq(1).float().mean().item() == pytest.approx(0.5, abs=0.04)  # joints of the other too


def test_two_patches_cover_two_joints_but_one_now_and_then_with_the_released_sampling() -> None:
    n = 2000
    images = people(n, (8, 6))
    points = torch.tensor([[1.0, 1.0], [4.0, 5.0]]).expand(n, 2, 2)
    for channels, expected in ((None, 1.0), (2, 0.5)):  # two channels, both real: only the replacement differs
        result = cut_occlude(images, points, 2, EXACT, generator(), channels=channels)
        both = (result[:, 0, [1, 5], [1, 4]] != images[:, 0, 0, :1]).all(1)
        assert both.float().mean().item() == pytest.approx(expected, abs=0.04)
    result = cut_occlude(images, points, 1, EXACT, generator(), channels=CHANNELS)
    at_joint = (result[:, 0, [1, 5], [1, 4]] != images[:, 0, 0, :1]).any(1)
    assert at_joint.float().mean().item() < 0.35  # most patches lie elsewhere


def test_the_same_generator_state_gives_the_same_images() -> None:
    images, points = people(6), joints(6)
    for draw in (
        lambda g: cutout(images, 3, PATCH, g),
        lambda g: cutmix(images, 3, PATCH, g),
        lambda g: cut_occlude(images, points, 2, PATCH, g),
        lambda g: cut_occlude(images, points, 2, PATCH, g, channels=CHANNELS, transposed=True),
        lambda g: patches.keypoint_masks(points, torch.full((6,), 3), None, SIZE, PATCH, g, channels=CHANNELS, clamp="reference"),
    ):
        torch.rand(3)  # the global generator has no say
        assert torch.equal(draw(generator(7)), draw(generator(7)))
        assert not torch.equal(draw(generator(7)), draw(generator(8)))
