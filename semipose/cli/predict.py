"""`semipose predict`: poses in images, in a video, in what a webcam sees."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from itertools import islice, tee
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import typer

from semipose.utils.console import make_folder, reported, write_json
from semipose.utils.errors import InputError
from semipose.utils.files import replacing
from semipose.utils.progress import Progress

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    from semipose.inference.photos import Boxes, Photo

Detect = Callable[["Image.Image"], "Boxes"]


class Shot(NamedTuple):
    """An image with its people; `boxes` None: it is one person. `stem` begins the names of its heatmaps, `more` goes into its results,
    `keep` writes its overlay."""

    image: "Image.Image"
    boxes: "Boxes | None"
    image_id: int
    stem: str
    more: dict[str, Any]
    keep: Callable[["Image.Image"], None]

    @property
    def xywh(self) -> "NDArray[Any] | None":
        return None if self.boxes is None else self.boxes.xywh


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
        from semipose.inference.photos import find_photos, overlay_names, read_boxes
        from semipose.inference.poser import Poser
        from semipose.inference.predict import to_results

        if boxes and detect:
            raise InputError("--boxes and --detect both say who is in an image: give one of them")
        video = next((one for one in images if _is_moving(one)), None)
        if video and len(images) > 1:
            raise InputError(f"{video} is a video: predict it alone")
        if video and boxes:
            raise InputError("--boxes belong to images; the people of a video are found with --detect")
        # All is checked before a network is loaded.
        photos = [] if video else find_photos([Path(one) for one in images])
        names = overlay_names(photos, out)
        people = read_boxes(boxes, photos) if boxes else {}
        make_folder(out)
        poser = Poser.load(weights, flip_test=flip_test, batch_size=batch_size)
        find: Detect | None = None
        if detect:
            from semipose.inference.detector import Detector

            find = Detector(detect, detector_weights, detector_score, poser.device)
        source = _video(video, find, out, frames) if video else nullcontext((_images(photos, names, people, find, out), len(photos)))
        results: list[dict[str, Any]] = []
        seen, unit, begun = 0, "frames" if video else "images", time.monotonic()
        with source as (shots, total), Progress(total, unit) as progress:
            kept, handed = tee(shots)
            try:
                for shot, poses in zip(kept, poser.predict_all((shot.image, shot.xywh) for shot in handed), strict=True):
                    scores = None if shot.boxes is None else shot.boxes.scores
                    results += [result | shot.more for result in to_results(poses, [shot.image_id] * len(poses), scores)]
                    shot.keep(poser.draw(shot.image, poses))
                    for person, picture in enumerate(poser.heatmaps(shot.image, shot.xywh) if heatmaps else (), start=1):
                        _save(out / f"{shot.stem}_heatmaps_{person}.png", picture)
                    seen += 1
                    progress.advance()
            except KeyboardInterrupt:
                if not video:
                    raise
                typer.echo("stopped")
        rate = len(results) / max(time.monotonic() - begun, 1e-9)
        write_json(out / "predictions.json", results)
        whole = f"{len(results)} poses in {seen} {unit}, {rate:.1f} people/s"
        typer.echo(f"{whole}: {out / 'predictions.json'}, and {'the video' if video else 'an overlay of each image'}")


def _images(photos: "list[Photo]", names: list[str], people: "dict[Path, Boxes]", find: Detect | None, out: Path) -> Iterator[Shot]:
    from semipose.inference.poser import check_boxes

    for photo, name in zip(photos, names, strict=True):
        image = photo.read()
        boxes = find(image) if find else people.get(photo.path)
        if boxes is not None:
            check_boxes(boxes.xywh, image.size, f"{photo.path}: ")
        yield Shot(image, boxes, photo.image_id, Path(name).stem, {"file_name": photo.path.name}, partial(_save, out / name))


@contextmanager
def _video(source: str, find: Detect | None, out: Path, limit: int | None) -> Iterator[tuple[Iterator[Shot], int | None]]:
    """The frames of a video or webcam, and how many there will be. They are numbered from 1; image_id and `frame` say which. Ctrl-C ends
    a webcam, and what there is is written."""
    from semipose.inference.videos import opened, written

    name = f"webcam{source}" if source.isdigit() else Path(source).name
    stem = Path(name).stem
    target = out / f"{stem}.mp4"
    if target.resolve() == Path(source).resolve():
        raise InputError(f"--out {out} holds {name}, which the overlay would replace; name another folder")
    with opened(source) as (pictures, rate, known), written(target, rate) as add:
        shots = (
            Shot(image, find(image) if find else None, number, f"{stem}_{number:06d}", {"file_name": name, "frame": number}, add)
            for number, image in enumerate(islice(pictures, limit), start=1)
        )
        yield shots, min(filter(None, (known, limit)), default=None)


def _save(path: Path, picture: "Image.Image") -> None:
    with replacing(path) as temporary:
        picture.save(temporary, "PNG" if path.suffix == ".png" else "JPEG", quality=92)


def _is_moving(one: str) -> bool:
    """Whether it is a video, or the number of a webcam."""
    path = Path(one)
    return (one.isdigit() and not path.exists()) or path.suffix.lower() in (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm")
