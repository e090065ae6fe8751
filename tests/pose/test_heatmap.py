"""Encoding against the written-out Gaussian, decoding by round trips and a naive loop, flips and the loss by hand."""

import math

import numpy as np
import pytest
import torch

from semipose.pose import heatmap


def uniform_points(n: int, size: tuple[int, int], margin: float, seed: int = 0) -> torch.Tensor:
    extent = torch.tensor([size[1], size[0]]).float()
    draw = torch.rand(n, 1, 2, generator=torch.Generator().manual_seed(seed))
    return margin + draw * (extent - 1 - 2 * margin)


def test_encode_equals_the_unrounded_gaussian() -> None:
    points = torch.tensor([[[10.3, 21.8], [-3.0, 5.0]], [[40.0, 1.5], [63.2, 62.9]]])
    maps, weight = heatmap.encode(points, torch.ones(2, 2), (16, 12), 4, 1.7)
    assert maps.shape == (2, 2, 16, 12)
    for b in range(2):
        for k in range(2):
            x, y = ((value - 1.5) / 4 for value in points[b, k].tolist())
            for v in range(16):
                for u in range(12):
                    expected = math.exp(-((u - x) ** 2 + (v - y) ** 2) / (2 * 1.7**2))
                    assert maps[b, k, v, u].item() == pytest.approx(expected, abs=1e-6)
    assert weight.tolist() == [[1, 1], [1, 1]]


def test_weight_is_visibility_and_zero_where_the_kernel_lies_outside() -> None:
    # stride 4, sigma 2: the map's cells are 0 ... 15, the kernel reaches 6 cells = 24 px
    x = [1.5 - 24.1, 1.5 - 23.9, 61.5 + 23.9, 61.5 + 24.1, 30.0, 30.0]
    points = torch.tensor([[[value, 30.0] for value in x]])
    visible = torch.tensor([[1.0, 1, 1, 1, 0, 1]])
    assert heatmap.encode(points, visible, (16, 16), 4, 2.0)[1].tolist() == [[0, 1, 1, 0, 0, 1]]
    assert heatmap.encode(points.flip(-1), visible, (16, 16), 4, 2.0)[1].tolist() == [[0, 1, 1, 0, 0, 1]]


def test_invisible_points_may_be_anything() -> None:
    points = torch.tensor([[[math.nan, math.inf], [20.0, 20.0]]])
    maps, weight = heatmap.encode(points, torch.tensor([[0, 2]], dtype=torch.uint8), (16, 16), 4, 2.0)
    assert maps[0, 0].eq(0).all()
    assert maps[0, 1].max() > 0.9
    assert weight.tolist() == [[0, 2]]


def test_peak_is_the_argmax_as_x_y() -> None:
    maps = torch.zeros(1, 2, 5, 7)
    maps[0, 0, 3, 6], maps[0, 1, 4, 0] = 0.5, 2.0
    cells, values = heatmap.peak(maps)
    assert cells.tolist() == [[[6, 3], [0, 4]]]
    assert values.tolist() == [[0.5, 2.0]]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_peak_of_equal_maxima_is_the_first_row_by_row(layout: torch.memory_format) -> None:
    maps = torch.randint(4, (6, 5, 9, 7), generator=torch.Generator().manual_seed(0)).float().to(memory_format=layout)
    cells, values = heatmap.peak(maps)
    for b in range(6):
        for k in range(5):
            y, x = divmod(int(maps[b, k].numpy().argmax()), 7)
            assert cells[b, k].tolist() == [x, y]
            assert values[b, k] == 3


@pytest.mark.parametrize("sigma", [1.5, 2.0, 3.0])
def test_dark_round_trip_is_sub_pixel(sigma: float) -> None:
    size, stride = (64, 48), 4
    points = uniform_points(2000, (256, 192), margin=stride * (3.5 * sigma + 2))
    maps, _ = heatmap.encode(points, torch.ones(2000, 1), size, stride, sigma)
    decoded, confidence = heatmap.decode(maps, stride, "dark", sigma)
    assert (decoded - points).abs().max() < 0.05
    assert confidence.min() > math.exp(-0.25 / sigma**2) - 1e-3  # half a cell away on both axes


