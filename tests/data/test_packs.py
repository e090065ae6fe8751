"""Crops against images whose every value is known, and packs against broken images, full disks and other processes."""

import errno
import json
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from semipose.data.loading.matrices import crop_matrices
from semipose.data.loading.pack import CropPack
from semipose.data.packing import cutting, writing
from semipose.data.packing.cutting import MEAN_COLOUR
from semipose.data.packing.unfinished import Unfinished
from semipose.data.people import People
from semipose.data.sources.lsp import read_lsp
from semipose.pose.geometry import from_box, invert, transform, warp
from semipose.pose.skeleton import LSP14
from semipose.utils.errors import InputError

SMALL: dict[str, Any] = {"size": 48, "padding": 1.25, "extent": 1.5}


def write_pack(people: People, root: Path, folder: Path, max_broken: int = 0, processes: int = 1, **recipe: Any) -> dict[str, Any]:
    return writing.write_pack(people, root, folder, writing.Recipe(**recipe), max_broken, processes)


def make_people(images: list[str], boxes: list[tuple[float, ...]], size: tuple[int, int], points: np.ndarray | None = None) -> People:
    n = len(images)
    if points is None:
        points = np.zeros((n, 14, 2))
    return People(
        LSP14,
        ids=100 + np.arange(n),
        image_ids=np.arange(n),
        images=images,
        sizes=np.tile(size, (n, 1)),
        boxes=np.array(boxes, np.float32),
        areas=np.ones(n, np.float32),
        points=points.astype(np.float32),
        visibility=np.full((n, 14), 2),
    )


