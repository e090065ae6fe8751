"""Frames of a video file or of a webcam, and overlays written as a video. Needs PyAV."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from semipose.utils.errors import InputError
from semipose.utils.files import replacing

WEBCAM_RATE = Fraction(30)


@contextmanager
def opened(source: str) -> Iterator[tuple[Iterator[Image.Image], Fraction, int]]:
    """Frames (RGB, upright as the file's display matrix says), frames per second, and how many there are (0: not known) of a video file,
    or of the webcam with this number. Raises InputError; also in the middle, where a file ends early."""
    av = _library()
    webcam = source.isdigit()
    try:
        container = av.open(f"/dev/video{source}", format="v4l2") if webcam else av.open(source)
    except (av.FFmpegError, OSError) as error:
        what = "webcam" if webcam else "video file"
        raise InputError(f"{source} cannot be opened as a {what}: {error}") from None
    with container:
        if not container.streams.video:
            raise InputError(f"{source}: there is no picture in this file")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"

        def frames() -> Iterator[Image.Image]:
            try:
                for frame in container.decode(stream):
                    image = Image.fromarray(frame.to_ndarray(format="rgb24"))
                    yield image.rotate(frame.rotation, expand=True) if frame.rotation else image
            except av.FFmpegError as error:
                raise InputError(f"{source}: cannot be read further: {error}") from None

        yield frames(), stream.average_rate or WEBCAM_RATE, 0 if webcam else stream.frames


@contextmanager
def written(path: Path, rate: Fraction) -> Iterator[Callable[[Image.Image], None]]:
    """A function that adds a frame to an MP4 (H.264). All frames have the size of the first; odd sides lose their last pixel."""
    av = _library()
    try:
        with replacing(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
            stream: Any = None

            def add(image: Image.Image) -> None:
                nonlocal stream
                width, height = (side - side % 2 for side in image.size)
                if stream is None:
                    stream = container.add_stream("libx264", rate=rate)
                    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
                frame = av.VideoFrame.from_ndarray(np.asarray(image)[:height, :width], format="rgb24")
                container.mux(stream.encode(frame))

            yield add
            if stream is not None:
                container.mux(stream.encode())
    except (av.FFmpegError, OSError) as error:
        raise InputError(f"{path} cannot be written: {error}") from None


def _library() -> Any:
    try:
        import av
    except ModuleNotFoundError:
        raise InputError("videos and webcams need PyAV: pip install 'semipose[video]'") from None
    return av
