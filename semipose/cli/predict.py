"""`semipose predict`: poses in images, in a video, in what a webcam sees."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import typer

from semipose.utils.console import make_folder, reported, write_json
from semipose.utils.errors import InputError
from semipose.utils.files import replacing
from semipose.utils.progress import Progress

if TYPE_CHECKING:
    from PIL import Image

    from semipose.inference.photos import Boxes, Photo
    from semipose.inference.poser import Poser
    from semipose.inference.predict import Predictions

Detect = Callable[["Image.Image"], "Boxes"]


class Shot(NamedTuple):
    """An image with its people; `boxes` None: it is one person. `name` is for messages, `more` goes into its results."""

    image: "Image.Image"
    boxes: "Boxes | None"
    image_id: int
    name: str
    more: dict[str, Any]


def predict(
    images: Annotated[list[str], typer.Argument(help="Images, folders of them; or one video, or a webcam's number.", metavar="IMAGES...")],
    weights: Annotated[Path, typer.Option(help="A weights.safetensors that training wrote.", metavar="W")],
    out: Annotated[Path, typer.Option(help="Folder for the overlays and predictions.json.", metavar="DIR")],
    boxes: Annotated[
        Path | None,
        typer.Option(help="JSON list of {image_id or file_name, bbox (xywh px), score}: the people in the images.", metavar="FILE"),
    ] = None,
    detect: Annotated[
        Literal["small", "large"] | None,
        typer.Option(help="Find the people by a detector of torchvision. Without it and --boxes, an image is one person."),
    ] = None,
    detector_weights: Annotated[Path | None, typer.Option(help="Its file; default: downloaded once.", metavar="FILE")] = None,
    detector_score: Annotated[float, typer.Option(min=0, max=1, help="People below that are left out.")] = 0.5,
    flip_test: Annotated[bool, typer.Option("--flip-test", help="Mean over an image and its mirrored self: better, half as fast.")] = False,
    heatmaps: Annotated[bool, typer.Option("--heatmaps", help="Also each person's crop under its heatmaps.")] = False,
    batch_size: Annotated[int, typer.Option(min=1, help="People in a pass of the network.")] = 32,
    frames: Annotated[int | None, typer.Option(min=1, help="Of a video or webcam: the first so many.")] = None,
) -> None:
    """Find poses: an overlay of each image (or of the video), and predictions.json: COCO results with file_name added.

    Examples: semipose predict photos/ --detect small --weights W --out poses;  semipose predict clip.mp4 --weights W --out poses
    """
    with reported():
        from semipose.inference.poser import Poser

        if boxes and detect:
            raise InputError("--boxes and --detect both say who is in an image: give one of them")
        moving = [one for one in images if _is_moving(one)]
        if moving and len(images) > 1:
            raise InputError(f"{moving[0]} is a video: predict it alone")
        if moving and boxes:
            raise InputError("--boxes belong to images; the people of a video are found with --detect")
        photos, people, names = ([], {}, []) if moving else _photos(images, boxes, out)
        make_folder(out)
        poser = Poser.load(weights, flip_test=flip_test, batch_size=batch_size)
        find = _detector(detect, detector_weights, detector_score, poser)
        folder = out if heatmaps else None
        begun = time.monotonic()
        if moving:
            results, seen = _video(moving[0], poser, find, out, folder, frames)
        else:
            results, seen = _images(photos, people, names, poser, find, out, folder), len(photos)
        rate = len(results) / max(time.monotonic() - begun, 1e-9)
        write_json(out / "predictions.json", results)
        whole = f"{len(results)} poses in {seen} {'frames' if moving else 'images'}, {rate:.1f} people/s"
        typer.echo(f"{whole}: {out / 'predictions.json'}, and {'the video' if moving else 'an overlay of each image'}")


def _photos(images: list[str], boxes: Path | None, out: Path) -> "tuple[list[Photo], dict[Path, Boxes], list[str]]":
    """The images, their boxes from the file, and the names of their overlays; all is checked before a network is loaded."""
    from semipose.inference.photos import find_photos, overlay_names, read_boxes

    photos = find_photos([Path(one) for one in images])
    names = overlay_names(photos, out)
    return photos, read_boxes(boxes, photos) if boxes else {}, names


def _detector(name: Literal["small", "large"] | None, weights: Path | None, score: float, poser: "Poser") -> Detect | None:
    if name is None:
        return None
    from semipose.inference.detector import Detector

    return Detector(name, weights, score, poser.device)


def _images(
    photos: "list[Photo]",
    people: "dict[Path, Boxes]",
    names: list[str],
    poser: "Poser",
    find: Detect | None,
    out: Path,
    heatmaps: Path | None,
) -> list[dict[str, Any]]:
    def shots() -> Iterator[Shot]:
        for photo in photos:
            image = photo.read()
            boxes = find(image) if find else people.get(photo.path)
            yield Shot(image, boxes, photo.image_id, str(photo.path), {"file_name": photo.path.name})

    results = []
    with Progress(len(photos), "images") as progress:
        for name, (shot, poses) in zip(names, _shown(poser, shots()), strict=True):
            results += _results(shot, poses)
            _save(poser.draw(shot.image, poses), out / name)
            _save_heatmaps(poser, shot, heatmaps, Path(name).stem)
            progress.advance()
    return results


def _video(
    source: str, poser: "Poser", find: Detect | None, out: Path, heatmaps: Path | None, limit: int | None
) -> tuple[list[dict[str, Any]], int]:
    """Frames are numbered from 1; image_id and `frame` say which. Ctrl-C ends a webcam, and what there is is written."""
    from semipose.inference.videos import opened, written

    name = f"webcam{source}" if source.isdigit() else Path(source).name
    target = out / f"{Path(name).stem}.mp4"
    if target.resolve() == Path(source).resolve():
        raise InputError(f"--out {out} holds {name}, which the overlay would replace; name another folder")
    results: list[dict[str, Any]] = []
    seen = 0
    with (
        opened(source) as (pictures, rate, known),
        written(target, rate) as add,
        Progress(min(filter(None, (known, limit)), default=None), "frames") as progress,
    ):

        def shots() -> Iterator[Shot]:
            for number, image in enumerate(islice(pictures, limit), start=1):
                more = {"file_name": name, "frame": number}
                yield Shot(image, find(image) if find else None, number, f"{name} frame {number}", more)

        try:
            for shot, poses in _shown(poser, shots()):
                results += _results(shot, poses)
                add(poser.draw(shot.image, poses))
                _save_heatmaps(poser, shot, heatmaps, f"{Path(name).stem}_{shot.image_id:06d}")
                seen += 1
                progress.advance()
        except KeyboardInterrupt:
            typer.echo("stopped")
    return results, seen


def _shown(poser: "Poser", shots: Iterable[Shot]) -> "Iterator[tuple[Shot, Predictions]]":
    """Each shot with its poses."""
    from semipose.inference.poser import check_boxes

    held: deque[Shot] = deque()

    def handed() -> Iterator[tuple[Any, Any]]:
        for shot in shots:
            held.append(shot)
            try:
                if shot.boxes is not None:
                    check_boxes(shot.boxes.xywh, shot.image.size)
            except InputError as error:
                raise InputError(f"{shot.name}: {error}") from None
            yield shot.image, None if shot.boxes is None else shot.boxes.xywh

    for poses in poser.predict_all(handed()):
        yield held.popleft(), poses


def _results(shot: Shot, poses: "Predictions") -> list[dict[str, Any]]:
    from semipose.inference.predict import to_results

    scores = None if shot.boxes is None else shot.boxes.scores
    return [result | shot.more for result in to_results(poses, [shot.image_id] * len(poses), scores)]


def _save_heatmaps(poser: "Poser", shot: Shot, folder: Path | None, name: str) -> None:
    if folder is None:
        return
    for person, picture in enumerate(poser.heatmaps(shot.image, None if shot.boxes is None else shot.boxes.xywh), start=1):
        _save(picture, folder / f"{name}_heatmaps_{person}.png")


def _save(picture: "Image.Image", path: Path) -> None:
    try:
        with replacing(path) as temporary:
            picture.save(temporary, "PNG" if path.suffix == ".png" else "JPEG", quality=92)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}. Name another place with --out") from None


def _is_moving(one: str) -> bool:
    """Whether it is a video, or the number of a webcam."""
    path = Path(one)
    return (one.isdigit() and not path.exists()) or path.suffix.lower() in (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm")