def wave(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A smooth RGB image, whose value is known between the pixels too."""
    return np.stack([128 + 100 * np.sin(x / a + 0.3) * np.cos(y / b) for a, b in ((40, 55), (55, 40), (70, 70))], -1)


def save_wave(path: Path, width: int, height: int) -> None:
    y, x = np.mgrid[:height, :width]
    Image.fromarray(wave(x, y).round().astype(np.uint8)).save(path)


def sources_of(matrix: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Where each pixel of a crop lies in the image: x and y [S, S]."""
    v, u = np.mgrid[:size, :size]
    back = np.linalg.inv(np.vstack([matrix.astype(float), [0, 0, 1]]))
    return back[0, 0] * u + back[0, 2], back[1, 1] * v + back[1, 2]


@pytest.mark.parametrize("box", [(60, 50, 40, 60), (100.4, 80.7, 9.5, 14.2), (20, 15, 240, 190)])
def test_a_crop_shows_what_its_matrix_says(tmp_path: Path, box: tuple[float, ...]) -> None:
    """Magnified, shrunk, over the edge: every pixel is the analytic image at the place that the matrix names."""
    save_wave(tmp_path / "a.png", 320, 240)
    write_pack(make_people(["a.png"], [box], (320, 240)), tmp_path, tmp_path / "pack", **SMALL)
    pack = CropPack.open(tmp_path / "pack")
    x, y = sources_of(pack.matrices[0], 48)
    step = 1 / pack.matrices[0][0, 0]
    inside = (x > step) & (x < 319 - step) & (y > step) & (y < 239 - step)
    outside = (x < -step - 1) | (x > 320 + step) | (y < -step - 1) | (y > 240 + step)
    assert inside.sum() > 300
    assert np.abs(pack.crops.pixels[0][inside] - wave(x, y)[inside]).max() < 3
    assert (pack.crops.pixels[0][outside] == MEAN_COLOUR).all()


def test_the_crop_is_extent_times_the_longer_side_of_the_grown_box(tmp_path: Path) -> None:
    boxes = np.array([[30, 40, 30, 80], [30, 40, 90, 80]], np.float32)
    matrices = crop_matrices(boxes, size=96, padding=1.25, extent=1.5, aspect=0.75)
    # grown to 3:4: 60 x 80 and 90 x 120; padded: heights of 100 and 150 px; the crop shows 150 and 225
    torch.testing.assert_close(matrices[:, 0, 0], torch.tensor([96 / 150, 96 / 225]))
    centres = torch.tensor([[[30 + 29 / 2, 40 + 79 / 2]], [[30 + 89 / 2, 40 + 79 / 2]]])
    torch.testing.assert_close(transform(matrices, centres), torch.full((2, 1, 2), 47.5), atol=1e-4, rtol=0)
    wide = crop_matrices(boxes, size=96, padding=1.0, extent=1.0, aspect=1.0)
    torch.testing.assert_close(wide[:, 0, 0], torch.tensor([96 / 80, 96 / 90]))


@pytest.mark.parametrize("scale", [0.15, 0.4, 0.9, 2.5])
def test_a_dot_is_where_the_matrix_maps_its_keypoint(tmp_path: Path, scale: float) -> None:
    size, (x, y) = 64, (131.3, 117.8)
    v, u = np.mgrid[:260, :260]
    spread = max(2.0, 1.5 / scale)
    dot = np.exp(-((u - x) ** 2 + (v - y) ** 2) / (2 * spread**2))
    Image.fromarray((255 * dot).round().astype(np.uint8)).save(tmp_path / "dot.png")
    side = size / scale / (1.25 * 1.5)
    points = np.full((1, 14, 2), (x, y))
    people = make_people(["dot.png"], [(126 - side / 2, 120 - side / 2, 0.75 * side, side)], (260, 260), points)
    write_pack(people, tmp_path, tmp_path / "pack", **SMALL | {"size": size})
    pack = CropPack.open(tmp_path / "pack")
    assert pack.matrices[0, 0, 0] == pytest.approx(min(1, scale), rel=1e-4)
    grey = pack.images([0])[0, 0].double()
    expected = pack.points([0])[0][0, 0].tolist()
    around = np.hypot(*(np.mgrid[:size, :size] - np.array(expected[::-1])[:, None, None])) < 4.5 * spread * scale
    weight = torch.from_numpy(around) * grey  # away from the dot, the mean colour outside is no part of it
    grid = torch.arange(size, dtype=torch.float64)
    found = [(weight.sum(0) * grid).sum() / weight.sum(), (weight.sum(1) * grid).sum() / weight.sum()]
    assert math.hypot(found[0] - expected[0], found[1] - expected[1]) < 0.1


@pytest.mark.parametrize("quality", [None, 100])
def test_a_small_person_is_cut_out_as_the_image_has_it(tmp_path: Path, quality: int | None) -> None:
    """Boxes that would be magnified, inside the image, over each edge, beside it: pixels of the image, mean colour outside."""
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    if quality:
        noise = np.kron(noise[::12, ::16], np.ones((12, 16, 1), np.uint8))  # blocks: little for a JPEG to change in the mean
    Image.fromarray(noise).save(tmp_path / "n.png")
    boxes = [(30.3, 20.4, 15, 20), (-5.2, -3.1, 12, 16), (70.6, 50.2, 15, 20), (33, 24, 10.5, 16.5), (-14.9, 10, 15, 20)]
    write_pack(make_people(["n.png"] * 5, boxes, (80, 60)), tmp_path, tmp_path / "pack", **SMALL | {"quality": quality})
    pack = CropPack.open(tmp_path / "pack")
    canvas = np.full((260, 280, 3), MEAN_COLOUR, np.uint8)
    canvas[100:160, 100:180] = noise
    for k, ((x, y, w, h), crop) in enumerate(zip(boxes, pack.images(np.arange(5)).permute(0, 2, 3, 1).numpy(), strict=True)):
        left, top = (-pack.matrices[k, :, 2]).astype(int)
        expected = canvas[100 + top : 148 + top, 100 + left : 148 + left]
        assert np.abs(crop.astype(int) - expected).mean() <= (5 if quality else 0)
        np.testing.assert_array_equal(pack.matrices[k], [[1, 0, -left], [0, 1, -top]])
        beside = (x + (w - 1) / 2 - left - 23.5, y + (h - 1) / 2 - top - 23.5)
        assert np.abs(beside).max() <= 0.5


def test_beside_the_image_there_is_mean_colour() -> None:
    """A box that lies off an image whose size the source could not read."""
    beside = np.array([[1, 0, -500], [0, 1, 7]], np.float32)
    assert (cutting.cut_out(Image.new("RGB", (80, 60)), beside, 48) == MEAN_COLOUR).all()


def test_the_view_of_a_crop_is_the_view_of_the_image(tmp_path: Path) -> None:
    """A small person's pixels are resampled once, as if the image itself were looked at; a shrunk one's twice. All lie where their boxes
    lie, in any order."""
    save_wave(tmp_path / "a.png", 200, 160)
    boxes, size = [(90.3, 41.6, 15, 20), (60.7, 30.2, 60, 80), (70.2, 90.9, 24, 30), (88, 22, 45, 70)], (64, 48)
    write_pack(make_people(["a.png"] * 4, boxes, (200, 160)), tmp_path, tmp_path / "pack", **SMALL | {"size": 96})
    order = [2, 1, 3, 0]
    crops = CropPack.open(tmp_path / "pack").read(order, size)
    image = torch.from_numpy(np.array(Image.open(tmp_path / "a.png").convert("RGB"))).permute(2, 0, 1)[None]
    expected = warp(image.repeat(4, 1, 1, 1), from_box(torch.tensor(boxes)[order], size, 1.25), size)
    difference = (warp(crops.pixels, crops.base, size) - expected).abs().amax(dim=(1, 2, 3))
    assert difference[[0, 3]].max() < 0.01
    assert 0.1 < difference[1:3].max() < 3


def test_a_small_person_in_a_large_image_is_looked_at_precisely(tmp_path: Path) -> None:
    """The base is exact where image coordinates are thousands, and a box is magnified thirtyfold."""
    Image.new("RGB", (9000, 300)).save(tmp_path / "a.png")
    box = (8123.25, 140.5, 6.0, 8.0)
    write_pack(make_people(["a.png"], [box], (9000, 300)), tmp_path, tmp_path / "pack", **SMALL)
    pack = CropPack.open(tmp_path / "pack")
    (base,), (matrix,) = pack.bases([0], (256, 192)).double(), torch.from_numpy(pack.matrices).double()
    scale = 256 / (1.25 * 8)
    centre = torch.tensor([box[0] + 2.5, box[1] + 3.5], dtype=torch.float64)
    expected = torch.tensor([95.5, 127.5], dtype=torch.float64) - scale * (centre + matrix[:, 2])
    torch.testing.assert_close(
        base, torch.tensor([[scale, 0, expected[0]], [0, scale, expected[1]]], dtype=torch.float64), atol=2e-3, rtol=0
    )


def test_shrinking_does_not_alias(tmp_path: Path) -> None:
    checkers = 255 * (np.indices((400, 400)).sum(0) % 2).astype(np.uint8)
    Image.fromarray(checkers).save(tmp_path / "c.png")
    people = make_people(["c.png"], [(125, 100, 150, 200)], (400, 400))
    write_pack(people, tmp_path, tmp_path / "pack", **SMALL)
    middle = CropPack.open(tmp_path / "pack").crops.pixels[0, 8:40, 8:40].astype(int)
    assert np.abs(middle - 127.5).max() < 12  # sampling without a filter gives 0 and 255


def test_images_and_points_of_positions(tmp_path: Path) -> None:
    save_wave(tmp_path / "a.png", 100, 80)
    points = np.random.default_rng(0).uniform(0, 80, (3, 14, 2))
    people = make_people(["a.png"] * 3, [(10, 10, 30, 40), (30, 20, 30, 40), (50, 30, 30, 40)], (100, 80), points)
    people.visibility[1, :3] = (0, 1, 2)
    write_pack(people, tmp_path, tmp_path / "pack", **SMALL)
    pack = CropPack.open(tmp_path / "pack")
    images = pack.images(np.array([2, 0]))
    assert images.shape == (2, 3, 48, 48)
    assert images.dtype == torch.uint8
    assert images.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_array_equal(images.permute(0, 2, 3, 1), pack.crops.pixels[[2, 0]])
    images.zero_()  # its own memory
    assert pack.images([2]).any()
    mapped, visible = pack.points(torch.tensor([1, 2]))
    assert mapped.shape == (2, 14, 2)
    assert visible.dtype == torch.float32
    assert visible[0, :4].tolist() == [0, 1, 1, 1]
    back = transform(invert(torch.from_numpy(pack.matrices[[1, 2]])), mapped)
    np.testing.assert_allclose(back, points[[1, 2]], atol=1e-3)
    assert (len(pack), pack.size, pack.padding, pack.extent, pack.aspect) == (3, 48, 1.25, 1.5, 0.75)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("quality", [None, 90])
def test_bytes_do_not_depend_on_the_number_of_processes(tmp_path: Path, quality: int | None) -> None:
    """More than two chunks of images, people of one image apart from each other, one image broken."""
    for i in range(140):
        Image.new("RGB", (20, 24), (37 * i % 256, 2 * i % 256, 7)).save(tmp_path / f"{i}.png")
    (tmp_path / "70.png").write_bytes(b"")
    names = [f"{i}.png" for i in (*range(140), 3, 70)]
    people = make_people(names, [(1 + 4 * (k % 3), 3, 10, 12) for k in range(142)], (20, 24))
    options = SMALL | {"size": 16, "max_broken": 1, "quality": quality}
    first = write_pack(people, tmp_path, tmp_path / "one", **options)
    second = write_pack(people, tmp_path, tmp_path / "two", **options | {"processes": 2})
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert first == second
    stored = {"crops.jpg", "index.npy"} if quality else {"crops.npy"}
    assert set(contents(tmp_path / "one")) == {"digests.npy", "matrices.npy", "pack.json", "people.npz"} | stored
    pack = CropPack.open(tmp_path / "two")
    red = pack.images(np.arange(140))[:, 0, 8, 8].int()
    expected = torch.tensor([37 * i % 256 for i in (*range(140), 3) if i != 70])
    assert (red - expected).abs().max() <= (12 if quality else 0)
    centres = np.einsum("nij,nj->ni", pack.matrices[:, :, :2], pack.people.boxes[:, :2] + (pack.people.boxes[:, 2:] - 1) / 2)
    np.testing.assert_allclose(centres + pack.matrices[:, :, 2], 7.5, atol=1, err_msg="each person's box is in the middle of its crop")


def test_a_jpeg_pack_holds_the_jpegs_of_the_raw_one(tmp_path: Path, real_data: Path) -> None:
    root = real_data / "lspet"
    people = read_lsp(root, "train", 500).subset(np.arange(20))
    for name, quality in (("raw", None), ("jpeg", 95)):
        write_pack(people, root, tmp_path / name, **SMALL | {"size": 128, "quality": quality})
    raw, jpeg = CropPack.open(tmp_path / "raw"), CropPack.open(tmp_path / "jpeg")
    order = np.array([7, 0, 19, 7])
    expected = []
    for crop in raw.crops.pixels[order]:
        Image.fromarray(crop).save(tmp_path / "crop.jpg", quality=95)
        expected.append(np.asarray(Image.open(tmp_path / "crop.jpg")))
    found = jpeg.images(order)
    np.testing.assert_array_equal(found.permute(0, 2, 3, 1), expected)
    assert 0 < (raw.images(order).float() - found.float()).abs().mean() < 2.5
    torch.testing.assert_close(raw.points(order), jpeg.points(order))
    assert 5 * (tmp_path / "jpeg" / "crops.jpg").stat().st_size < (tmp_path / "raw" / "crops.npy").stat().st_size


AGAIN = {  # what happened -> the images that the next writer decodes; 3 is broken, and tried each time
    "nothing": [3, *range(6, 12)],
    "a full disk": [3, *range(6, 12)],
    "a torn byte": [2, 3, *range(6, 12)],
    "a torn table": [*range(12)],
    "a changed image": [*range(12)],
    "changed labels": [*range(12)],
    "another recipe": [*range(12)],
    "all was cut": [],
    "all was cut, and a table damaged": [*range(12)],
    "all was cut, and labels changed": [*range(12)],
}


@pytest.mark.parametrize("quality", [None, 90])
@pytest.mark.parametrize(("after", "again"), AGAIN.items())
def test_a_killed_writer_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quality: int | None, after: str, again: list[int]
) -> None:
    """12 images, killed (or out of room) when the seventh is to be noted, or just before the pack takes its place."""
    for i in range(12):
        Image.new("RGB", (20, 24), (i, 20 * i, 7)).save(tmp_path / f"{i}.png")
    (tmp_path / "3.png").write_bytes(b"")
    people = make_people([f"{i}.png" for i in (*range(12), 2, 0)], [(2, 3, 10, 12)] * 14, (20, 24))
    options = SMALL | {"size": 16, "max_broken": 1, "quality": quality}
    expected = write_pack(people, tmp_path, tmp_path / "whole", **options)

    decoded: list[str] = []
    monkeypatch.setattr(cutting, "read_image", lambda path, *how, read=cutting.read_image: decoded.append(path.stem) or read(path, *how))

    def killed(self: Unfinished, *args: Any) -> Any:
        if after.startswith("all") or len(decoded) > 6:
            if after == "a full disk":
                raise OSError(errno.ENOSPC, "No space left on device")
            raise KeyboardInterrupt  # as a kill, it is handled nowhere
        return add(self, *args)

    add, partial = Unfinished.add, tmp_path / ".pack.partial"
    with monkeypatch.context() as patch:
        patch.setattr(*((writing, "place_pack") if after.startswith("all") else (Unfinished, "add")), killed)
        with pytest.raises(OSError if after == "a full disk" else KeyboardInterrupt):
            write_pack(people, tmp_path, tmp_path / "pack", **options)
    assert not (tmp_path / "pack").exists()
    crops = partial / ("crops.jpg" if quality else "crops.npy")
    if after == "a torn byte":  # in the second crop of image 2
        damaged = bytearray(crops.read_bytes())
        damaged[(np.load(partial / "index.npy")[12, 0] if quality else 128 + 12 * 16 * 16 * 3) + 200] ^= 1
        crops.write_bytes(damaged)
        again = [*range(2, 12)] if quality else again  # JPEGs lie in the order in which they were cut
    if after == "a torn table":
        os.truncate(partial / "digests.npy", (partial / "digests.npy").stat().st_size - 5)
    if after == "a changed image":
        os.utime(tmp_path / "5.png", ns=(1, 1))
    if after.endswith("damaged"):
        table = bytearray((partial / "matrices.npy").read_bytes())
        table[-1] ^= 1
        (partial / "matrices.npy").write_bytes(table)
    if "labels" in after:
        people = replace(people, visibility=people.visibility * 0)
    if after == "another recipe":
        options |= {"size": 18}
    if "labels" in after or after == "another recipe":
        expected = write_pack(people, tmp_path, tmp_path / "whole", **options)
    decoded.clear()
    assert write_pack(people, tmp_path, tmp_path / "pack", **options) == expected
    assert contents(tmp_path / "pack") == contents(tmp_path / "whole")
    assert decoded == [str(i) for i in again]
    assert not list(tmp_path.glob(".*"))


