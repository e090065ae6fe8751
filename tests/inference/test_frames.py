"""People of videos are suggested: against PyAV's own frames, with what is broken, and from one round to the next."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_suggest import folder, suggested  # noqa: F401
from typer.testing import CliRunner

from semipose.cli.app import app

av = pytest.importorskip("av")


def filmed(path: Path, seconds: int, seed: int) -> Path:
    """Ten frames a second, each of other squares."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(10 * seconds):
            cells = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8).repeat(8, axis=0).repeat(8, axis=1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(cells, format="rgb24")))
        container.mux(stream.encode())
    return path


def rows_of(out: Path) -> set[str]:
    with (out / "suggestions.csv").open() as file:
        return {row["file_name"] for row in csv.DictReader(file)}


def test_frames_of_videos_are_suggested_beside_images(folder: Path) -> None:  # noqa: F811
    clip = filmed(folder / "images/clip.mp4", 3, 0)
    other = filmed(folder / "more/clip.mp4", 2, 1)
    said = suggested(folder, str(folder / "more"), "--count", "18", "--every", "0.5")
    assert "18 of 18 people in 18 images" in said, "8 images, and frames 1, 6, 11 ... of 30 and 20"
    names = {f"out/frames/{where}/clip.mp4/{k:06d}.jpg" for where, end in (("images", 30), ("more", 20)) for k in range(1, end, 5)}
    assert rows_of(folder / "out") == {f"images/{k}.png" for k in range(8)} | names
    assert f"relative to {folder}\n" in said
    assert {image["file_name"] for image in json.loads((folder / "out/coco.json").read_text())["images"]} >= names
    for video in (clip, other):
        with av.open(str(video)) as container:
            frames = [frame.to_ndarray(format="rgb24").astype(float) for frame in container.decode(video=0)]
        for number in (1, 6, 16):
            saved = np.asarray(Image.open(folder / f"out/frames/{video.parent.name}/clip.mp4/{number:06d}.jpg"), float)
            apart = [np.abs(saved - frame).mean() for frame in frames]
            assert int(np.argmin(apart)) == number - 1
            assert min(apart) < 3, "grey levels"


def test_only_suggested_frames_stay_and_those_of_an_earlier_round_too(folder: Path) -> None:  # noqa: F811
    shutil.rmtree(folder / "images")
    filmed(folder / "images/clip.mp4", 4, 0)
    suggested(folder, "--count", "2")
    first = rows_of(folder / "out")
    assert len(first) == 2
    frames = folder / "out/frames"
    assert {path.relative_to(frames).as_posix() for path in frames.rglob("*.jpg")} == first
    assert not list((folder / "out").glob(".*")), "the others are removed"
    labels = json.loads((folder / "out/coco.json").read_text())
    for one in labels["annotations"]:
        one["keypoints"] = [2 if k % 3 == 2 else value for k, value in enumerate(one["keypoints"])]
    (folder / "set.json").write_text(json.dumps(labels))
    again = ["--labelled", str(folder / "set.json"), "--labelled-images", str(frames)]
    assert "2 of 2 people in 2 images" in suggested(folder, *again, "--count", "2")
    assert not rows_of(folder / "out") & first, "frames with labels are known by their bytes"
    assert len(list(frames.rglob("*.jpg"))) == 4, "somebody may be labelling those of the first round"


def test_what_goes_wrong_with_a_video_is_said(folder: Path) -> None:  # noqa: F811
    filmed(folder / "images/clip.mp4", 1, 0)
    (folder / "images/broken.mp4").write_bytes(b"no video")
    said = suggested(folder, "--count", "9")
    assert "broken.mp4 cannot be read and was left out" in said
    assert "9 of 9 people in 9 images" in said
    said = suggested(folder, "--count", "1", "--boxes", str(folder / "boxes.json"), code=1)
    assert "--boxes names people in images, and" in said
    (folder / "only").mkdir()
    (folder / "only/broken.mp4").write_bytes(b"no video")
    command = ["suggest", str(folder / "only"), "--weights", str(folder / "one.safetensors"), "--out", str(folder / "none")]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 1
    assert "no frame of the videos can be read" in done.output
    (folder / "only/broken.mp4").unlink()
    assert "no image and no video in this folder" in CliRunner().invoke(app, command).output
