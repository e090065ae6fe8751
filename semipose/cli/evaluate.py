"""`semipose evaluate`: any COCO-format results against any COCO-format annotations."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from semipose.utils.console import reported, write_json
from semipose.utils.errors import InputError

if TYPE_CHECKING:
    from semipose.evaluation.metrics.pck import Hits
    from semipose.pose.skeleton import Skeleton


def evaluate(
    annotations: Annotated[Path, typer.Option(help="Annotations in COCO's keypoint format.", metavar="GT.json")],
    predictions: Annotated[Path, typer.Option(help="Results in COCO's keypoint format.", metavar="DT.json")],
    metric: Annotated[
        Literal["oks", "pck", "pckh"],
        typer.Option(
            help="oks: AP and AR of pycocotools; pck: PCK of the torso at 0.05, 0.1 and 0.2 with its area; pckh: PCKh@0.5, for which "
            "every annotation has `head_size` (0.6 times the diagonal of the head's box in px, null if unknown)."
        ),
    ] = "oks",
    weights: Annotated[Path | None, typer.Option(help="Take sigmas and torso from this weights.safetensors.", metavar="W")] = None,
    sigmas: Annotated[str | None, typer.Option(help="OKS sigma of each joint, separated by commas. Default: COCO's, by name.")] = None,
    torso: Annotated[str | None, typer.Option(help="Two joints, separated by a comma. Default: left_shoulder,right_hip.")] = None,
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
        own = _skeleton(weights)
        if metric == "oks":
            from semipose.evaluation.metrics.oks import evaluate_oks

            given = _numbers(sigmas) if sigmas else own.sigmas if own else None
            values, note = evaluate_oks(annotations, predictions, given, backend), f"COCO keypoint evaluation ({backend})"
        elif metric == "pck":
            from semipose.evaluation.metrics.pck import evaluate_pck
            from semipose.pose.skeleton import COCO17

            ends = tuple(torso.split(",")) if torso else own.torso if own else COCO17.torso
            if len(ends) != 2:
                raise InputError(f"--torso {torso}: must be two joints, separated by a comma")
            hits = evaluate_pck(annotations, predictions, ends)
            values, note = hits.values(), _pck_note(hits, "an end of the torso is not annotated")
        else:
            from semipose.evaluation.metrics.pckh import evaluate_pckh

            hits = evaluate_pckh(annotations, predictions)
            values, note = hits.values(), _pck_note(hits, "the head size is not known")
        if out:
            write_json(out, values)
        _print_table(values, note)


def _skeleton(weights: Path | None) -> "Skeleton | None":
    """That of a weight file."""
    if weights is None:
        return None
    from semipose.models.network import load_network, skeleton_of

    return skeleton_of(load_network(weights)[1])


def _numbers(text: str) -> list[float]:
    try:
        return [float(one) for one in text.split(",")]
    except ValueError:
        raise InputError(f"--sigmas {text}: must be numbers, separated by commas") from None


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
