"""`semipose suggest`: whom to label next."""

import csv
import io
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import typer

from semipose.cli.predict import detector_of
from semipose.data.names import check_name
from semipose.utils.console import make_folder, reported, warn
from semipose.utils.errors import InputError
from semipose.utils.files import is_file, write_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    from semipose.data.pixels import Exif
    from semipose.inference.boxes import Asked
    from semipose.inference.labelled import Labelled
    from semipose.inference.photos import Photo
    from semipose.inference.poser import Poser
    from semipose.inference.shots import Detect
    from semipose.inference.suggestions import Findings, Suggestion

LIST = "suggestions.csv"
COLUMNS = ("rank", "file_name", "x", "y", "width", "height", "disagreement", "worth")
BESIDE = ("sheet.jpg", "coco.json", "label_studio.json", "label_studio.xml")
"""What is written after the list."""
FRAMES = "frames"
"""Folder of the suggested frames of videos."""
SHOWN = 60
"""People on the contact sheet, the first of the list."""


def suggest(
    images: Annotated[list[Path], typer.Argument(help="Images and videos, or folders of them.", metavar="IMAGES...")],
    weights: Annotated[
        list[Path],
        typer.Option(help="A weights.safetensors that the pipeline wrote; repeat the option to ask several.", metavar="W"),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the list, the contact sheet and the task files.", metavar="DIR")],
    count: Annotated[int, typer.Option(min=1, help="People to suggest.")] = 50,
    labelled: Annotated[
        list[Path] | None,
        typer.Option(
            help="COCO-format set of what is labelled already, validation people too: its images are not suggested, nor is what looks "
            "like its people. Repeat the option for several sets.",
            metavar="SET",
        ),
    ] = None,
    category: Annotated[
        str | None, typer.Option(help="Category of the --labelled sets. Default: the only one with joints.", metavar="NAME")
    ] = None,
    labelled_images: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder of the images of --labelled, if they are not beside it, in images/ there, or among IMAGES.", metavar="DIR"
        ),
    ] = None,
    boxes: Annotated[
        Path | None,
        typer.Option(help="JSON list of {file_name or image_id, bbox (xywh px), score}: the people in the images.", metavar="FILE"),
    ] = None,
    detect: Annotated[
        Literal["small", "large"] | None,
        typer.Option(help="Find the people by a detector of torchvision. Without it and --boxes an image is one person."),
    ] = None,
    detector_weights: Annotated[Path | None, typer.Option(help="Its file; default: downloaded once.", metavar="FILE")] = None,
    detector_score: Annotated[float, typer.Option(min=0, max=1, help="People below that are left out.")] = 0.5,
    every: Annotated[float, typer.Option(min=0, help="Seconds between two frames of a video; 0: every frame.", metavar="S")] = 1.0,
    exif: Annotated[Literal["apply", "ignore"], typer.Option(help="Turn images as their EXIF orientation says.")] = "apply",
    batch_size: Annotated[int, typer.Option(min=1, help="People in a pass of a network.")] = 32,
) -> None:
    """Choose people to label next: they stand for many others on whom the networks disagree.

    Each network sees a person as it is, mirrored, smaller and larger.
    DIR gets suggestions.csv, sheet.jpg, coco.json for CVAT, and label_studio.json with its interface, label_studio.xml.
    The network's poses are the first labels in them.
    Suggested frames of videos are saved in frames/ there.

    Examples: semipose suggest clips/ --detect small --weights W --out next;
    semipose suggest frames/ --boxes boxes.json --labelled set/train.json --labelled set/val.json --weights W --out next
    """
    with reported():
        import numpy as np

        from semipose.inference.boxes import of_images
        from semipose.inference.frames import keep, with_frames
        from semipose.inference.media import is_video
        from semipose.inference.suggestions import choose

        given = _given(images, boxes, detect, out)
        posers = _networks(weights, batch_size)
        make_folder(out)
        with with_frames(given, every, out) as paths:
            asked = of_images(paths, boxes)
            known = _labelled(labelled or [], paths, labelled_images or [], posers[0].clamped, category)
            done = {path for one in known for path in one.given}
            asked = replace(asked, photos=[photo for photo in asked.photos if photo.path not in done])
            find = detector_of(detect, detector_weights, detector_score, posers[0]) if detect else None
            covered = [_ask(posers, one.asked, None, None, out).findings.features for one in known]
            people = _ask(posers, asked, exif, find, out)
            findings = people.findings
            if count > len(findings):
                raise InputError(
                    f"--count {count}: there are {len(findings)} people without labels in these images; ask for at most this number"
                )
            labels = np.concatenate([findings.features[:0], *filter(len, covered)])
            chosen = choose(findings.disagreement, findings.features, labels, count)
            moved = keep((people.photos[row].path for row, _ in chosen), out, out / FRAMES)
            people = people._replace(photos=[replace(photo, path=moved.get(photo.path, photo.path)) for photo in people.photos])
            places = {path.parent for path in given if not is_video(path.name)}
            folder = common_folder([*places, *([out / FRAMES] if moved else [])])
            _write(people, chosen, posers[0], exif, out, folder)
        typer.echo(f"{count} of {len(findings)} people in {len(asked.photos)} images: {out / LIST}, sheet.jpg, task files")
        typer.echo(f"names in them are relative to {folder}")


