"""Colour ops against Pillow, person by person, the laws of their draws, and the halves of YOCO."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps

from semipose.augment import colour
from semipose.augment.mixing import yoco

ENHANCERS = ["Color", "Contrast", "Brightness", "Sharpness"]
RAND = ["autocontrast", "equalize", "invert", "posterize", "solarize", "solarize_add", *ENHANCERS, "cutout"]
TRIVIAL = ["identity", "autocontrast", "equalize", "posterize", "solarize", *ENHANCERS]
ROUNDED = {"autocontrast", *ENHANCERS}  # Pillow rounds its greys otherwise


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(n: int, height: int = 40, width: int = 30) -> torch.Tensor:
    """Smooth colours with a little noise, which use part of the range only: every op changes them."""
    g = generator(5)
    coarse = 30 + 180 * torch.rand(n, 3, 4, 3, generator=g)
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")
    return (smooth + 8 * torch.randn(smooth.shape, generator=g)).clamp(20, 230).to(torch.uint8)


def pillow(image: torch.Tensor, name: str, level: int, uniform: list[float], rand: bool) -> np.ndarray:
    """One person through one op, with the released code's strengths written out."""
    array = image.permute(1, 2, 0).numpy()
    picture = Image.fromarray(array)
    if name == "identity":
        return array
    if name in ("autocontrast", "equalize", "invert"):
        return np.asarray(getattr(ImageOps, name)(picture))
    if name == "posterize":
        bits = max(2, 6 - int(level / 30 * 4)) if rand else 8 - int(level * 4 / 30)
        return np.asarray(ImageOps.posterize(picture, bits))
    if name == "solarize":
        return np.asarray(ImageOps.solarize(picture, 256 - level / 30 * 256 if rand else 256 - int(level * 256 / 30)))
    if name == "solarize_add":
        added = np.clip(array.astype(int) + int(level / 30 * 110), 0, 255).astype(np.uint8)
        return np.where(added < 128, added, 255 - added)
    if name == "cutout":
        return naive_cutout(array, level, uniform)
    sign = -1 if uniform[0] < 0.5 else 1
    factor = 1 + sign * 0.9 * level / 30 if rand else 0.1 + 1.8 * level / 30
    return np.asarray(getattr(ImageEnhance, name)(picture).enhance(factor))


def naive_cutout(array: np.ndarray, level: int, uniform: list[float]) -> np.ndarray:
    height, width = array.shape[:2]
    side = 80 * level / 30 * width / 192
    left, top = int(max(0, uniform[1] * width - side / 2)), int(max(0, uniform[2] * height - side / 2))
    result = array.copy()
    for row in range(top, height):
        for column in range(left, width):
            if row < top + side and column < left + side:
                result[row, column] = (125, 123, 114)
    return result


def assert_close(result: torch.Tensor, expected: np.ndarray, name: str) -> None:
    difference = np.abs(result.permute(1, 2, 0).numpy().astype(int) - expected.astype(int))
    assert difference.max() <= (2 if name in ROUNDED else 0), name


@pytest.mark.parametrize("level", [0, 7, 20, 30])
def test_rand_augment_equals_pillow_person_by_person(level: int) -> None:
    n, images = 60, pictures(60)
    before, result = images.clone(), colour.rand_augment(images, 1, level, generator(2))
    kinds, uniforms = colour.draw(n, 1, len(RAND), generator(2))
    assert set(kinds.flatten().tolist()) == set(range(len(RAND)))
    for i in range(n):
        name = RAND[int(kinds[i, 0])]
        assert_close(result[i], pillow(before[i], name, level, uniforms[i, 0].tolist(), True), name)
    assert result.dtype == torch.uint8
    assert torch.equal(images, before)


def test_trivial_augment_equals_pillow_person_by_person() -> None:
    n, images = 90, pictures(90)
    before, g, result = images.clone(), generator(2), colour.trivial_augment(images, generator(2))
    kinds, uniforms = colour.draw(n, 1, len(TRIVIAL), g)
    levels = torch.randint(31, (n, 1), generator=g)
    assert set(kinds.flatten().tolist()) == set(range(len(TRIVIAL)))
    for i in range(n):
        name = TRIVIAL[int(kinds[i, 0])]
        assert_close(result[i], pillow(before[i], name, int(levels[i, 0]), uniforms[i, 0].tolist(), False), name)
    assert torch.equal(images, before)


def test_ops_follow_one_another_as_they_would_for_one_person_alone() -> None:
    n, images = 40, pictures(40)
    result = colour.rand_augment(images, 3, 20, generator(3))
    kinds, uniforms = colour.draw(n, 3, len(RAND), generator(3))
    for i in range(n):
        alone = images[i : i + 1]
        for turn in range(3):
            alone = colour.RAND_AUGMENT[int(kinds[i, turn])](alone, torch.tensor([20]), uniforms[i : i + 1, turn])
        assert torch.equal(result[i], alone[0])


def test_every_op_is_equally_likely_and_both_signs_are() -> None:
    kinds, uniforms = colour.draw(20000, 2, 11, generator())
    counts = torch.bincount(kinds.flatten(), minlength=11) / 40000
    torch.testing.assert_close(counts, torch.full((11,), 1 / 11), atol=0.006, rtol=0)
    assert (kinds[:, 0] == kinds[:, 1]).float().mean().item() == pytest.approx(1 / 11, abs=0.01)  # with replacement
    assert uniforms.min() >= 0
    assert uniforms.max() < 1
    assert (uniforms < 0.5).float().mean().item() == pytest.approx(0.5, abs=0.01)