def save_jpeg(path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, quality=90)


@pytest.mark.parametrize("damage", ["truncated", "end missing", "empty", "text", "png cut"])
def test_broken_images_are_named_counted_and_left_out_with_their_people(tmp_path: Path, damage: str) -> None:
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        save_jpeg(tmp_path / name)
    whole = (tmp_path / "b.jpg").read_bytes()
    Image.open(tmp_path / "b.jpg").save(tmp_path / "b.png")
    png = (tmp_path / "b.png").read_bytes()
    broken = {
        "truncated": whole[: len(whole) // 2],
        "end missing": whole[:-200],
        "empty": b"",
        "text": b"<html>404</html>",
        "png cut": png[: len(png) // 2],
    }[damage]
    (tmp_path / "b.jpg").write_bytes(broken)
    people = make_people(["a.jpg", "b.jpg", "c.jpg", "b.jpg"], [(10, 10, 30, 40)] * 4, (80, 60))
    with pytest.raises(InputError, match=r"1 broken files, but data.max_broken = 0: .*b\.jpg \(.+\)"):
        write_pack(people, tmp_path, tmp_path / "pack", **SMALL)
    assert not (tmp_path / "pack").exists()
    summary = write_pack(people, tmp_path, tmp_path / "pack", **SMALL | {"max_broken": 1})
    assert summary["broken"] == ["b.jpg"]
    assert summary["people"] == summary["images"] == 2
    assert summary["dropped"] == {"broken image": 2}
    pack = CropPack.open(tmp_path / "pack")
    assert pack.people.ids.tolist() == [100, 102]
    assert pack.people.dropped == {"broken image": 2}
    assert pack.broken == ["b.jpg"]
    assert len(pack.crops.pixels) == len(pack.matrices) == 2
    np.testing.assert_array_equal(pack.crops.pixels[0], pack.crops.pixels[1])  # a and c are equal, so no row is a hole
    assert (pack.folder / "crops.npy").stat().st_size == 128 + 2 * 48 * 48 * 3
    pack.images([0, 1])  # have their digests


def test_nothing_but_broken_images_is_an_error_whatever_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"no")
    people = make_people(["a.jpg"], [(1, 1, 9, 9)], (20, 20))
    with pytest.raises(InputError, match="not an image file"):
        write_pack(people, tmp_path, tmp_path / "pack", **SMALL | {"max_broken": 9})


def test_a_missing_image_names_itself_its_annotation_and_the_remedy(tmp_path: Path) -> None:
    save_wave(tmp_path / "a.png", 40, 40)
    people = make_people(["a.png", "x/b.png", "x/b.png", "c.png"], [(5, 5, 20, 20)] * 4, (40, 40))
    with pytest.raises(InputError, match=r"x/b\.png: missing, but annotation 101 .*1 more.*data\.root"):
        write_pack(people, tmp_path, tmp_path / "pack", **SMALL | {"max_broken": 9})


@pytest.mark.parametrize("box", [(41, 5, 9, 9), (5, 40, 9, 9), (-20, 5, 20, 9), (5, 5, 0, 9), (5, 5, math.nan, 9), (0, 0, 1e6, 9)])
def test_a_box_beside_its_image_names_its_annotation(tmp_path: Path, box: tuple[float, ...]) -> None:
    save_wave(tmp_path / "a.png", 40, 40)
    people = make_people(["a.png", "a.png"], [(-5, -5, 50, 60), box], (40, 40))
    with pytest.raises(InputError, match=r"annotation 101: the box .* a\.png of 40 x 40 px"):
        write_pack(people, tmp_path, tmp_path / "pack", **SMALL)


@pytest.mark.parametrize("processes", [1, 2])
def test_an_image_of_another_size_than_annotated_is_refused(tmp_path: Path, processes: int) -> None:
    names = [f"{i}.png" for i in range(70)]
    for name in names:
        save_wave(tmp_path / name, 40, 40)
    save_wave(tmp_path / "66.png", 40, 50)
    people = make_people(names, [(5, 5, 20, 20)] * 70, (40, 40))
    with pytest.raises(InputError, match=r"66\.png: the image is 40 x 50 px, .* made for 40 x 40"):
        write_pack(people, tmp_path, tmp_path / "pack", **SMALL | {"size": 16, "processes": processes})


def test_a_full_disk_names_the_folder_and_the_bytes_needed(tmp_path: Path) -> None:
    save_wave(tmp_path / "a.png", 40, 40)
    people = make_people(["a.png"], [(5, 5, 20, 20)], (40, 40))
    with pytest.raises(OSError, match=r"30,000,000,000,000,000 bytes are needed, .*pack\.partial/crops\.npy"):
        write_pack(people, tmp_path, tmp_path / "pack", **SMALL | {"size": 100_000_000})


def test_a_pack_is_replaced_when_the_new_one_is_done_and_kept_when_it_fails(tmp_path: Path) -> None:
    save_wave(tmp_path / "a.png", 40, 40)
    people = make_people(["a.png"], [(5, 5, 20, 20)], (40, 40))
    (tmp_path / ".pack.partial").mkdir()  # left by a killed run
    (tmp_path / ".pack.partial" / "crops.npy").write_bytes(b"half")
    write_pack(people, tmp_path, tmp_path / "pack", **SMALL)
    before = contents(tmp_path / "pack")
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(InputError):
        write_pack(people, tmp_path, tmp_path / "pack", **SMALL)
    assert contents(tmp_path / "pack") == before
    save_wave(tmp_path / "a.png", 40, 40)
    write_pack(people, tmp_path, tmp_path / "pack", **SMALL | {"size": 32})
    assert CropPack.open(tmp_path / "pack").size == 32
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "pack"]


