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
    help="Poses of people: find them in images, measure them, choose whom to label, look a data set over. "
    "Exit codes: 0 done, 1 bad input, 2 wrong usage.",
)
for command in (predict, evaluate, suggest, doctor, export, bench, bench_packs):
    app.command()(command)
