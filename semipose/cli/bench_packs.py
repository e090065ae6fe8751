"""`semipose bench-packs`: speed and size of large crop packs."""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from semipose.utils.console import make_folder, reported
from semipose.utils.files import write_json


def bench_packs(
    root: Annotated[Path, typer.Option(help="Folder of the data set of `data.source`; its people are repeated.")],
    out: Annotated[Path, typer.Option(help="Folder for the packs; they are removed at the end.")],
    params: Annotated[Path, typer.Option(help="Params file with crops, network input and machine.", metavar="FILE")] = Path("params.yaml"),
    people: Annotated[int, typer.Option(min=64, help="Number of people to write, as raw and as JPEG.")] = 20_000,
    entries: Annotated[int, typer.Option(min=64, help="Number of entries in the pack used to time `open`.")] = 273_000,
    crop: Annotated[int | None, typer.Option(min=16, help="Replace data.crop.size, px.")] = None,
    extent: Annotated[float | None, typer.Option(min=1, help="Another data.crop.extent.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of reading and of cutting out.")] = 5,
    to: Annotated[Path | None, typer.Option("--json", help="Write the numbers to this file.", metavar="OUT")] = None,
) -> None:
    """Measure how fast large crop packs are written, read and opened.

    It projects the results to COCO and to ten million people.

    Example: semipose bench-packs --params pipeline/presets/coco.yaml --root data/coco --out scratch
    """
    with reported():
        from semipose.bench.packs import scale
        from semipose.bench.tables import scale_tables
        from semipose.config.load import load
        from semipose.data.sources import read_people
        from semipose.reporting.typeset import to_markdown

        p = load(params)
        changed = {"size": crop or p.data.crop.size, "extent": extent or p.data.crop.extent}
        p = p.model_copy(update={"data": p.data.model_copy(update={"crop": p.data.crop.model_copy(update=changed)})})
        table = read_people(p.data.source, root, "train", p.data.validation_people, p.data.custom, p.data.flic.split, p.data.exif)
        make_folder(out)
        made = out / "bench-packs"
        try:
            found = scale(p, table, root, made, people, entries, rounds)
        finally:
            shutil.rmtree(made, ignore_errors=True)
        if to:
            write_json(to, found)
        typer.echo("\n".join(to_markdown(table).replace("# ", "## ", 1) for table in scale_tables(found)))