def test_opening_names_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"pack\.json: missing .*write the crop pack again"):
        CropPack.open(tmp_path / "pack")
    save_wave(tmp_path / "a.png", 40, 40)
    write_pack(make_people(["a.png"], [(5, 5, 20, 20)], (40, 40)), tmp_path, tmp_path / "pack", **SMALL)
    CropPack.open(tmp_path / "pack")
    table = (tmp_path / "pack" / "matrices.npy").read_bytes()
    (tmp_path / "pack" / "matrices.npy").write_bytes(table[:-1] + bytes([table[-1] ^ 1]))
    with pytest.raises(InputError, match="have changed"):
        CropPack.open(tmp_path / "pack")
    (tmp_path / "pack" / "matrices.npy").write_bytes(table)
    record = json.loads((tmp_path / "pack" / "pack.json").read_text())
    (tmp_path / "pack" / "pack.json").write_text(json.dumps(record | {"extent": 1.3}))
    with pytest.raises(InputError, match="have changed"):
        CropPack.open(tmp_path / "pack")
    (tmp_path / "pack" / "pack.json").write_text(json.dumps(record | {"count": 2}))
    with pytest.raises(InputError, match="do not fit each other"):
        CropPack.open(tmp_path / "pack")
    (tmp_path / "pack" / "pack.json").write_text("{")
    with pytest.raises(InputError, match="not a crop pack"):
        CropPack.open(tmp_path / "pack")


