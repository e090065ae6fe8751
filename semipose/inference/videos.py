"""Frames of a video file or of a webcam, and overlays written as a video. Needs PyAV."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from PIL import Image

from semipose.utils.errors import InputError
from semipose.utils.files import replacing

WEBCAM_RATE = Fraction(30)
TICKS = 90_000
"""Times of an overlay's frames are multiples of a fraction of
a second that fits every common frame rate.
"""
SUFFIXES = (
    ".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv",
    ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv",
)  # fmt: skip
"""Suffixes of files that are taken for videos without opening them;
other files are videos if they are not images.
"""


class Frame(NamedTuple):
    """An RGB frame, upright as the file's display matrix says; seconds from the beginning; number from 1."""

    image: Image.Image
    time: float
    number: int


class Add(Protocol):
    """Appends a frame that is shown from `time` (s) on."""

    def __call__(self, image: Image.Image, time: float) -> None: ...


@dataclass
class Video:
    """An opened video or webcam.

    Attributes:
        counted: Number of frames that the file says it has; 0 if unknown.
        seconds: Length that the file says it has; 0 if unknown.
        fault: Why the file cannot be decoded any further, set by `frames` and `chosen`.
    """

    source: str
    rate: Fraction
    counted: int
    seconds: Fraction
    container: Any = field(repr=False)
    read: int = 0
    until: Fraction = Fraction(0)  # s: the end of the last frame read
    fault: str = ""

    @property
    def promised(self) -> int:
        """Number of frames expected; approximate if the file gives only its length, or if its rate
        varies; 0 if unknown.
        """
        return self.counted or round(self.seconds * self.rate)

    @property
    def frames(self) -> Iterator[Frame]:
        """Yield the frames from the beginning, once.

        Raises:
            InputError: As `chosen`.
        """
        return self.chosen(lambda number, time: True)

    def chosen(self, wanted: Callable[[int, float], bool]) -> Iterator[Frame]:
        """Yield, once, the frames that are wanted by their number and time (s).
        Other frames are decoded, but no pictures are made of them.

        Raises:
            InputError: Not even the first frame can be decoded.
        """
        av = library()
        stream = self.container.streams.video[0]
        start = None if stream.start_time is None else stream.start_time * stream.time_base
        time = -1 / self.rate
        try:
            for frame in self.container.decode(stream):
                now = time + 1 / self.rate if frame.pts is None else frame.pts * frame.time_base
                start = now if start is None else start
                time = now if frame.pts is None else now - start
                self.read += 1
                self.until = time + max(1 / self.rate, frame.duration * frame.time_base if frame.duration else 0)
                if wanted(self.read, float(time)):
                    image = Image.fromarray(frame.to_ndarray(format="rgb24"))
                    yield Frame(image.rotate(frame.rotation, expand=True) if frame.rotation else image, float(time), self.read)
        except av.FFmpegError as error:
            self.fault = str(error.strerror or error)
        if not self.read:
            raise InputError(
                f"{self.source}: no frame can be decoded{f' ({self.fault})' if self.fault else ''}; the file is truncated or damaged"
            )

    @property
    def silent(self) -> bool:
        """Whether the file's format stores no length, as MPEG streams do: then nothing tells that a
        recording is cut off.
        """
        return self.container.format.name in ("mpegts", "mpeg")

    @property
    def shortfall(self) -> str:
        """After all frames were read: a sentence about what is missing,
        or "". Lengths can be off by a frame or two.
        """
        missing = self.counted > self.read if self.counted else self.seconds - self.until > max(2 / self.rate, self.seconds / 100)
        if not self.fault and not missing:
            return ""
        of = f" of {'' if self.counted else 'about '}{self.promised}" if self.promised > self.read else ""
        reason = f" ({self.fault})" if self.fault else ""
        return f"{self.source}: {self.read}{of} frames could be read; the recording is truncated or damaged{reason}"


@contextmanager
def opened(source: str) -> Iterator[Video]:
    """Open a video file, or the webcam with this number.

    Raises:
        InputError: It cannot be opened, or has no video stream.
    """
    av = library()
    webcam = source.isdigit()
    try:
        container = av.open(f"/dev/video{source}", format="v4l2") if webcam else av.open(source)
    except (av.FFmpegError, OSError, ValueError) as error:
        what = "webcam" if webcam else "video file"
        raise InputError(
            f"{source} cannot be opened as a {what}: {error}{'' if webcam else '; it is truncated or damaged, or no video'}"
        ) from None
    with container:
        if not container.streams.video:
            raise InputError(f"{source}: there is no video stream in this file")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        rate = stream.average_rate or WEBCAM_RATE
        counted, seconds = (0, Fraction(0)) if webcam else (stream.frames, _seconds(container, stream))
        yield Video(source, rate, counted, seconds, container)


@contextmanager
def written(path: Path, rate: Fraction) -> Iterator[Add]:
    """Write an MP4 (H.264), frame by frame.

    All frames get the size of the first, and odd sides lose their last pixel.

    Args:
        path: The file; it appears when it is complete.
        rate: Frames per second.

    Yields:
        A function that adds a frame.

    Raises:
        InputError: The file cannot be written, or PyAV is not installed.
    """
    av = library()
    try:
        with replacing(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
            stream: Any = None
            last = -1

            def add(image: Image.Image, time: float) -> None:
                nonlocal stream, last
                width, height = (side - side % 2 for side in image.size)
                if stream is None:
                    stream = container.add_stream("libx264", rate=rate)
                    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
                    stream.codec_context.time_base = Fraction(1, TICKS)
                    stream.codec_context.max_b_frames = 0  # with them, the file's duration is too short if frame times vary
                frame = av.VideoFrame.from_ndarray(np.asarray(image)[:height, :width], format="rgb24")
                last = max(round(time * TICKS), last + 1)  # a container needs each frame later than the one before
                frame.pts, frame.time_base = last, Fraction(1, TICKS)
                container.mux(stream.encode(frame))

            yield add
            if stream is not None:
                container.mux(stream.encode())
    except (av.FFmpegError, OSError) as error:
        raise InputError(f"{path} cannot be written: {error}") from None


def _seconds(container: Any, stream: Any) -> Fraction:
    """Length of the video stream as far as the file tells; 0 if unknown. Sound may be longer."""
    if stream.duration:
        return Fraction(stream.duration * stream.time_base)
    hours, _, rest = stream.metadata.get("DURATION", "").partition(":")  # Matroska's
    minutes, _, seconds = rest.partition(":")
    try:
        end = Fraction(hours) * 3600 + Fraction(minutes) * 60 + Fraction(seconds)
        return end - (stream.start_time or 0) * stream.time_base
    except ValueError:
        alone = len(container.streams) == 1 and container.duration
        return Fraction(container.duration, 1_000_000) if alone else Fraction(0)


def library() -> Any:
    """Import PyAV.

    Raises:
        InputError: It is not installed.
    """
    try:
        import av
    except ModuleNotFoundError:
        raise InputError("videos and webcams need PyAV; run pip install 'semipose[video]'") from None
    return av