def test_dark_finds_a_blob_whose_argmax_is_displaced_by_noise() -> None:
    points = uniform_points(200, (256, 192), margin=40)
    maps, _ = heatmap.encode(points, torch.ones(200, 1), (64, 48), 4, 2.0)
    noisy = maps + 0.02 * torch.randn(maps.shape, generator=torch.Generator().manual_seed(1))
    dark, quarter = (heatmap.decode(noisy, 4, how)[0] - points for how in ("dark", "quarter"))
    assert dark.norm(dim=-1).mean() < 0.6 * quarter.norm(dim=-1).mean()


def test_quarter_is_unbiased_and_within_its_quantum() -> None:
    points = uniform_points(20000, (256, 192), margin=30)
    maps, _ = heatmap.encode(points, torch.ones(20000, 1), (64, 48), 4, 2.0)
    error = heatmap.decode(maps, 4)[0] - points
    assert error.mean(dim=(0, 1)).abs().max() < 0.05
    assert error.abs().max() <= 1.0 + 1e-3  # a quarter cell
    assert error.abs().max() > 0.9


def naive_quarter(maps: np.ndarray, stride: int) -> np.ndarray:
    height, width = maps.shape
    y, x = divmod(int(maps.argmax()), maps.shape[1])
    point = np.array([x, y], dtype=float)
    if 1 < x < width - 1 and 1 < y < height - 1:
        point += 0.25 * np.sign([maps[y, x + 1] - maps[y, x - 1], maps[y + 1, x] - maps[y - 1, x]])
    return point * stride + (stride - 1) / 2


def naive_dark(maps: np.ndarray, stride: int, sigma: float) -> np.ndarray:
    """The published steps in double precision: blur, rescale, log, one Newton step (methods of DARK)."""
    radius = {1.5: 3, 2.0: 5, 3.0: 8}[sigma]
    taps = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * sigma**2))
    kernel = np.outer(taps, taps) / taps.sum() ** 2
    padded, blurred = np.pad(maps, radius), np.zeros_like(maps)
    for y in range(maps.shape[0]):
        for x in range(maps.shape[1]):
            blurred[y, x] = (padded[y : y + 2 * radius + 1, x : x + 2 * radius + 1] * kernel).sum()
    logs = np.log(np.maximum(blurred * maps.max() / blurred.max(), 1e-10))
    y, x = divmod(int(maps.argmax()), maps.shape[1])
    point = np.array([x, y], dtype=float)
    if 1 < x < maps.shape[1] - 2 and 1 < y < maps.shape[0] - 2:
        gradient = 0.5 * np.array([logs[y, x + 1] - logs[y, x - 1], logs[y + 1, x] - logs[y - 1, x]])
        mixed = 0.25 * (logs[y + 1, x + 1] - logs[y - 1, x + 1] - logs[y + 1, x - 1] + logs[y - 1, x - 1])
        xx = 0.25 * (logs[y, x + 2] - 2 * logs[y, x] + logs[y, x - 2])
        yy = 0.25 * (logs[y + 2, x] - 2 * logs[y, x] + logs[y - 2, x])
        point -= np.linalg.solve(np.array([[xx, mixed], [mixed, yy]]), gradient)
    return point * stride + (stride - 1) / 2


