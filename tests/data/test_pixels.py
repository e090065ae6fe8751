"""Pixels of every kind and orientation, against Pillow's own turning and the 8-bit picture that they were made from."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from semipose.data.pixels import BrokenImage, UndecidedExif, as_shown, image_size, read_image

GREY = np.tile(np.linspace(20, 240, 40).astype(np.uint8), (30, 1))
PHOTO = Image.fromarray(np.stack([GREY, GREY[::-1], np.flipud(GREY) // 2], axis=2))


@pytest.mark.parametrize(
    ("name", "levels"),
    [
        ("a.png", GREY.astype(np.uint16) * 257),
        ("a.tif", GREY.astype(np.uint16) * 257),
        ("twelve.png", GREY.astype(np.uint16) * 16),
        ("eight.tif", GREY.astype(np.int32)),
        ("i.tif", GREY.astype(np.int32) * 257),
        ("large.tif", GREY.astype(np.int32) * 2**23),
        ("one.tif", GREY.astype(np.float32) / 255),
        ("f.tif", GREY.astype(np.float32)),
    ],
)
def test_grey_levels_of_any_depth_are_those_of_8_bits(tmp_path: Path, name: str, levels: np.ndarray) -> None:
    Image.fromarray(levels).save(tmp_path / name)
    found = np.asarray(read_image(tmp_path / name)).astype(int)
    assert np.abs(found - GREY[..., None]).max() <= 2


@pytest.mark.parametrize("mode", ["L", "P", "1", "CMYK", "LA", "RGBA", "YCbCr"])
def test_other_kinds_look_as_the_picture_that_they_were_made_from(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("a.jpg" if mode == "YCbCr" else "a.tif" if mode == "CMYK" else "a.png")
    made = PHOTO.convert(mode)
    made.save(path, **({"quality": 98} if mode == "YCbCr" else {}))
    assert np.abs(np.asarray(read_image(path)).astype(int) - np.asarray(made.convert("RGB"))).max() <= 6
    assert np.array_equal(np.asarray(as_shown(Image.open(path))), np.asarray(read_image(path)))


def test_what_is_transparent_is_white(tmp_path: Path) -> None:
    made = PHOTO.convert("RGBA")
    made.putalpha(Image.fromarray(np.where(GREY < 100, 0, 255).astype(np.uint8)))
    made.save(tmp_path / "a.png")
    assert np.array_equal(np.asarray(read_image(tmp_path / "a.png")), np.where(GREY[..., None] < 100, 255, np.asarray(PHOTO)))
    palette = Image.fromarray(GREY).convert("P")
    palette.save(tmp_path / "p.png", transparency=int(np.asarray(palette)[0, 0]))
    assert np.asarray(read_image(tmp_path / "p.png"))[0, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize(
    ("name", "levels", "words"),
    [
        ("a.tif", GREY.astype(np.int32) - 100, "int32 numbers from -80 to 140, must be finite and not negative"),
        ("a.tif", GREY.astype(np.float32) / 20, "float32 numbers from 1 to 12, must be 0 to 1 or 0 to 255"),
        ("a.tif", GREY.astype(np.float32) * 100, "must be 0 to 1 or 0 to 255"),
        ("a.tif", np.where(GREY > 200, np.nan, GREY / 255).astype(np.float32), "must be finite"),
        ("a.png", GREY.astype(np.uint16) + 29_000, "uint16 numbers from 29020 to 29240, which as 8 bits would be one grey"),
        ("a.png", np.dstack([GREY, GREY, GREY, 0 * GREY]), "every pixel is transparent"),
    ],
)
def test_what_would_be_white_or_black_is_refused_by_name(tmp_path: Path, name: str, levels: np.ndarray, words: str) -> None:
    Image.fromarray(levels).save(tmp_path / name)
    with pytest.raises(BrokenImage, match=words):
        read_image(tmp_path / name)


def saved(folder: Path, orientation: int, suffix: str) -> Path:
    exif = Image.Exif()
    exif[0x0112] = orientation
    PHOTO.save(folder / f"a{suffix}", exif=exif, **({"quality": 98} if suffix != ".tif" else {}))
    return folder / f"a{suffix}"


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientations(tmp_path: Path, orientation: int, suffix: str) -> None:
    path, stored, other = saved(tmp_path, orientation, suffix), (40, 30), (30, 40)
    with Image.open(path) as image:
        turned = ImageOps.exif_transpose(image).convert("RGB")
    assert np.array_equal(np.asarray(read_image(path, exif="apply")), np.asarray(turned))
    assert np.array_equal(np.asarray(as_shown(Image.open(path))), np.asarray(turned))
    as_stored = np.asarray(read_image(path, exif="ignore")).astype(int)
    assert np.abs(as_stored - np.asarray(PHOTO)).max() <= 40
    assert np.abs(as_stored - np.asarray(PHOTO)).mean() < 6
    assert image_size(path, "apply") == turned.size
    assert image_size(path, "ignore") == stored
    if orientation == 1:
        assert read_image(path).size == image_size(path) == stored
        return
    with pytest.raises(UndecidedExif, match=r"EXIF orientation .*data\.exif"):
        image_size(path)
    if orientation >= 5:
        assert (read_image(path, stored).size, read_image(path, other).size) == (stored, other)
    else:
        with pytest.raises(UndecidedExif, match=r"EXIF orientation .*data\.exif"):
            read_image(path, stored)


def test_a_damaged_orientation_is_none(tmp_path: Path) -> None:
    PHOTO.save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff")
    assert read_image(tmp_path / "a.jpg").size == (40, 30)
