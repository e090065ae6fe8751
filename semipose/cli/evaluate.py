"""`semipose evaluate`: any COCO-format results against any COCO-format annotations."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from semipose.utils.console import reported, write_json

if TYPE_CHECKING:
    from semipose.evaluation.metrics.pck import Hits


def evaluate(
    annotations: Annotated[Path, typer.Option(help="Annotations in COCO's keypoint format.", metavar="GT.json")],
    predictions: Annotated[Path, typer.Option(help="Results in COCO's keypoint format.", metavar="DT.json")],
    metric: Annotated[
        Literal["oks", "pck", "pckh"],
        typer.Option(
            help="oks: AP and AR of pycocotools; pck: PCK@0.2 of the torso; pckh: PCKh@0.5, for which every annotation has "
            "`head_size` (0.6 times the diagonal of the head's box in px, null where unknown)."
        ),
    ] = "oks",
    backend: Annotated[
        Literal["pycocotools", "faster-coco-eval"],
        typer.Option(help="Who counts AP and AR: the reference, or a faster package (to be installed) that agrees to 15 digits."),
    ] = "pycocotools",
    out: Annotated[Path | None, typer.Option("--json", help="Write the numbers there: 0-1, -1 if undefined.", metavar="OUT")] = None,
) -> None:
    """Measure keypoint results against annotations.

    Example: semipose evaluate --annotations person_keypoints_val2017.json --predictions predictions.json --json metrics.json
    """
    with reported():
        if metric == "oks":
            from semipose.evaluation.metrics.oks import evaluate_oks

            values, note = evaluate_oks(annotations, predictions, backend=backend), f"COCO keypoint evaluation ({backend})"
        elif metric == "pck":
            from semipose.evaluation.metrics.pck import evaluate_pck

            hits = evaluate_pck(annotations, predictions)
            values, note = hits.values(), _pck_note(hits, "an end of the torso is not annotated")
        else:
            from semipose.evaluation.metrics.pckh import evaluate_pckh

            hits = evaluate_pckh(annotations, predictions)
            values, note = hits.values(), _pck_note(hits, "the head size is not known")
        if out:
            write_json(out, values)
        _print_table(values, note)


def _pck_note(hits: "Hits", reason: str) -> str:
    note = f"of {len(hits.hit)} people"
    return note + (f"; {hits.left_out} left out, because {reason}" if hits.left_out else "")


def _print_table(values: dict[str, float], note: str) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table()
    table.add_column("metric")
    table.add_column("0-1", justify="right")
    for name, value in values.items():
        table.add_row(name, "undefined" if value == -1 else f"{value:.3f}")
    Console().print(table)
    typer.echo(note)
