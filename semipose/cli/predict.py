"""`semipose predict`: poses in images, a video or a webcam's stream."""

import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import tee
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import typer

from semipose.data.names import check_name
from semipose.utils.console import make_folder, reported, warn
from semipose.utils.errors import InputError
from semipose.utils.files import read_json, write_json

if TYPE_CHECKING:
    from semipose.data.pixels import Exif
    from semipose.inference.boxes import Asked
    from semipose.inference.poser import Poser
    from semipose.inference.shots import Detect, Shot

SOME_LEFT_OUT = 3
"""Exit code: done, except for images that cannot be read."""
LOW = 0.3
"""Mean confidence of a pose's joints below which it is probably wrong."""


class Found(NamedTuple):
    """The results, the number of images or frames processed, and whether Ctrl-C stopped the work."""

    results: list[dict[str, Any]]
    seen: int
    stopped: bool


def predict(
    images: Annotated[
        list[str], typer.Argument(help="Images or folders of images; or one video, or the number of a webcam.", metavar="IMAGES...")
    ],
    weights: Annotated[Path, typer.Option(help="A weights.safetensors that the pipeline wrote.", metavar="W")],
    out: Annotated[Path, typer.Option(help="Folder for the overlays and predictions.json.", metavar="DIR")],
    annotations: Annotated[
        Path | None,
        typer.Option(help="COCO-format set of the images: gives ids, and people if neither --boxes nor --detect is used.", metavar="SET"),
    ] = None,
    category: Annotated[str | None, typer.Option(help="Category of SET. Default: the only one with joints.", metavar="NAME")] = None,
    boxes: Annotated[
        Path | None,
        typer.Option(help="JSON list of {file_name or image_id, bbox (xywh px), score}, one for each person.", metavar="FILE"),
    ] = None,
    detect: Annotated[
        Literal["small", "large"] | None,
        typer.Option(
            help="Find people with a detector of torchvision. Without --detect, --boxes and --annotations, one person fills each image."
        ),
    ] = None,
    detector_weights: Annotated[
        Path | None, typer.Option(help="Weight file of the detector. Default: downloaded once.", metavar="FILE")
    ] = None,
    detector_score: Annotated[float, typer.Option(min=0, max=1, help="Leave out people whose detection score is lower.")] = 0.5,
    flip_test: Annotated[
        bool | None,
        typer.Option(
            "--flip-test/--no-flip-test", help="Average an image and its mirror image. Default: as in the evaluation of the weights."
        ),
    ] = None,
    decode: Annotated[
        Literal["quarter", "dark"] | None,
        typer.Option(help="How to decode a heatmap to a point. Default: as in the evaluation of the weights."),
    ] = None,
    exif: Annotated[
        Literal["apply", "ignore"] | None,
        typer.Option(help="Apply or ignore the EXIF orientation. Default: apply; with --annotations, whichever fits the annotated sizes."),
    ] = None,
    heatmaps: Annotated[bool, typer.Option("--heatmaps", help="Also write each person's crop with its heatmaps.")] = False,
    batch_size: Annotated[int, typer.Option(min=1, help="People per pass of the network.")] = 32,
    frames: Annotated[int | None, typer.Option(min=1, help="Process at most this many frames (video or webcam).")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at an unreadable image or a truncated video.")] = False,
) -> None:
    """Find poses in images or a video, and write overlays and predictions.json (COCO results).

    Examples: semipose predict photos/ --detect small --weights W --out poses;
    semipose predict clip.mp4 --weights W --out poses;
    semipose predict val2017/ --annotations person_keypoints_val2017.json --weights W --out poses
    """
    with reported():
        from semipose.inference.photos import find_photos
        from semipose.inference.poser import Poser

        check_name(out)
        _check_replaced(out / "predictions.json")
        video = next((one for one in images if _is_moving(one)), None)
        _check_together(images, video, annotations, boxes, detect)
        paths = [] if video else find_photos(map(Path, images))
        poser = Poser.load(weights, flip_test=flip_test, batch_size=batch_size, decode=decode)
        find = detector_of(detect, detector_weights, detector_score, poser) if detect else None
        if video:
            _video(video, poser, find, out, frames, heatmaps, strict)
            return
        asked = _asked(paths, annotations, category, boxes, poser.clamped, detect is not None)
        if _photos(asked, exif or (None if annotations or boxes else "apply"), poser, find, out, heatmaps, strict):
            raise typer.Exit(SOME_LEFT_OUT)


def _check_replaced(path: Path) -> None:
    """Refuse to replace results that `predict` did not write; its own have a file name beside each pose."""
    if not path.exists():
        return
    try:
        found = read_json(path)
    except InputError:
        found = None
    own = isinstance(found, list) and all(isinstance(one, dict) and {"file_name", "keypoints", "score"} <= one.keys() for one in found)
    if not own:
        raise InputError(f"{path} was not written by semipose predict, and would be replaced; name another folder for --out")


def _check_together(images: list[str], video: str | None, annotations: Path | None, boxes: Path | None, detect: str | None) -> None:
    if boxes and detect:
        raise InputError("--boxes and --detect both give the people of an image; use only one of them")
    if video and len(images) > 1:
        raise InputError(f"{video} is a video; predict it without other inputs")
    if video and (boxes or annotations):
        raise InputError(f"--{'boxes' if boxes else 'annotations'} works only with images; use --detect to find the people of a video")


def _asked(
    paths: "Sequence[Path]", annotations: Path | None, category: str | None, boxes: Path | None, clamped: bool, detected: bool
) -> "Asked":
    from semipose.inference.boxes import of_images, of_set

    if annotations is None:
        return of_images(paths, boxes)
    asked = of_set(paths, annotations, clamped, boxes, detected, category)
    if asked.left_out:
        warn(f"{asked.left_out} of {len(paths)} images are not in {annotations} and were left out")
    return asked


def detector_of(name: Literal["small", "large"], weights: Path | None, score: float, poser: "Poser") -> "Detect":
    from semipose.inference.detector import Detector

    return Detector(name, weights, score, poser.device)


def _photos(asked: "Asked", exif: "Exif | None", poser: "Poser", find: "Detect | None", out: Path, heatmaps: bool, strict: bool) -> int:
    """Find poses in images; return how many images could not be read."""
    from semipose.inference.photos import overlay_names
    from semipose.inference.shots import of_photos

    broken: dict[Path, str] = {}
    names = overlay_names(asked.photos, out)
    make_folder(out)
    begun, total = time.monotonic(), len(asked.photos)
    shots = of_photos(asked, exif, names, find, out, None if strict else broken)
    found = _poses(shots, total, "images", poser, asked.category, out, heatmaps)
    for path, reason in broken.items():
        warn(f"{path} cannot be read as an image and was left out: {reason}")
    if not found.seen:
        raise InputError(f"none of the {total} images can be read; nothing was written")
    left_out = f"; {len(broken)} of {total} images could not be read" if broken else ""
    _finish(found.results, f"{found.seen} images", "an overlay of each image", out, begun, left_out)
    return len(broken)


def _video(video: str, poser: "Poser", find: "Detect | None", out: Path, limit: int | None, heatmaps: bool, strict: bool) -> None:
    """Find poses in a video or webcam; on Ctrl-C, write what was found so far."""
    from semipose.data.schema import PERSON
    from semipose.inference.shots import of_video

    make_folder(out)
    begun = time.monotonic()
    with of_video(video, find, out, limit) as (shots, source):
        total = min(filter(None, (source.promised, limit)), default=None)
        found = _poses(shots, total, "frames", poser, PERSON, out, heatmaps)
        ended = not found.stopped and found.seen != limit
        shortfall, silent = source.shortfall if ended else "", ended and source.silent
        if shortfall and strict:
            raise InputError(f"{shortfall}; nothing was written (--strict)")
    if shortfall:
        warn(shortfall)
    elif silent:
        typer.echo(f"{video}: all {found.seen} frames of the file were read; its format has no length, so it may have been cut off")
    _finish(found.results, f"{found.seen} frames", "the video", out, begun)


def _poses(
    shots: "Iterable[Shot]", total: int | None, unit: Literal["images", "frames"], poser: "Poser", category: int, out: Path, heatmaps: bool
) -> Found:
    """Find the poses of all shots, and write each overlay as soon as its poses are known.

    Ctrl-C ends a video; the frames before it count.
    """
    from semipose.inference.predict import to_results
    from semipose.inference.shots import save
    from semipose.utils.progress import Progress

    results: list[dict[str, Any]] = []
    seen = 0
    kept, handed = tee(shots)
    try:
        with Progress(total, unit) as progress:
            for shot, poses in zip(kept, poser.predict_all((shot.image, shot.xywh) for shot in handed), strict=True):
                scores = None if shot.boxes is None else shot.boxes.scores
                results += [result | shot.more for result in to_results(poses, [shot.image_id] * len(poses), scores, category)]
                shot.keep(poser.draw(shot.image, poses))
                for person, picture in enumerate(poser.heatmaps(shot.image, shot.xywh) if heatmaps else (), start=1):
                    save(out / f"{shot.stem}_heatmaps_{person}.png", picture)
                seen += 1
                progress.advance()
    except KeyboardInterrupt:
        if unit == "images":
            raise
        typer.echo("stopped")
        return Found(results, seen, stopped=True)
    return Found(results, seen, stopped=False)


def _finish(results: list[dict[str, Any]], seen: str, rendered: str, out: Path, begun: float, more: str = "") -> None:
    rate = len(results) / max(time.monotonic() - begun, 1e-9)
    write_json(out / "predictions.json", results)
    typer.echo(f"{len(results)} poses in {seen}, {rate:.1f} people/s: {out / 'predictions.json'}, and {rendered}{more}")
    if results:
        sure = [mean(result["keypoints"][2::3]) for result in results]
        low = sum(one < LOW for one in sure)
        typer.echo(f"confidence (mean of a pose's joints): median {median(sure):.2f}; {low} of {len(sure)} poses below {LOW}")


def _is_moving(one: str) -> bool:
    """Whether an input is a video or the number of a webcam.

    The suffix decides; an unknown suffix means a video if Pillow cannot open the file.
    """
    from semipose.inference import photos, videos

    path = Path(one)
    if path.suffix.lower() in photos.SUFFIXES or path.is_dir():
        return False
    if (one.isdigit() and not path.exists()) or path.suffix.lower() in videos.SUFFIXES:
        return True
    from PIL import Image

    with suppress(Exception), Image.open(path):  # the decoders raise a dozen kinds
        return False
    return path.exists()
