"""Videos: whole, cut off, undecodable, with a variable frame rate, in many containers."""

import json
import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from semipose.cli.app import app
from semipose.config.network import Model
from semipose.models.network import build
from semipose.models.weight_file import network_metadata, save_network
from semipose.pose.skeleton import COCO17

av = pytest.importorskip("av")
videos = pytest.importorskip("semipose.inference.videos")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = Model(
        backbone="resnet18", options={"layers": [1, 1, 1, 1], "channels": [8, 8, 8, 8], "output_stride": 8},
        pretrained=False, frozen=[], height=32, width=32, head_channels=[8], sigma=1.0, networks=["net"],
    )  # fmt: skip
    path = tmp_path_factory.mktemp("weights") / "weights.safetensors"
    save_network(build(model, 17, seed=0), path, network_metadata(model, COCO17, 1.25))
    return path


def encoded(path: Path, count: int, codec: str = "libx264", times_ms: Sequence[int] = ()) -> Path:
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.options = 64, 48, "yuv420p", {"g": "10"}
        if times_ms:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(rng.integers(0, 255, (48, 64, 3), dtype=np.uint8), format="rgb24")
            if times_ms:
                frame.pts, frame.time_base = times_ms[number], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def predict(video: Path, weights: Path, out: Path, *more: str):
    return CliRunner().invoke(app, ["predict", str(video), "--weights", str(weights), "--out", str(out), *more])


@pytest.mark.parametrize(("suffix", "codec"), [("mkv", "libx264"), ("avi", "mpeg4")])
def test_a_recording_that_is_cut_off_says_how_much_was_read(tmp_path: Path, weights: Path, suffix: str, codec: str) -> None:
    whole = encoded(tmp_path / f"whole.{suffix}", 60, codec)
    with videos.opened(str(whole)) as video:
        assert len(list(video.frames)) == 60
        assert video.shortfall == ""
    half = tmp_path / f"half.{suffix}"
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    result = predict(half, weights, tmp_path / "out")
    assert result.exit_code == 0, result.output
    poses = json.loads((tmp_path / "out/predictions.json").read_text())
    assert 10 < len(poses) < 50
    about = "about " if suffix == "mkv" else ""
    assert f"semipose: warning: {half}: {len(poses)} of {about}60 frames could be read; the recording is truncated" in result.stderr
    strict = predict(half, weights, tmp_path / "strict", "--strict")
    assert strict.exit_code == 1
    assert "truncated" in strict.stderr
    assert not list((tmp_path / "strict").iterdir())
    assert predict(half, weights, tmp_path / "some", "--frames", "5", "--strict").exit_code == 0, "as many as were asked for"


def test_what_cannot_be_decoded_says_so(tmp_path: Path, weights: Path) -> None:
    whole = encoded(tmp_path / "whole.mkv", 60)
    nothing = tmp_path / "nothing.mkv"
    nothing.write_bytes(whole.read_bytes()[:700])
    result = predict(nothing, weights, tmp_path / "out")
    assert result.exit_code == 1
    assert "nothing.mkv" in result.stderr
    assert "decoded" in result.stderr or "cannot be opened as a video file" in result.stderr
    assert not list((tmp_path / "out").iterdir())
    without_index = encoded(tmp_path / "whole.mp4", 60)
    without_index.write_bytes(without_index.read_bytes()[: without_index.stat().st_size // 2])
    assert "cannot be opened as a video file: " in predict(without_index, weights, tmp_path / "mp4").stderr
    assert "truncated or damaged" in predict(without_index, weights, tmp_path / "mp4").stderr


def test_a_recording_that_starts_late_is_whole(tmp_path: Path, weights: Path) -> None:
    late = encoded(tmp_path / "late.mkv", 6, times_ms=[10_000 + 40 * k for k in range(6)])
    result = predict(late, weights, tmp_path / "out", "--strict")
    assert (result.exit_code, result.stderr) == (0, "")


def test_an_overlay_never_replaces_another_video_of_the_folder(tmp_path: Path, weights: Path) -> None:
    clip, other = encoded(tmp_path / "clip.mkv", 3), encoded(tmp_path / "clip.mp4", 2)
    before = other.read_bytes()
    result = predict(clip, weights, tmp_path)
    assert result.exit_code == 1
    assert "contains clip.mkv, the video itself; name another folder for its overlay" in result.stderr
    assert other.read_bytes() == before


def test_times_are_the_sources(tmp_path: Path, weights: Path) -> None:
    times = [0, 33, 66, 1066, 1100, 3000]
    result = predict(encoded(tmp_path / "vfr.mkv", 6, times_ms=times), weights, tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    poses = json.loads((tmp_path / "out/predictions.json").read_text())
    assert [one["time"] for one in poses] == pytest.approx([time / 1000 for time in times])
    with av.open(str(tmp_path / "out/vfr.mp4")) as overlay:
        shown = [float(frame.pts * frame.time_base) for frame in overlay.decode(video=0)]
        assert overlay.duration / 1e6 > 3, "as long as the source"
    assert np.subtract(shown, shown[0]) == pytest.approx([time / 1000 for time in times], abs=1e-4)


def test_a_phones_video_is_upright(tmp_path: Path) -> None:
    """A phone stores what its sensor sees and says in the header how to turn it: here to the right."""
    path = tmp_path / "phone.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stored = np.zeros((48, 64, 3), np.uint8)
        stored[:, :32] = 255  # the left half becomes the upper one
        container.mux(stream.encode(av.VideoFrame.from_ndarray(stored, format="rgb24")))
        container.mux(stream.encode())
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 44
    content[matrix : matrix + 36] = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 48 << 16, 0, 1 << 30)
    path.write_bytes(content)
    with videos.opened(str(path)) as video:
        (frame,) = video.frames
    assert frame.image.size == (48, 64)
    grey = np.asarray(frame.image.convert("L"))
    assert grey[:28].min() > 200
    assert grey[36:].max() < 50


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mpg", "mpeg2video"), ("a.ts", "libx264"), ("a.m4v", "libx264"), ("a.webm", "libvpx"), ("a.nut", "mpeg4"), ("a.MOV", "libx264")],
)
def test_whatever_pyav_opens_is_a_video(tmp_path: Path, weights: Path, name: str, codec: str) -> None:
    if codec not in av.codecs_available:
        pytest.skip(f"this build of PyAV has no {codec}")
    result = predict(encoded(tmp_path / name, 12, codec), weights, tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    poses = json.loads((tmp_path / "out/predictions.json").read_text())
    assert len(poses) == 12
    assert ("its format has no length, so it may have been cut off" in result.stdout) == (name in ("a.mpg", "a.ts"))
    assert poses[0]["time"] == 0
    within = 0.05 if name == "a.mpg" else 2e-3  # an MPEG program stream has times of some frames only
    assert [one["time"] for one in poses] == pytest.approx([k / 25 for k in range(12)], abs=within)


def test_an_image_of_an_unknown_suffix_is_an_image(tmp_path: Path, weights: Path) -> None:
    Image.new("RGB", (60, 40)).save(tmp_path / "a.ppm")
    result = predict(tmp_path / "a.ppm", weights, tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "1 poses in 1 images" in result.output
