"""Matrices against written-out numpy, closed forms and round trips; warping against images whose values are known."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from semipose.augment import views
from semipose.data.loading.matrices import base_matrix
from semipose.data.loading.normalise import normalise
from semipose.pose import geometry, heatmap


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def some_matrices(n: int, centre: tuple[float, float] = (95.5, 127.5), seed: int = 0) -> torch.Tensor:
    g = generator(seed)
    angle, scale = 360 * torch.rand(n, generator=g) - 180, 0.6 + torch.rand(n, generator=g)
    return geometry.similarity(angle, scale, torch.rand(n, generator=g) < 0.5, centre)


def homogeneous(matrix: torch.Tensor) -> np.ndarray:
    return np.vstack([matrix.double().numpy(), [0, 0, 1]])


def test_compose_and_invert_equal_homogeneous_products() -> None:
    first, second = some_matrices(8), some_matrices(8, (10.0, 3.0), seed=1)
    together, back = geometry.compose(second, first), geometry.invert(first)
    for i in range(8):
        np.testing.assert_allclose(homogeneous(together[i]), homogeneous(second[i]) @ homogeneous(first[i]), atol=1e-3)
        np.testing.assert_allclose(homogeneous(back[i]), np.linalg.inv(homogeneous(first[i])), atol=1e-3)


def test_transform_equals_a_loop_and_inverts() -> None:
    matrices, points = some_matrices(4), 200 * torch.rand(4, 5, 2, generator=generator())
    mapped = geometry.transform(matrices, points)
    for b in range(4):
        for k in range(5):
            expected = homogeneous(matrices[b]) @ [*points[b, k].tolist(), 1]
            np.testing.assert_allclose(mapped[b, k], expected[:2], atol=1e-3)
    torch.testing.assert_close(geometry.transform(geometry.invert(matrices), mapped), points, atol=1e-3, rtol=0)


def test_identity_moves_nothing_and_one_matrix_serves_a_batch() -> None:
    matrices = some_matrices(3)
    torch.testing.assert_close(geometry.compose(geometry.identity(1), matrices), matrices)
    image = torch.rand(3, 2, 7, 5)
    torch.testing.assert_close(geometry.warp(image, geometry.identity(1), (7, 5)), image, atol=1e-5, rtol=0)


def test_similarity_flips_first_then_turns_and_scales_about_the_centre() -> None:
    one = torch.tensor([90.0]), torch.tensor([2.0])
    points = torch.tensor([[[10.0, 20.0], [11.0, 20.0], [10.0, 21.0]]])
    turned = geometry.transform(geometry.similarity(*one, torch.tensor([False]), (10, 20)), points)
    torch.testing.assert_close(turned, torch.tensor([[[10.0, 20.0], [10.0, 22.0], [8.0, 20.0]]]), atol=1e-4, rtol=0)
    mirrored = geometry.transform(geometry.similarity(*one, torch.tensor([True]), (10, 20)), points)
    torch.testing.assert_close(mirrored, torch.tensor([[[10.0, 20.0], [10.0, 18.0], [8.0, 20.0]]]), atol=1e-4, rtol=0)


def test_similarity_does_not_shear() -> None:
    linear = some_matrices(16)[:, :, :2].double()
    singular = torch.linalg.svdvals(linear)
    torch.testing.assert_close(singular[:, 0], singular[:, 1], atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [(256, 192), (64, 64)])
def test_a_flip_about_the_centre_mirrors_image_and_heatmap_exactly(size: tuple[int, int]) -> None:
    height, width = size
    flip = geometry.similarity(torch.zeros(1), torch.ones(1), torch.tensor([True]), ((width - 1) / 2, (height - 1) / 2))
    image, maps = torch.rand(1, 3, height, width), torch.rand(1, 3, height // 4, width // 4)
    torch.testing.assert_close(geometry.warp(image, flip, size), image.flip(-1), atol=1e-3, rtol=0)
    warped = geometry.warp(maps, geometry.to_heatmap(flip, 4), (height // 4, width // 4))
    torch.testing.assert_close(warped, maps.flip(-1), atol=1e-3, rtol=0)


def test_from_box_fills_the_crop_with_the_grown_box() -> None:
    boxes = torch.tensor([[30.0, 40.0, 60.0, 80.0], [5.0, 6.0, 120.0, 40.0]])
    matrices = geometry.from_box(boxes, (256, 192), 1.25)
    # the first has the aspect 3:4 already; the second grows to 120 x 160; edges lie half a pixel outside
    edges = torch.tensor([[-0.5, -0.5], [191.5, 255.5]])
    for (x, y, w, h), (grown_w, grown_h), matrix in zip(boxes.tolist(), [(75.0, 100.0), (150.0, 200.0)], matrices, strict=True):
        middle = torch.tensor([x + (w - 1) / 2, y + (h - 1) / 2])
        half = torch.tensor([grown_w / 2, grown_h / 2])
        corners = geometry.transform(matrix, torch.stack([middle - half, middle + half]))
        torch.testing.assert_close(corners, edges, atol=1e-3, rtol=0)


def test_from_box_of_the_whole_image_is_the_identity() -> None:
    whole = torch.tensor([[0.0, 0.0, 192.0, 256.0]])
    torch.testing.assert_close(geometry.from_box(whole, (256, 192), 1.0), geometry.identity(1), atol=1e-4, rtol=0)


def test_cells_lie_at_the_centre_of_their_pixels() -> None:
    assert geometry.cells_to_pixels(torch.tensor([0.0, 47.0]), 4).tolist() == [1.5, 189.5]  # of 192 px
    cells = torch.rand(5, 2)
    torch.testing.assert_close(geometry.pixels_to_cells(geometry.cells_to_pixels(cells, 4), 4), cells)


def test_to_heatmap_says_the_same_in_cells() -> None:
    matrices, cells = some_matrices(6), 48 * torch.rand(6, 4, 2, generator=generator())
    through_pixels = geometry.pixels_to_cells(geometry.transform(matrices, geometry.cells_to_pixels(cells, 4)), 4)
    torch.testing.assert_close(geometry.transform(geometry.to_heatmap(matrices, 4), cells), through_pixels, atol=1e-3, rtol=0)


def test_warp_equals_a_naive_bilinear_loop() -> None:
    image = torch.rand(2, 1, 9, 12, generator=generator())
    matrices = some_matrices(2, (5.5, 4.0), seed=3)
    warped = geometry.warp(image, matrices, (7, 10))
    for b in range(2):
        back, source = np.linalg.inv(homogeneous(matrices[b])), np.pad(image[b, 0].numpy(), 1)
        for v in range(7):
            for u in range(10):
                x, y, _ = back @ [u, v, 1]
                if not (-1 < x < 12 and -1 < y < 9):
                    expected = 0.0
                else:
                    i, j = int(np.floor(x)), int(np.floor(y))
                    block = source[j + 1 : j + 3, i + 1 : i + 3]
                    expected = np.array([1 - (y - j), y - j]) @ block @ np.array([1 - (x - i), x - i])
                assert warped[b, 0, v, u].item() == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize("count", [1, 7])
def test_a_few_images_at_a_time_are_warped_as_all_at_once(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    images = torch.randint(0, 256, (count, 20, 24, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    matrices = torch.eye(2, 3) + 0.2 * torch.randn(count, 2, 3)
    found = []
    for cache, layout in ((2**30, images.contiguous()), (1, images.contiguous()), (1, images)):
        monkeypatch.setattr(geometry, "CACHE", cache)
        found.append(geometry.warp(layout, matrices, (16, 12), normalise))
    assert found[0].shape == (count, 3, 16, 12)
    torch.testing.assert_close(found[0], geometry.warp(normalise(images), matrices, (16, 12)), rtol=0, atol=0)
    for one in found[1:]:
        torch.testing.assert_close(one, found[0], rtol=0, atol=0)


def test_warp_is_float32_under_autocast_and_leaves_its_input() -> None:
    image, matrices = torch.rand(2, 1, 256, 192), some_matrices(2)
    before, expected = image.clone(), geometry.warp(image, matrices, (256, 192))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        warped = geometry.warp(image, geometry.compose(matrices, geometry.identity(1)), (256, 192))
    assert torch.equal(image, before)
    torch.testing.assert_close(warped, expected)


WEAK = {"rotation_probability": 0.6, "rotation_deg": 30.0, "rotation_limit_deg": 60.0, "scale": 0.25}


def composition(kind: str, n: int, centre: tuple[float, float]) -> torch.Tensor:

    g = generator(5)
    weak = views.sample_weak(n, SimpleNamespace(**WEAK, flip_probability=0.5), centre, g)[0]  # type: ignore[arg-type]
    strong = views.sample_strong(n, SimpleNamespace(**WEAK | {"rotation_probability": 0.8}), centre, g)  # type: ignore[arg-type]
    return {"weak": weak, "strong": strong, "strong of weak": geometry.compose(strong, weak)}[kind]


@pytest.mark.parametrize("kind", ["weak", "strong", "strong of weak"])
@pytest.mark.parametrize(("sigma", "mean", "most"), [(2.0, 0.03, 0.1), (4.0, 0.01, 0.05)])
def test_image_and_heatmap_stay_in_register(kind: str, sigma: float, mean: float, most: float) -> None:
    """One draw moves a blob in the image, its heatmap and the point; all three agree, and the error has no direction.

    What is left at sigma 2 is the bilinear interpolation of a narrow blob: unbiased, and gone for a wider one.
    """
    size, stride, n = (256, 192), 4, 100
    centre = ((size[1] - 1) / 2, (size[0] - 1) / 2)
    points = torch.tensor(centre) + 40 * (torch.rand(n, 1, 2, generator=generator()) - 0.5)
    image, _ = heatmap.encode(points, torch.ones(n, 1), size, 1, stride * 2.0)
    maps, _ = heatmap.encode(points, torch.ones(n, 1), (64, 48), stride, sigma)
    matrices = composition(kind, n, centre)
    expected = geometry.transform(matrices, points)
    in_image, _ = heatmap.decode(geometry.warp(image, matrices, size), 1, "dark", stride * 2.0)
    assert (in_image - expected).norm(dim=-1).max() < 0.02
    warped = geometry.warp(maps, geometry.to_heatmap(matrices, stride), (64, 48))
    in_maps, _ = heatmap.decode(warped, stride, "dark", sigma)
    error = in_maps - expected
    assert error.norm(dim=-1).max() < most
    assert error.norm(dim=-1).mean() < mean
    assert error.mean(dim=(0, 1)).abs().max() < 0.01


def test_crop_to_weak_to_strong_in_one_warp_keeps_points_on_their_dots() -> None:
    """A crop's blob is found in the strong view at the point mapped by the whole chain; flipped ones included."""
    n, crop, size = 60, 160, (128, 96)
    points = 79.5 + 24 * (torch.rand(n, 1, 2, generator=generator()) - 0.5)
    image, _ = heatmap.encode(points, torch.ones(n, 1), (crop, crop), 1, 6.0)
    chain = geometry.compose(composition("strong of weak", n, (47.5, 63.5)), base_matrix(crop, 1.4, size))
    found, _ = heatmap.decode(geometry.warp(image, chain, size), 1, "dark", 6.0)
    assert (found - geometry.transform(chain, points)).norm(dim=-1).max() < 0.05


def test_a_flipped_weak_view_swaps_left_and_right() -> None:
    """Label swap and heatmap swap say the same: the left joint's map of the view is the mirrored right one's."""
    flip = [1, 0, 2]
    points = torch.tensor([[[26.3, 30.1], [37.7, 28.4], [33.0, 27.5]]])
    mirror = geometry.similarity(torch.zeros(1), torch.ones(1), torch.tensor([True]), (31.5, 31.5))
    ones = torch.ones(1, 3)
    swapped_points = geometry.transform(mirror, points)[:, flip]
    from_points, _ = heatmap.encode(swapped_points, ones, (16, 16), 4, 2.0)
    maps, _ = heatmap.encode(points, ones, (16, 16), 4, 2.0)
    torch.testing.assert_close(heatmap.flip_back(maps, flip), from_points, atol=1e-5, rtol=0)
    warped = geometry.warp(maps, geometry.to_heatmap(mirror, 4), (16, 16))[:, flip]
    torch.testing.assert_close(warped, from_points, atol=1e-4, rtol=0)
    assert (heatmap.decode(warped, 4, "dark")[0] - swapped_points).abs().max() < 0.05
