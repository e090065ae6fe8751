"""`semipose doctor`: check how training would read a data set."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from semipose.data.names import check_name
from semipose.utils.console import make_folder, reported
from semipose.utils.errors import InputError

if TYPE_CHECKING:
    from semipose.config.data import Data
    from semipose.data.checks.examine import Examination, Finding, Layout

GRADES = {"stops": "errors (training would stop)", "check": "warnings (check these)", "note": "notes (handled automatically)"}


def doctor(
    root: Annotated[
        Path | None,
        typer.Argument(
            help="Folder of the data set; with --convert, an export, or its file. Default: `data.root` of --params.", metavar="PATH"
        ),
    ] = None,
    params: Annotated[Path | None, typer.Option(help="Params file whose `data` describes the set.", metavar="FILE")] = None,
    category: Annotated[
        str | None,
        typer.Option(help="Category of a set of your own. Default: that of --params, or the only one with joints.", metavar="NAME"),
    ] = None,
    validation_people: Annotated[
        int | None,
        typer.Option(min=1, help="LSP: number of people at the end of the file used for validation. Default: that of --params, or 500."),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Number of threads that decode images.")] = 2,
    convert: Annotated[
        Path | None,
        typer.Option(
            help="Convert PATH to a set in COCO's format in this folder, then check that set. PATH is an export of CVAT, Label "
            "Studio, Ultralytics or DeepLabCut, or COCO-format files with their images elsewhere or without a validation part.",
            metavar="DIR",
        ),
    ] = None,
    images: Annotated[Path | None, typer.Option(help="With --convert: folder of the images. Default: that of PATH.", metavar="DIR")] = None,
    val: Annotated[
        int | None, typer.Option(min=1, help="With --convert: number of images held out for validation. Default: a fifth.", metavar="N")
    ] = None,
    join: Annotated[
        Path | None,
        typer.Option(
            help="With --convert: add the converted people to the training part of this set; its validation part stays.", metavar="SET"
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write contact sheets of the people to this folder.", metavar="DIR")] = None,
    people: Annotated[
        int, typer.Option(min=1, help="People on each contact sheet, evenly spaced in the file, and as many whose labels are suspicious.")
    ] = 12,
) -> None:
    """Check a data set as training would read it, and print what params.yaml needs.

    It lists errors, dropped people and suspicious labels; with --params also those of the boxes that `data` names.
    The files tell whether the set is COCO, LSP, FLIC, MPII, AI Challenger or your own in COCO's format.
    Exit code 1 if training would stop.

    Examples: semipose doctor /data/cats --out doctor;
    semipose doctor labels.json --convert /data/cats --val 30;
    semipose doctor next/export.json --images frames --convert /data/more_cats --join /data/cats
    """
    with reported():
        from semipose.data.checks.examine import examine

        for place in filter(None, (root, convert, images, join, out)):
            check_name(place)
        if convert:
            root = _convert(root, convert, images, val, join)
        elif images or val or join:
            raise InputError("--images, --val and --join belong to --convert DIR; add it")
        where, layout, data = _set(root, params)
        layout = _of_category(layout, category) if category else layout
        if out:
            make_folder(out)
        validation = validation_people or (data.validation_people if data else 500)
        examination = examine(where, layout, validation, threads, people)
        if data:
            examination.findings += _given_boxes(data, where, layout, examination)
        _tell(examination)
        for part, sheet in examination.sheets.items():
            if out:
                sheet.save(out / f"{part}.jpg", quality=90)
                typer.echo(f"\ncontact sheet: {out / f'{part}.jpg'}")
        if examination.params:
            typer.echo(f"\nparams.yaml needs these changes to the demo's:\n\n{examination.params}")
        if examination.stops:
            raise typer.Exit(1)


def _convert(export: Path | None, out: Path, images: Path | None, val: int | None, join: Path | None) -> Path:
    from semipose.data.exports.convert import convert

    if export is None:
        raise InputError("--convert needs an export; run semipose doctor PATH --convert DIR")
    told = convert(export, out, images, val, join)
    typer.echo(f"converted {export}{f', joined with {join},' if join else ''} to {out}{f': {told}' if told else ''}")
    return out


def _set(root: Path | None, params: Path | None) -> "tuple[Path, Layout, Data | None]":
    from semipose.config.load import load
    from semipose.data.checks.examine import Layout, recognise

    if params is None:
        if root is None:
            raise InputError("no data set given; run semipose doctor PATH, or use --params FILE")
        return root, recognise(root), None
    data = load(params).data
    where = root or (Path(data.root) if data.root else None)
    if where is None:
        raise InputError(f"{params}: data.root is null; name the folder of the set: semipose doctor PATH --params {params}")
    if not where.is_dir():
        raise InputError(f"{where}: no such folder; check the path")
    whole_images = data.unlabelled is not None and data.unlabelled.whole_images
    source = "coco" if data.source == "demo" else data.source
    return where, Layout(source, data.custom, exif=data.exif, whole_images=whole_images, films=data.flic.split), data


def _of_category(layout: "Layout", name: str) -> "Layout":
    if layout.custom is None:
        raise InputError(f"--category {name}: this is a set of {layout.source}, which has one category; leave --category out")
    return replace(layout, custom=layout.custom.model_copy(update={"category": name}))


def _given_boxes(data: "Data", root: Path, layout: "Layout", examination: "Examination") -> "list[Finding]":
    """What the readers of `prepare` say of the files of boxes that `data` names."""
    from semipose.data.checks import detections
    from semipose.data.checks.finding import Finding
    from semipose.data.download.datasets import describe_file
    from semipose.inference.finder import check_given
    from semipose.pose.skeleton import COCO17

    people, other = examination.people, data.unlabelled
    found = detections.of_validation(data.detections, root, layout, people.get("val")) if data.detections else []
    if other is None or other.detections is None:
        return found
    boxes = other.detections
    if other.media is None:
        skeleton = people["train"].skeleton if "train" in people else COCO17
        return found + detections.of_unlabeled2017(boxes, Path(other.root) if other.root else None, data.exif, skeleton)
    try:
        describe_file(Path(boxes.file), "data.unlabelled.detections.file")
        low = check_given(Path(boxes.file), Path(str(other.root)), other.media.folders, boxes.score, data.exif)
    except InputError as error:
        return [*found, Finding("stops", "unlabelled", str(error))]
    return [*found, Finding("note", "unlabelled", f"{boxes.file}: {low:,} boxes left out: low score")] if low else found


def _tell(examination: "Examination") -> None:
    layout = examination.layout
    typer.echo(f"data.source: {layout.source}")
    for part, people in examination.people.items():
        images, joints = len(set(people.images)), len(people.skeleton.joints)
        typer.echo(f"{part}: {len(people):,} people in {images:,} images, {joints} joints, {len(people.skeleton.pairs)} left-right pairs")
    for grade, heading in GRADES.items():
        found = [finding for finding in examination.findings if finding.grade == grade]
        if found:
            typer.echo(f"\n{heading}:")
        for finding in found:
            typer.echo(f"  {finding.part}: {finding.text}")
            for example in finding.examples:
                typer.echo(f"      {example}")
    if not examination.stops:
        typer.echo("\nno errors: training can read this set.")
