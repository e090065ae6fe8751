"""People in folders of images and videos: who is found, who is left out and why, and what a kill or a broken file leaves."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

from semipose.config.data import Media, Unlabelled
from semipose.data.alike import Distinct, difference
from semipose.data.blur import blur
from semipose.data.loading.pack import CropPack
from semipose.data.packing.writing import Recipe, write_pack
from semipose.data.pixels import UndecidedExif
from semipose.data.sources.media import read_media
from semipose.inference import media as media_files
from semipose.inference import people
from semipose.inference.people import Search, find_people
from semipose.pose.skeleton import FLIC11
from semipose.utils.errors import InputError

av = pytest.importorskip("av")
SETTINGS = {"folders": ["."], "detector": None, "weights": None, "score": 0.5, "every": 0.2, "blur": 0.7, "near": 4.0}


def noise(seed: int, width: int = 64, height: int = 48, cell: int = 4) -> Image.Image:
    """Sharp squares that are like those of no other seed."""
    cells = np.random.default_rng(seed).integers(0, 256, (height // cell, width // cell, 3), dtype=np.uint8)
    return Image.fromarray(cells.repeat(cell, axis=0).repeat(cell, axis=1))


def video(path: Path, pictures: Sequence[Image.Image], rate: int = 10) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height = pictures[0].size
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "5"}
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_image(picture)))
        container.mux(stream.encode())
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A video of 10 frames a second of ten pictures, each two frames long; two photos; one in a folder; what is no picture."""
    folder = tmp_path / "own"
    video(folder / "clips/a.mp4", [noise(k // 2) for k in range(20)])
    for number in (2, 10):
        noise(100 + number).save(folder / f"img{number}.png")
    (folder / "more").mkdir()
    noise(200).save(folder / "more/b.png")
    (folder / "notes.txt").write_text("no picture")
    (folder / "more/._b.png").write_bytes(b"macOS")
    return folder


def search(root: Path, **more: Any) -> Search:
    own = {key: more.pop(key) for key in SETTINGS.keys() - {"score", "weights"} if key in more}
    media = Media.model_validate(SETTINGS | own)
    return replace(Search(root, media, None, 0.0, None, "apply", 64, 0), **more)


def names(found: dict[str, Any]) -> list[str]:
    return [f"{person['of']}{'#' + str(person['frame']) if 'frame' in person else ''}" for person in found["people"]]


def packed(find: Search, folder: Path) -> CropPack:
    find_people(find, folder / "found")
    table = read_media(folder / "found/people.json", FLIC11)
    write_pack(table, folder / "found", folder / "pack", Recipe(32, 1.25, 1.2, 1.0, exif=find.exif), 0, 1)
    return CropPack.open(folder / "pack")


def test_frames_and_images_become_one_person_each(root: Path, tmp_path: Path) -> None:
    found = find_people(search(root), tmp_path / "found")
    frames = [f"clips/a.mp4#{number}" for number in range(1, 21, 2)]
    assert names(found) == [*frames, "img2.png", "img10.png", "more/b.png"], "in natural order; a frame each 0.2 s"
    assert (found["left_out"], found["broken"], found["cut_off"], found["others"]) == ({}, {}, {}, 1)
    assert [person["bbox"] for person in found["people"]] == [[0, 0, 64, 48]] * 13
    assert found["people"][1] == found["people"][1] | {"time": 0.2, "width": 64, "height": 48, "score": 1}
    for person, seed in zip(found["people"], [*range(10), 102, 110, 200], strict=True):
        shown = np.asarray(Image.open(tmp_path / "found" / person["file_name"]).convert("L"), int)
        assert np.abs(shown - np.asarray(noise(seed).convert("L"))).mean() < 6, person["file_name"]
    assert names(find_people(search(root, folders=["more", "more/"]), tmp_path / "more")) == ["more/b.png"]


def test_what_was_shown_before_and_what_is_blurred_is_left_out_and_counted(root: Path, tmp_path: Path) -> None:
    video(root / "later.mp4", [noise(3), noise(77).filter(ImageFilter.GaussianBlur(4)), Image.new("RGB", (64, 48), "navy"), noise(78)])
    found = find_people(search(root, every=0.0), tmp_path / "found")
    assert found["left_out"] == {"near-duplicate": 10 + 1, "blurred": 1, "flat": 1}, "each second frame of the first video; one of both"
    assert [name for name in names(found) if name.startswith("later")] == ["later.mp4#4"]
    assert not (tmp_path / "found/frames/later.mp4/000001.png").exists(), "frames that show nobody are not kept"
    everyone = find_people(search(root, every=0.0, blur=1.0, near=0.0), tmp_path / "all")
    assert (len(everyone["people"]), everyone["left_out"]) == (20 + 3 + 4, {})


def test_boxes_come_from_a_file(root: Path, tmp_path: Path) -> None:
    given = [
        {"file_name": "clips\\a.mp4", "frame": 7, "bbox": [4, 5, 20, 30], "score": 0.9},
        {"file_name": "a.mp4", "frame": 7, "bbox": [30, 5, 20, 30]},
        {"file_name": "a.mp4", "frame": 8, "bbox": [30, 5, 20, 30], "score": 0.1},
        {"file_name": "b.png", "bbox": [-5, 0, 40, 40]},
    ]
    (tmp_path / "boxes.json").write_text(json.dumps(given))
    find = search(root, boxes=tmp_path / "boxes.json", score=0.2, exif=None)
    found = find_people(find, tmp_path / "found")
    assert names(found) == ["clips/a.mp4#7", "clips/a.mp4#7", "more/b.png"]
    assert [person["bbox"] for person in found["people"]] == [given[k]["bbox"] for k in (0, 1, 3)]
    assert found["left_out"] == {"low score": 1}
    table = read_media(tmp_path / "found/people.json", FLIC11)
    assert table.image_ids.tolist() == [1, 1, 2]
    assert (table.dropped, table.visibility.max()) == ({"low score": 1}, 0)

    for wrong, message in (
        ({"file_name": "c.png", "bbox": [0, 0, 9, 9]}, r"\[4\]: file_name 'c.png' is none of the 4 images and videos, such as clips/a.mp4"),
        ({"image_id": 3, "bbox": [0, 0, 9, 9]}, r"\[4\]: has no file_name"),
        ({"file_name": "a.mp4", "bbox": [0, 0, 9, 9]}, r"\[4\]: a.mp4 is a video: give `frame`"),
        ({"file_name": "b.png", "frame": 1, "bbox": [0, 0, 9, 9]}, r"\[4\]: b.png is an image, which has no `frame`"),
        ({"file_name": "b.png", "bbox": [0, 0, 0, 9]}, r"\[4\]: bbox: .* width and height above 0"),
        ({"file_name": "b.png", "bbox": [90, 0, 9, 9]}, r"boxes.json: more/b.png: box \[1\]: .* is outside the image of 64 x 48"),
        ({"file_name": "a.mp4", "frame": 99, "bbox": [0, 0, 9, 9]}, r"box in frame 99 of clips/a.mp4, which ends before"),
        ({"file_name": "b.png", "category_id": 2, "bbox": [0, 0, 9, 9]}, r"category_id: has 1, 2"),
    ):
        (tmp_path / "boxes.json").write_text(json.dumps([*given, wrong]))
        with pytest.raises(InputError, match=message):
            find_people(find, tmp_path / "wrong")
    (root / "more/a.mp4").write_bytes((root / "clips/a.mp4").read_bytes())
    (tmp_path / "boxes.json").write_text(json.dumps(given))
    with pytest.raises(InputError, match=r"\[1\]: file_name 'a.mp4' may be clips/a.mp4 or more/a.mp4; give its path"):
        find_people(find, tmp_path / "wrong")


def test_a_detector_finds_people(root: Path, tmp_path: Path) -> None:
    """With random weights it finds boxes of no meaning; what counts is that they are its own, of people, and on the picture."""
    import torch
    from torchvision.models import detection

    torch.manual_seed(0)
    net = detection.fasterrcnn_mobilenet_v3_large_fpn(weights=None, weights_backbone=None, num_classes=91)
    torch.nn.init.constant_(net.roi_heads.box_predictor.cls_score.bias, -9)
    torch.nn.init.constant_(net.roi_heads.box_predictor.cls_score.bias[1], 9)
    torch.save(net.state_dict(), tmp_path / "detector.pth")
    some = search(root, folders=["more"], detector="small", weights=tmp_path / "detector.pth", near=0.0, blur=1.0)
    found = find_people(some, tmp_path / "found")
    assert len(found["people"]) > 1
    for person in found["people"]:
        x, y, width, height = person["bbox"]
        assert person["score"] >= 0.5
        assert min(x, y, width, height) >= 0
        assert x + width <= 64.01
        assert y + height <= 48.01
    with pytest.raises(InputError, match=r"data\.unlabelled\.media\.weights .*notes\.txt is not this detector's file"):
        find_people(replace(some, weights=root / "notes.txt"), tmp_path / "wrong")


def test_broken_files_are_named_and_counted_up_to_a_limit(root: Path, tmp_path: Path) -> None:
    (root / "img11.png").write_bytes((root / "img10.png").read_bytes()[:900])
    (root / "z.mp4").write_bytes(b"no video")
    found = find_people(search(root, max_broken=2), tmp_path / "found")
    assert list(found["broken"]) == ["img11.png", "z.mp4"]
    assert len(found["people"]) == 13
    for _ in range(2):  # the second time it goes on from the journal, which has all files
        with pytest.raises(InputError, match=r"2 broken files, but data.max_broken = 1: .*img11.png .*; .*z.mp4"):
            find_people(search(root, max_broken=1), tmp_path / "strict")
    assert find_people(search(root, max_broken=2), tmp_path / "strict") == found
    with pytest.raises(InputError, match=r"no image and no video there"):
        find_people(search(root, folders=["nothing"]), tmp_path / "none")
    with pytest.raises(InputError, match=r"nobody is left \(13 blurred\)"):
        find_people(search(root, blur=0.0, max_broken=2), tmp_path / "nobody")


def test_a_recording_that_is_cut_off_gives_what_it_has(root: Path, tmp_path: Path) -> None:
    whole = video(tmp_path / "whole.mkv", [noise(k) for k in range(60)])
    (root / "half.mkv").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    found = find_people(search(root, every=0.0), tmp_path / "found")
    assert "frames could be read; the recording is truncated" in found["cut_off"]["half.mkv"]
    assert 5 < sum(name.startswith("half") for name in names(found)) < 50
    (tmp_path / "boxes.json").write_text(json.dumps([{"file_name": "half.mkv", "frame": k, "bbox": [0, 0, 60, 40]} for k in (1, 60)]))
    by_boxes = find_people(search(root, boxes=tmp_path / "boxes.json"), tmp_path / "by boxes")
    assert (names(by_boxes), by_boxes["left_out"]) == (["half.mkv#1"], {"behind the end": 1})


def test_exif_is_that_of_the_pack(root: Path, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    (root / "turned").mkdir()
    noise(5).save(root / "turned/a.jpg", exif=exif, quality=95)
    for rule, size in (("apply", (48, 64)), ("ignore", (64, 48))):
        pack = packed(search(root, folders=["turned"], exif=rule), tmp_path / rule)
        assert tuple(pack.people.sizes[0]) == size
    with pytest.raises(UndecidedExif, match=r"data\.exif"):
        find_people(search(root, folders=["turned"], exif=None), tmp_path / "found")


def test_the_same_media_give_the_same_pack_wherever_they_lie_and_however_often_it_was_killed(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video(root / "clips/b.mp4", [noise(k % 7 + 5) for k in range(20)])
    whole = packed(search(root), tmp_path / "whole")
    (tmp_path / "moved").mkdir()
    root = root.rename(tmp_path / "moved/own")

    class Killed(BaseException):
        pass

    read: list[str] = []
    of_video, of_image = media_files.of_video, media_files.of_image

    def frames(where: Path, name: str, *more: Any) -> Any:
        for picture in of_video(where, name, *more):
            read.append(f"{name}#{picture.frame}")
            if len(read) in (4, 14, 29):
                raise Killed
            yield picture

    def image(where: Path, name: str, *more: Any) -> Any:
        read.append(name)
        if len(read) == 40:
            raise Killed
        return of_image(where, name, *more)

    monkeypatch.setattr(people.media, "of_video", frames)
    monkeypatch.setattr(people.media, "of_image", image)
    for attempt in range(5):
        if attempt < 4:
            with pytest.raises(Killed):
                packed(search(root), tmp_path / "killed")
    with (tmp_path / "killed/found/found.jsonl").open("a") as journal:
        journal.write('{"people": [')  # as a kill in the middle of a line leaves it
    again = packed(search(root), tmp_path / "killed")
    assert again.digest == whole.digest
    assert (tmp_path / "killed/pack/crops.npy").read_bytes() == (tmp_path / "whole/pack/crops.npy").read_bytes()
    assert read.count("clips/b.mp4#1") < read.count("clips/a.mp4#1") + 3
    count = len(read)
    find_people(search(root), tmp_path / "killed/found")
    assert len(read) == count, "what was found is not looked for again"
    noise(999).save(root / "img2.png")
    find_people(search(root), tmp_path / "killed/found")
    assert len(read) > count, "other files are"


def test_blur_is_the_published_measure() -> None:
    """Crete et al. 2007, written out pixel by pixel."""

    def one_way(levels: np.ndarray) -> float:
        before = after = 0.0
        for column in levels.astype(float).T:
            padded = [column[0]] * 4 + list(column) + [column[-1]] * 4
            smooth = [sum(padded[k : k + 9]) / 9 for k in range(len(column))]
            for k in range(1, len(column)):
                own = abs(column[k] - column[k - 1])
                before += own
                after += max(0.0, own - abs(smooth[k] - smooth[k - 1]))
        return (before - after) / before

    sharp = noise(0).convert("L")
    for picture in (
        sharp,
        sharp.filter(ImageFilter.GaussianBlur(2)),
        sharp.filter(ImageFilter.Kernel((5, 5), [0] * 10 + [1] * 5 + [0] * 10)),
    ):
        levels = np.asarray(picture)
        assert blur(picture) == pytest.approx(max(one_way(levels), one_way(levels.T)))
    assert blur(sharp) < blur(sharp.filter(ImageFilter.GaussianBlur(1))) < blur(sharp.filter(ImageFilter.GaussianBlur(3)))
    assert blur(Image.new("L", (30, 20), 7)) == 1


def test_distinct_thumbnails_are_those_that_a_plain_search_keeps() -> None:
    rng = np.random.default_rng(1)
    bases = rng.integers(0, 256, (20, 32, 32))
    changes = [rng.integers(-12, 13, (32, 32)) if k % 3 else np.full((32, 32), k % 7) for k in range(90)]  # noise; another brightness
    thumbs = [np.clip(bases[k % 20] + change, 0, 255).astype(np.uint8) for k, change in enumerate(changes)]
    for near in (0.0, 5.5, 7.0, 100.0):
        distinct, kept = Distinct(near), []
        for thumb in thumbs:
            alone = all(difference(thumb, other) >= near for other in kept)
            assert distinct.add(thumb) == alone
            kept += [thumb] if alone else []
        assert len(kept) == {0.0: 90, 100.0: 1}.get(near, len(kept))
        assert distinct.count == len(kept)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"root": None}, r"data\.unlabelled\.root and data\.unlabelled\.media must say"),
        ({"media": None}, r"data\.unlabelled\.root and data\.unlabelled\.media must say"),
        ({"source": "flic"}, r"data\.unlabelled\.media must be null for source: flic"),
        ({"media": {"weights": "w.pth"}}, r"weights are a detector's"),
        ({"media": {"folders": ["../elsewhere"]}}, r"\.\./elsewhere must be a folder below"),
        ({"media": {"folders": ["/elsewhere"]}}, r"/elsewhere must be a folder below"),
        ({"media": {"detector": "small"}, "detections": {"file": "b.json", "score": 0.0}}, r"both say who is in a picture"),
    ],
)
def test_params_that_do_not_belong_together_are_refused(change: dict[str, Any], message: str) -> None:
    whole: dict[str, Any] = {"source": "media", "root": "own", "detections": None, "media": SETTINGS}
    Unlabelled.model_validate(whole)
    if change.get("media"):
        change = change | {"media": SETTINGS | change["media"]}
    with pytest.raises(ValueError, match=message):
        Unlabelled.model_validate(whole | change)
