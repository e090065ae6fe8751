"""`semipose bench`: how fast this machine trains, and how near that is to the network's own limit."""

import re
from pathlib import Path
from typing import Annotated, Literal

import typer

from semipose.utils.console import reported
from semipose.utils.errors import InputError
from semipose.utils.files import write_json, write_text


def bench(
    params: Annotated[Path, typer.Option(help="Params file with network, batch, methods and data.", metavar="FILE")] = Path("params.yaml"),
    methods: Annotated[str | None, typer.Option(help="Entries of `method`, separated by commas. Default: those of `sweep`.")] = None,
    backbone: Annotated[
        str | None,
        typer.Option(
            "--backbone", "--trunk", help="Replace the backbone by a published one (resnet18, resnet50, hrnet_w32). Needs --size."
        ),
    ] = None,
    size: Annotated[str | None, typer.Option(help="Network input for --backbone, height x width in px.", metavar="256x192")] = None,
    root: Annotated[
        Path | None, typer.Option(help="Folder of the data set of `data.source`. Default: `data.root`, or synthetic people.")
    ] = None,
    people: Annotated[int, typer.Option(min=2, help="Number of people to cut out.")] = 512,
    batch_size: Annotated[
        int | None, typer.Option(min=2, help="Batch size. Default: train.batch_size divided by train.batch_groups.")
    ] = None,
    precision: Annotated[Literal["32-true", "bf16-mixed"] | None, typer.Option(help="Another train.precision.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Another machine.threads.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Number of rounds; each round runs all measurements.")] = 5,
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps per round. Default: 8, on a GPU 60.")] = None,
    out: Annotated[Path | None, typer.Option("--json", help="Write the numbers to this file.", metavar="OUT")] = None,
    page: Annotated[Path | None, typer.Option(help="Write the tables to this file, as Markdown.", metavar="OUT.md")] = None,
) -> None:
    """Measure training, cutting out, prediction and scoring on one device of this machine.

    Example: semipose bench --backbone resnet18 --size 256x192 --methods supervised,akm --json bench.json
    """
    with reported():
        from semipose.config.load import load

        p = load(params)
        named = methods.split(",") if methods else p.sweep.methods
        for name in named:
            if name not in p.method:
                raise InputError(f"--methods {name}: not an entry of `method` in {params}; choose from {', '.join(p.method)}")
        if (backbone is None) != (size is None):
            raise InputError("--backbone and --size need each other; give both, such as --backbone resnet18 --size 256x192")

        import torch

        from semipose.bench.run import as_published
        from semipose.bench.run import bench as measure
        from semipose.bench.tables import tables
        from semipose.reporting.typeset import to_markdown

        if backbone is not None and size is not None:
            p = as_published(p, backbone, _height_width(size))
        # Measure one device, and one of the groups that it processes one after the other.
        machine = p.machine.model_copy(update={"devices": 1, "nodes": 1} | ({"threads": threads} if threads else {}))
        changed = {"batch_size": batch_size or p.train.batch_size // p.train.batch_groups, "precision": precision or p.train.precision}
        train = p.train.model_copy(update=changed | {"batch_groups": 1})
        where = root or (Path(p.data.root) if p.data.root else None)
        many = steps or (60 if machine.accelerator != "cpu" and torch.cuda.is_available() else 8)
        found = measure(p.model_copy(update={"machine": machine, "train": train}), named, where, people, rounds, many)
        text = "\n".join(to_markdown(table).replace("# ", "## ", 1) for table in tables(found))
        if out:
            write_json(out, found)
        if page:
            write_text(page, f"# Benchmark\n\nWritten by `semipose bench`.\n\n{text}")
        typer.echo(text)


def _height_width(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d+)x(\d+)", text)
    height, width = (int(number) for number in found.groups()) if found else (0, 0)
    if min(height, width) < 32 or height % 32 or width % 32:
        raise InputError(f"--size {text}: must be height x width in px, multiples of 32 such as 256x192")
    return height, width
