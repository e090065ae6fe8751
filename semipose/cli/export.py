"""`semipose export`: a trained network for use elsewhere."""

from pathlib import Path
from typing import Annotated

import typer

from semipose.data.names import check_name
from semipose.utils.console import make_folder, reported


def export(
    weights: Annotated[Path, typer.Option(help="A weights.safetensors that the stage `evaluate` wrote.", metavar="W")],
    out: Annotated[Path, typer.Option(help="Folder for model.onnx, model.safetensors, the model card and an example.", metavar="DIR")],
    licence: Annotated[
        str, typer.Option(help="SPDX name of the licence of the weights; the terms of the data may restrict it further.")
    ] = "Apache-2.0",
) -> None:
    """Write a network as ONNX (any batch size, checked against PyTorch) and safetensors, with a model card and an example.

    Example: semipose export --weights runs/demo-akm-L50-s0/weights.safetensors --out exported
    """
    with reported():
        from semipose.inference.export.onnx import export as write

        check_name(out)
        make_folder(out)
        difference = write(weights, out, licence)
        typer.echo(f"{out}: model.onnx (largest difference from PyTorch {difference:.1e}), model.safetensors, README.md, example.py")