def spread(augment: Callable[[torch.Tensor, torch.Generator], torch.Tensor]) -> torch.Tensor:
    """The values that one grey pixel may take, over many people with the same picture."""
    return augment(torch.full((6000, 3, 3, 3), 100, dtype=torch.uint8), generator())[:, 0, 1, 1]


def test_each_person_draws_their_own_ops_and_strengths() -> None:
    rand = spread(lambda x, g: colour.rand_augment(x, 1, 20, g, cutout=False)).tolist()
    # The ops that change a grey of 100: invert, posterise to 4 bits, solarise from 85, + 73 then invert, brightness * 0.4 or 1.6.
    expected = {100: 5 / 10, 155: 2 / 10, 96: 1 / 10, 82: 1 / 10, 40: 0.5 / 10, 160: 0.5 / 10}
    shares = {value: rand.count(value) / len(rand) for value in set(rand)}
    merged = {value: sum(share for v, share in shares.items() if abs(v - value) <= 1) for value in expected}
    assert merged == pytest.approx(expected, abs=0.02)
    trivial = spread(colour.trivial_augment)
    brightness = 100 * (0.1 + 1.8 * torch.arange(31) / 30)
    changed = trivial[(trivial < 99) & (trivial != 96) | (trivial > 100) & (trivial != 155)].float()
    assert all((brightness - value).abs().min() <= 1 for value in changed.unique())
    assert len(changed.unique()) > 25
    assert len(changed) / 6000 == pytest.approx(1 / 9, abs=0.02)


def test_multiaugs_leaves_cutout_abs_out() -> None:
    grey = torch.full((400, 3, 16, 16), 7, dtype=torch.uint8)
    fill = torch.tensor(colour.FILL, dtype=torch.uint8)[:, None, None]
    for cutout in (True, False):
        result = colour.rand_augment(grey, 1, 30, generator(), cutout)
        assert (result == fill).all(1).any() == cutout


def test_cutout_abs_is_a_square_that_grows_with_the_width() -> None:
    level, place = torch.tensor([20, 20, 20]), torch.tensor([[0.0, 0.5, 0.25], [0.0, 0.0, 0.95], [0.0, 0.99, 0.5]])
    for width, side in ((192, 54), (96, 27)):
        images = torch.zeros(3, 3, width * 4 // 3, width, dtype=torch.uint8)
        result = colour.RAND_AUGMENT[-1](images, level, place)[:, 0] > 0
        rows, columns = result.any(2).sum(1), result.any(1).sum(1)
        assert columns.tolist()[:2] == [side, side]  # moved inside at the left edge
        assert rows[0] == side
        assert columns[2] < side  # cut off at the right edge
        assert rows[1] < side
        middle = [result[0].any(axis).nonzero().float().mean().item() for axis in (0, 1)]
        assert middle == pytest.approx([0.5 * width, 0.25 * width * 4 / 3], abs=1)


def test_level_zero_leaves_blended_ops_as_they_were() -> None:
    images, none = pictures(4), torch.zeros(4, dtype=torch.long)
    for op in colour.RAND_AUGMENT[6:] + colour.RAND_AUGMENT[4:5]:
        assert torch.equal(op(images, none, torch.rand(4, 3)), images)


@pytest.mark.parametrize("size", [(8, 6), (7, 5)])
def test_yoco_equals_a_loop_over_people(size: tuple[int, int]) -> None:
    first, second = torch.rand(20, 3, *size, generator=generator()), -torch.rand(20, 3, *size, generator=generator(1))
    before, result = (first.clone(), second.clone()), yoco(first, second, generator(4))
    coin, (height, width) = torch.rand(20, generator=generator(4)), size
    for i in range(20):
        expected = before[0][i].clone()
        if coin[i] < 0.5:
            expected[:, height // 2 :] = before[1][i, :, height // 2 :]
        else:
            expected[:, :, width // 2 :] = before[1][i, :, :, width // 2 :]
        assert torch.equal(result[i], expected)
    assert torch.equal(first, before[0])
    assert torch.equal(second, before[1])


def test_yoco_cuts_both_ways_equally_often_and_keeps_the_type() -> None:
    zeros = torch.zeros(4000, 1, 4, 2, dtype=torch.uint8)
    result = yoco(zeros, zeros + 1, generator())
    assert result.dtype == torch.uint8
    assert result.float().mean().item() == 0.5
    across = result[:, 0, 0, 1] == 0  # the upper half is whole
    assert across.float().mean().item() == pytest.approx(0.5, abs=0.03)


def test_the_same_generator_state_gives_the_same_images() -> None:
    images = pictures(8)
    for draw in (
        lambda g: colour.rand_augment(images, 2, 20, g),
        lambda g: colour.trivial_augment(images, g),
        lambda g: yoco(images, 255 - images, g),
    ):
        torch.rand(3)  # the global generator has no say
        assert torch.equal(draw(generator(7)), draw(generator(7)))
        assert not torch.equal(draw(generator(7)), draw(generator(8)))