@pytest.mark.parametrize("quality", [None, 90])
def test_a_changed_byte_is_found_when_its_crop_is_read(tmp_path: Path, quality: int | None) -> None:
    save_wave(tmp_path / "a.png", 40, 40)
    write_pack(make_people(["a.png"] * 3, [(5, 5, 20, 20)] * 3, (40, 40)), tmp_path, tmp_path / "pack", **SMALL | {"quality": quality})
    whole = CropPack.open(tmp_path / "pack").images([2, 1, 0])
    with (tmp_path / "pack" / ("crops.jpg" if quality else "crops.npy")).open("r+b") as file:
        file.seek(-100, os.SEEK_END)
        changed = bytes([file.read(1)[0] ^ 1])
        file.seek(-100, os.SEEK_END)
        file.write(changed)
    pack = CropPack.open(tmp_path / "pack")
    assert torch.equal(pack.images([1, 0]), whole[1:])
    for positions in ([2], [0, 2, 1], [1, 2]):  # not forgotten, and not hidden by others
        with pytest.raises(InputError, match=r"crop 2 has changed since it was written; write the crop pack again"):
            pack.images(positions)
    assert torch.equal(pack.images([0, 0, 1]), whole[[2, 2, 1]])


def test_a_jpeg_pack_that_was_cut_off_is_not_opened(tmp_path: Path) -> None:
    save_wave(tmp_path / "a.png", 40, 40)
    write_pack(make_people(["a.png"], [(5, 5, 20, 20)], (40, 40)), tmp_path, tmp_path / "pack", **SMALL | {"quality": 90})
    (tmp_path / "pack" / "crops.jpg").write_bytes(b"short")
    with pytest.raises(InputError, match=r"crops\.jpg.* do not fit each other"):
        CropPack.open(tmp_path / "pack")


