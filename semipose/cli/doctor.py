"""`semipose doctor`: what training would make of a data set."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from semipose.utils.console import make_folder, reported
from semipose.utils.errors import InputError

if TYPE_CHECKING:
    from semipose.data.checks.examine import Examination, Layout

GRADES = {"stops": "stops `dvc repro`", "look": "look at it", "note": "done of its own accord"}


def doctor(
    root: Annotated[Path | None, typer.Argument(help="Folder of the data set. Default: `data.root` of --params.", metavar="PATH")] = None,
    params: Annotated[Path | None, typer.Option(help="Take the set that `data` of this file describes.", metavar="FILE")] = None,
    validation_people: Annotated[int, typer.Option(min=1, help="LSP: so many people at the end of the file are validation.")] = 500,
    threads: Annotated[int, typer.Option(min=1, help="Threads that decode images.")] = 2,
    convert: Annotated[
        Path | None,
        typer.Option(
            help="Make a set of your own there, in COCO's format, of an export of CVAT, Label Studio, Ultralytics or DeepLabCut, or of "
            "COCO-format files whose images lie elsewhere; then look at that set.",
            metavar="DIR",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write contact sheets of the people there.", metavar="DIR")] = None,
) -> None:
    """Read a data set as training would, and say what would stop it, what is dropped, what looks wrong, and what params.yaml needs.

    COCO, LSP, FLIC, MPII, AI Challenger and sets of your own in COCO's format are told by their files.
    Exit code 1 if `dvc repro` would stop.

    Example: semipose doctor /data/cats --out doctor
    """
    with reported():
        from semipose.data.checks.examine import examine

        if convert:
            from semipose.data.exports.convert import convert as made_of

            if root is None:
                raise InputError("say which export: semipose doctor PATH --convert DIR")
            made_of(root, convert)
            typer.echo(f"made of {root}: {convert}")
            root = convert
        where, layout = _set(root, params)
        if out:
            make_folder(out)
        examination = examine(where, layout, validation_people, threads)
        _tell(examination)
        for part, sheet in examination.sheets.items():
            if out:
                sheet.save(out / f"{part}.jpg", quality=90)
                typer.echo(f"\ncontact sheet: {out / f'{part}.jpg'}")
        if examination.params:
            typer.echo(f"\nparams.yaml needs, beside what the demo has:\n\n{examination.params}")
        if examination.stops:
            raise typer.Exit(1)


def _set(root: Path | None, params: Path | None) -> "tuple[Path, Layout]":
    from semipose.config.load import load
    from semipose.data.checks.examine import Layout, recognise

    if params is None:
        if root is None:
            raise InputError("say which data set: semipose doctor PATH, or --params FILE")
        return root, recognise(root)
    data = load(params).data
    where = root or (Path(data.root) if data.root else None)
    if where is None:
        raise InputError(f"{params}: data.root is null; say where the set lies: semipose doctor PATH --params {params}")
    if not where.is_dir():
        raise InputError(f"{where}: no such folder")
    return where, Layout("coco" if data.source == "demo" else data.source, data.custom, exif=data.exif)


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
        typer.echo("\nnothing would stop `dvc repro`.")
