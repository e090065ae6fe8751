"""The command `semipose`. Heavy libraries are imported inside the commands, so that `--help` comes at once."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from semipose.errors import InputError

if TYPE_CHECKING:
    from PIL import Image

    from semipose.metrics.pck import Hits
    from semipose.photos import Boxes

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Poses of people: find them in images, and measure them.",
)


@app.command()
def evaluate(
    annotations: Annotated[Path, typer.Option(help="Annotations in COCO's keypoint format.", metavar="GT.json")],
    predictions: Annotated[Path, typer.Option(help="Results in COCO's keypoint format.", metavar="DT.json")],
    metric: Annotated[
        Literal["oks", "pck", "pckh"],
        typer.Option(
            help="oks: AP and AR of pycocotools; pck: PCK@0.2 of the torso; pckh: PCKh@0.5, for which every annotation has "
            "`head_size` (0.6 times the diagonal of the head's box in px, null where unknown)."
        ),
    ] = "oks",
    out: Annotated[Path | None, typer.Option("--json", help="Write the numbers there: 0-1, -1 if undefined.", metavar="OUT")] = None,
) -> None:
    """Measure keypoint results against annotations."""
    with reported():
        if metric == "oks":
            from semipose.metrics.oks import evaluate_oks

            values, note = evaluate_oks(annotations, predictions), "COCO keypoint evaluation (pycocotools)"
        elif metric == "pck":
            from semipose.metrics.pck import evaluate_pck

            hits = evaluate_pck(annotations, predictions)
            values, note = hits.values(), _pck_note(hits, "an end of the torso is not annotated")
        else:
            from semipose.metrics.pckh import evaluate_pckh

            hits = evaluate_pckh(annotations, predictions)
            values, note = hits.values(), _pck_note(hits, "the head size is not known")
        if out:
            _write_json(out, values)
        _print_table(values, note)


@app.command()
def predict(
    images: Annotated[list[Path], typer.Argument(help="Images, or folders of them.", metavar="IMAGES...")],
    weights: Annotated[Path, typer.Option(help="A weights.safetensors that training wrote.", metavar="W")],
    out: Annotated[Path, typer.Option(help="Folder for the overlays and predictions.json.", metavar="DIR")],
    boxes: Annotated[
        Path | None,
        typer.Option(
            help="JSON list of {image_id or file_name, bbox (xywh px), score}. Without it, an image is one person.",
            metavar="FILE",
        ),
    ] = None,
) -> None:
    """Find poses in images: an overlay of each image, and predictions.json: COCO results with file_name added."""
    with reported():
        from semipose.photos import find_photos, overlay_names, read_boxes

        photos = find_photos(images)
        names = overlay_names(photos, out)
        people = read_boxes(boxes, photos) if boxes else {}
        _make_folder(out)
        poses = _Poses(weights)
        results = []
        for photo, name in zip(photos, names, strict=True):
            found, overlay = poses(photo.read(), people[photo.path] if boxes else None, photo.image_id, photo.path)
            results += [result | {"file_name": photo.path.name} for result in found]
            _save_overlay(overlay, out / name)
        _write_json(out / "predictions.json", results)
        typer.echo(f"{len(results)} poses in {len(photos)} images: {out / 'predictions.json'}, and an overlay of each image")


@contextmanager
def reported() -> Iterator[None]:
    """Bad input, and a disk that cannot be written, end the command with one message and exit code 1."""
    try:
        yield
    except InputError as error:
        print(f"semipose: {error}", file=sys.stderr)
        raise typer.Exit(1) from None


class _Poses:
    """A network on the fastest device there is, and what its card says about it."""

    def __init__(self, weights: Path) -> None:
        import torch

        from semipose.models import load_network
        from semipose.skeleton import Skeleton

        net, self.card = load_network(weights)
        self.net = net.to("cuda" if torch.cuda.is_available() else "cpu")
        known = self.card["skeleton"]
        limbs = tuple((a, b) for a, b in known["limbs"])
        self.skeleton = Skeleton(known["name"], tuple(known["joints"]), limbs, (), ("", ""))

    def __call__(
        self, image: "Image.Image", boxes: "Boxes | None", image_id: int, path: Path
    ) -> tuple[list[dict[str, Any]], "Image.Image"]:
        """COCO results of the people in the boxes (None: the whole image is one person), and the image with them on
        it."""
        import numpy as np

        from semipose.draw import draw_pose
        from semipose.predict import SURE, predict_image, to_results

        try:
            found = predict_image(self.net, self.card, np.asarray(image), None if boxes is None else boxes.xywh)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        overlay = draw_pose(image, found.points, found.confidence, self.skeleton, SURE)
        return to_results(found, [image_id] * len(found), None if boxes is None else boxes.scores), overlay


def _pck_note(hits: "Hits", reason: str) -> str:
    note = f"of {len(hits.hit)} people"
    return note + (f"; {hits.left_out} left out, because {reason}" if hits.left_out else "")


def _print_table(values: dict[str, float], note: str) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table()
    table.add_column("metric")
    table.add_column("0-1", justify="right")
    for name, value in values.items():
        table.add_row(name, "undefined" if value == -1 else f"{value:.3f}")
    Console().print(table)
    typer.echo(note)


def _write_json(path: Path, content: Any) -> None:
    from semipose.files import replacing

    try:
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}. Name another place") from None


def _save_overlay(overlay: "Image.Image", path: Path) -> None:
    from semipose.files import replacing

    try:
        with replacing(path) as temporary:
            overlay.save(temporary, "PNG" if path.suffix == ".png" else "JPEG", quality=92)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}. Name another place with --out") from None


def _make_folder(folder: Path) -> None:
    import os

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {folder}: no folder can be made there: {error.strerror}") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"--out {folder}: nothing can be written in this folder; name another")
