"""The command `semipose`."""

import typer

from semipose.cli.bench import bench
from semipose.cli.bench_packs import bench_packs
from semipose.cli.doctor import doctor
from semipose.cli.evaluate import evaluate
from semipose.cli.export import export
from semipose.cli.predict import predict
from semipose.cli.suggest import suggest

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Find poses of people in images, evaluate them, choose whom to label, check a data set. "
    "Exit codes: 0 done, 1 bad input, 2 wrong usage, 3 some images unreadable.",
)
for command in (predict, evaluate, suggest, doctor, export, bench, bench_packs):
    app.command()(command)