@pytest.mark.parametrize("sigma", [1.5, 2.0, 3.0])
def test_decode_equals_a_naive_loop_everywhere(sigma: float) -> None:
    """Points anywhere, borders included, and two blobs in a map, so that the log map is no paraboloid."""
    g = torch.Generator().manual_seed(2)
    points = 64 * torch.rand(40, 2, 2, generator=g)
    pairs, _ = heatmap.encode(points, torch.ones(40, 2), (16, 16), 4, sigma)
    maps = (pairs[:, :1] + 0.3 * pairs[:, 1:]).contiguous()
    for how in ("quarter", "dark"):
        decoded, confidence = heatmap.decode(maps, 4, how, sigma)
        for b in range(40):
            one = maps[b, 0].double().numpy()
            expected = naive_quarter(one, 4) if how == "quarter" else naive_dark(one, 4, sigma)
            np.testing.assert_allclose(decoded[b, 0], expected, atol=0.01)
            assert confidence[b, 0] == maps[b, 0].max()


@pytest.mark.parametrize("how", ["quarter", "dark"])
def test_a_border_peak_keeps_its_argmax_and_a_non_positive_one_its_value(how: str) -> None:
    maps = torch.full((1, 2, 8, 6), -1.0)
    maps[0, 0, 0, 5] = 0.7
    maps[0, 1, 4, 3] = -0.5
    points, confidence = heatmap.decode(maps, 4, how)
    assert points[0, 0].tolist() == [21.5, 1.5]
    assert points[0, 1].tolist() == [13.5, 17.5]
    assert confidence.tolist() == [[pytest.approx(0.7), -0.5]]
    flat, _ = heatmap.decode(torch.zeros(1, 1, 8, 6), 4, how)
    assert flat.tolist() == [[[1.5, 1.5]]]


def test_decode_takes_bfloat16_and_refuses_another_name() -> None:
    maps, _ = heatmap.encode(torch.tensor([[[30.0, 30.0]]]), torch.ones(1, 1), (16, 16), 4, 2.0)
    points, confidence = heatmap.decode(maps.bfloat16(), 4, "dark")
    assert points.dtype == confidence.dtype == torch.float32
    assert torch.equal(points, heatmap.decode(maps.bfloat16().float(), 4, "dark")[0])
    with pytest.raises(ValueError, match="'quarter' or 'dark'"):
        heatmap.decode(maps, 4, "argmax")


def test_flip_back_undoes_mirroring_and_average_is_the_mean() -> None:
    permutation = [1, 0, 2, 4, 3]
    maps = torch.rand(2, 5, 6, 4)
    mirrored = torch.stack([maps[:, j].flip(-1) for j in permutation], dim=1)
    assert torch.equal(heatmap.flip_back(mirrored, permutation), maps)
    assert torch.equal(heatmap.flip_back(mirrored, torch.tensor(permutation)), maps)
    other = torch.rand(2, 5, 6, 4)
    expected = (other + maps) / 2
    torch.testing.assert_close(heatmap.flip_average(other, mirrored, permutation), expected)


def test_loss_equals_the_written_out_sum() -> None:
    g = torch.Generator().manual_seed(0)
    predicted, target = torch.rand(3, 4, 5, 6, generator=g), torch.rand(3, 4, 5, 6, generator=g)
    weight = torch.tensor([[1.0, 0, 1, 2], [1, 1, 1, 1], [0, 0, 1, 1]])
    expected = 0.0
    for j in range(4):
        squares = [((weight[b, j] * (predicted[b, j] - target[b, j])) ** 2).sum() for b in range(3)]
        expected += 0.5 * sum(squares).item() / (3 * 5 * 6) / 4  # type: ignore[union-attr]
    assert heatmap.heatmap_loss(predicted, target, weight).item() == pytest.approx(expected, rel=1e-5)


def test_loss_of_nothing_visible_is_zero_and_of_one_person_works() -> None:
    maps = torch.rand(1, 2, 4, 4)
    assert heatmap.heatmap_loss(maps, maps + 1, torch.zeros(1, 2)) == 0
    assert heatmap.heatmap_loss(maps, maps + 1, torch.ones(1, 2)).item() == pytest.approx(0.5)