def _given(images: list[Path], boxes: Path | None, detect: str | None, out: Path) -> list[Path]:
    """The images and videos, if everything goes with them that was asked for."""
    from semipose.inference.media import is_video
    from semipose.inference.photos import find_photos

    if boxes and detect:
        raise InputError("--boxes and --detect both say who is in an image: give one of them")
    given = find_photos(images, clips=True)
    if boxes and (clips := [path for path in given if is_video(path.name)]):
        raise InputError(f"--boxes names people in images, and {clips[0]} is a video; find its people with --detect")
    if any(path.resolve().parent == out.resolve() for path in given):
        raise InputError(f"--out {out} contains the images, and its contact sheet would be one of them; name another folder")
    check_name(out)
    _check_replaced(out)
    return given


def _check_replaced(out: Path) -> None:
    """Refuse to replace files that `suggest` did not write; beside its own is its list."""
    heading = (",".join(COLUMNS) + "\n").encode()
    if is_file(out / LIST):
        with (out / LIST).open("rb") as file:
            foreign = [] if file.readline() == heading else [LIST]
    else:
        foreign = [name for name in BESIDE if (out / name).exists()]
    if foreign:
        raise InputError(
            f"--out {out} has {', '.join(foreign)}, not written by semipose suggest, which would be replaced; name another folder"
        )


class People(NamedTuple):
    """What the networks say of everybody, and whose photo it is: the photo of each row, and its size (width, height)."""

    findings: "Findings"
    photos: "list[Photo]"
    sizes: list[tuple[int, int]]


def _networks(weights: list[Path], batch_size: int) -> "list[Poser]":
    from semipose.inference.poser import Poser

    posers = [Poser.load(one, batch_size=batch_size) for one in weights]
    for one, poser in zip(weights, posers, strict=True):
        if poser.skeleton.joints != posers[0].skeleton.joints:
            raise InputError(f"{one} has other joints than {weights[0]}: give networks of one skeleton")
    return posers


def _labelled(sets: list[Path], paths: list[Path], folders: list[Path], clamped: bool, category: str | None) -> "list[Labelled]":
    from semipose.inference.labelled import find_labelled

    known = [find_labelled(one, paths, folders, clamped, category) for one in sets]
    for one, found in zip(sets, known, strict=True):
        if found.missing:
            warn(f"{one}: {found.missing} of its images were not found and do not count as labelled; give --labelled-images DIR")
        also = f" ({found.renamed} under another name)" if found.renamed else ""
        typer.echo(f"{one}: {len(found.given)} of the {len(paths)} images have labels in it and are not suggested{also}")
    return known


def _ask(posers: "list[Poser]", asked: "Asked", exif: "Exif | None", find: "Detect | None", out: Path) -> People:
    from semipose.inference.shots import of_photos
    from semipose.inference.suggestions import ask_networks
    from semipose.utils.progress import Progress

    broken: dict[Path, str] = {}
    photos: list[Photo] = []
    sizes: list[tuple[int, int]] = []

    def pictures() -> "Iterator[tuple[Image.Image, NDArray[np.float32] | None]]":
        by_id = {photo.image_id: photo for photo in asked.photos}
        for shot in of_photos(asked, exif, [photo.path.name for photo in asked.photos], find, out, broken):
            number = 1 if shot.boxes is None else len(shot.boxes.xywh)
            photos.extend([by_id[shot.image_id]] * number)
            sizes.extend([shot.image.size] * number)
            progress.advance()
            yield shot.image, shot.xywh

    with Progress(len(asked.photos), "images") as progress:
        findings = ask_networks(posers, pictures())
    for path, reason in broken.items():
        warn(f"{path} cannot be read as an image and was left out: {reason}")
    return People(findings, photos, sizes)


def common_folder(folders: list[Path]) -> Path:
    """The folder that all of these are in, or are."""
    return Path(os.path.commonpath([os.path.abspath(folder) for folder in folders]))  # noqa: PTH100


def _write(people: People, chosen: "list[Suggestion]", poser: "Poser", exif: "Exif", out: Path, folder: Path) -> None:
    """The list, the contact sheet, and the tasks; images are named by their paths below `folder`."""
    from semipose.inference.label_tasks import Task, write_tasks
    from semipose.pose.drawing import draw_pose, save_pictures, sheet

    findings = people.findings
    tasks, tiles, captions = [], [], []
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(COLUMNS)
    for rank, (row, worth) in enumerate(chosen, start=1):
        path, box = people.photos[row].path, findings.boxes[row]
        name = Path(os.path.abspath(path)).relative_to(folder).as_posix()  # noqa: PTH100
        points, sure = findings.poses.points[row], findings.poses.confidence[row]
        tasks.append(Task(name, people.sizes[row], box, points, sure))
        rows.writerow([rank, name, *(f"{value:g}" for value in box.tolist()), f"{findings.disagreement[row]:.4f}", f"{worth:.4g}"])
        if rank <= SHOWN:
            rendered = draw_pose(people.photos[row].read(exif), points, sure, poser.skeleton)
            x, y, width, height = box.tolist()
            tiles.append(rendered.crop((math.floor(x), math.floor(y), math.ceil(x + width), math.ceil(y + height))))
            captions.append(f"{rank}: {name}\ndisagreement {findings.disagreement[row]:.2f}")
    write_text(out / LIST, table.getvalue())
    write_tasks(tasks, poser.skeleton, out)
    save_pictures(out, {"sheet": sheet(tiles, captions, columns=6, tile=(200, 200))})
