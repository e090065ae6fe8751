"""`semipose doctor`: check how training would read a data set."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from semipose.utils.console import make_folder, reported
from semipose.utils.errors import InputError

if TYPE_CHECKING:
    from semipose.data.checks.examine import Examination, Layout

GRADES = {"stops": "errors (training would stop)", "check": "warnings (check these)", "note": "notes (handled automatically)"}


def doctor(
    root: Annotated[
        Path | None,
        typer.Argument(
            help="Folder of the data set; with --convert, an export, or its file. Default: `data.root` of --params.", metavar="PATH"
        ),
    ] = None,
    params: Annotated[Path | None, typer.Option(help="Params file whose `data` describes the set.", metavar="FILE")] = None,
    validation_people: Annotated[int, typer.Option(min=1, help="LSP: number of people at the end of the file used for validation.")] = 500,
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

    It lists errors, dropped people and suspicious labels.
    The files tell whether the set is COCO, LSP, FLIC, MPII, AI Challenger or your own in COCO's format.
    Exit code 1 if training would stop.

    Examples: semipose doctor /data/cats --out doctor;
    semipose doctor labels.json --convert /data/cats --val 30;
    semipose doctor next/export.json --images frames --convert /data/more_cats --join /data/cats
    """
    with reported():
        from semipose.data.checks.examine import examine

        if convert:
            root = _convert(root, convert, images, val, join)
        elif images or val or join:
            raise InputError("--images, --val and --join belong to --convert DIR; add it")
        where, layout = _set(root, params)
        if out:
            make_folder(out)
        examination = examine(where, layout, validation_people, threads, people)
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
    convert(export, out, images, val, join)
    typer.echo(f"converted {export}{f', joined with {join},' if join else ''} to {out}")
    return out


def _set(root: Path | None, params: Path | None) -> "tuple[Path, Layout]":
    from semipose.config.load import load
    from semipose.data.checks.examine import Layout, recognise

    if params is None:
        if root is None:
            raise InputError("no data set given; run semipose doctor PATH, or use --params FILE")
        return root, recognise(root)
    data = load(params).data
    where = root or (Path(data.root) if data.root else None)
    if where is None:
        raise InputError(f"{params}: data.root is null; name the folder of the set: semipose doctor PATH --params {params}")
    if not where.is_dir():
        raise InputError(f"{where}: no such folder; check the path")
    whole_images = data.unlabelled is not None and data.unlabelled.whole_images
    return where, Layout("coco" if data.source == "demo" else data.source, data.custom, exif=data.exif, whole_images=whole_images)


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