def test_grey_palette_and_oriented_images_are_read_as_stored(tmp_path: Path) -> None:
    grey = Image.fromarray(np.tile(np.arange(40, dtype=np.uint8) * 6, (30, 1)))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    grey.save(tmp_path / "g.png")
    grey.convert("P").save(tmp_path / "p.png")
    grey.convert("RGB").save(tmp_path / "o.jpg", quality=95, exif=exif)
    people = make_people(["g.png", "p.png", "o.jpg"], [(10, 5, 15, 20)] * 3, (40, 30))
    write_pack(people, tmp_path, tmp_path / "pack", **SMALL)
    crops = CropPack.open(tmp_path / "pack").crops.pixels.astype(int)
    assert np.abs(crops[0] - crops[1]).max() <= 3
    assert np.abs(crops[0] - crops[2]).max() <= 12


def triangle_weights(places: np.ndarray, step: float, start: int, count: int) -> np.ndarray:
    """[S, count]: what each of the pixels start, start + 1, ... gives to the crop pixels at these places."""
    weights = np.maximum(0, 1 - np.abs(places[:, None] - (start + np.arange(count))) / max(1.0, step))
    return weights / weights.sum(1, keepdims=True)


def cut_in_numpy(image: np.ndarray, matrix: np.ndarray, size: int) -> np.ndarray:
    """The crop [size, size, 3] by a triangle filter, as wide as a crop pixel where it shrinks, in double precision."""
    x, y = sources_of(matrix, size)
    step = float(1 / matrix[0, 0])
    left, top, side = int(x.min() - 2 * step - 3), int(y.min() - 2 * step - 3), int((size + 6) * step + 8)
    canvas = np.full((side, side, 3), MEAN_COLOUR, float)
    (height, width), (a, b) = image.shape[:2], (max(0, -left), max(0, -top))
    shown = image[max(0, top) : min(height, top + side), max(0, left) : min(width, left + side)]
    canvas[b : b + shown.shape[0], a : a + shown.shape[1]] = shown
    rows, columns = triangle_weights(y[:, 0], step, top, side), triangle_weights(x[0], step, left, side)
    return np.einsum("vy,yxc,ux->vuc", rows, canvas, columns, optimize=True)


