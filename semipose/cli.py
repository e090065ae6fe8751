"""The command `semipose`."""

import typer

from semipose.commands.bench import bench
from semipose.commands.doctor import doctor
from semipose.commands.evaluate import evaluate
from semipose.commands.export import export
from semipose.commands.predict import predict
from semipose.commands.scale import bench_packs

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Poses of people: find them in images, measure them, look a data set over. Exit codes: 0 done, 1 bad input, 2 wrong usage.",
)
for command in (predict, evaluate, doctor, export, bench, bench_packs):
    app.command()(command)