@pytest.mark.parametrize("box", [(60, 50, 40, 60), (100.4, 80.7, 9.5, 14.2), (120.3, 90.2, 70, 100), (220, 10, 90, 60)])
def test_crops_of_noise_are_cut_as_a_triangle_filter_in_numpy_cuts_them(tmp_path: Path, box: tuple[float, ...]) -> None:
    """Noise up to the crop's own edges, whose pixels take part of what lies outside the crop."""
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "n.png")
    write_pack(make_people(["n.png"], [box], (320, 240)), tmp_path, tmp_path / "pack", **SMALL)
    pack = CropPack.open(tmp_path / "pack")
    assert np.abs(pack.crops.pixels[0] - cut_in_numpy(noise, pack.matrices[0], 48)).max() < 2


def test_real_people_are_cut_as_a_triangle_filter_in_numpy_cuts_them(tmp_path: Path, real_data: Path) -> None:
    root = real_data / "lspet"
    people = read_lsp(root, "train", 500).subset(np.arange(20))
    write_pack(people, root, tmp_path / "pack", **SMALL | {"size": 96})
    pack = CropPack.open(tmp_path / "pack")
    points, visible = pack.points(np.arange(20))
    assert ((points[visible > 0] > 0) & (points[visible > 0] < 95)).all()  # the box holds every visible joint
    for row in range(20):
        image = np.asarray(Image.open(root / people.images[row]).convert("RGB"))
        assert np.abs(pack.crops.pixels[row] - cut_in_numpy(image, pack.matrices[row], 96)).max() < 2


@pytest.mark.parametrize("header", [b"{'descr': '|u1', 'fortra", b"{'descr': (", b"\xff\xfe"])
def test_a_table_in_the_making_whose_header_is_damaged_begins_again(tmp_path: Path, header: bytes) -> None:
    """For some of them numpy raises tokenize.TokenError."""
    Unfinished(tmp_path / "pack", "key", (2, 8, 8, 3), jpeg=False)
    path = tmp_path / "pack/crops.npy"
    whole = path.read_bytes()
    path.write_bytes(whole[:10] + header + whole[10 + len(header) :])
    Unfinished(tmp_path / "pack", "key", (2, 8, 8, 3), jpeg=False)
    assert path.read_bytes() == whole
