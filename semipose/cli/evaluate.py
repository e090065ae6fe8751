"""`semipose evaluate`: any COCO-format results against any COCO-format annotations."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from semipose.utils.console import reported
from semipose.utils.errors import InputError
from semipose.utils.files import write_json

if TYPE_CHECKING:
    from semipose.config.data import Custom
    from semipose.data.annotations import Annotations
    from semipose.evaluation.metrics.pck import Hits
    from semipose.pose.skeleton import Skeleton


def evaluate(
    annotations: Annotated[Path, typer.Option(help="Annotations in COCO's keypoint format.", metavar="GT.json")],
    predictions: Annotated[Path, typer.Option(help="Results in COCO's keypoint format.", metavar="DT.json")],
    metric: Annotated[
        Literal["oks", "pck", "pckh"],
        typer.Option(
            help="AP and AR as pycocotools computes them (oks), PCK at 0.05, 0.1 and 0.2 of the torso with the area under its "
            "curve (pck), or PCKh@0.5 (pckh). The last one needs `head_size` in every annotation: 0.6 times the diagonal of the "
            "head's box in px, null if unknown."
        ),
    ] = "oks",
    weights: Annotated[Path | None, typer.Option(help="Take sigmas and torso from this weights.safetensors.", metavar="W")] = None,
    params: Annotated[Path | None, typer.Option(help="Take sigmas and torso from data.custom of this params.yaml.", metavar="P")] = None,
    sigmas: Annotated[
        str | None,
        typer.Option(
            help="OKS sigma of each joint, separated by commas. Default: those of the set, or of known joints with the same names."
        ),
    ] = None,
    torso: Annotated[
        str | None, typer.Option(help="Two joints, separated by a comma. Default: those of the set, or left_shoulder,right_hip.")
    ] = None,
    pck_reference: Annotated[
        Literal["torso", "box"], typer.Option(help="Unit of pck: the torso, or the longer side of the annotated box.")
    ] = "torso",
    category: Annotated[str | None, typer.Option(help="Category of GT.json. Default: the only one with joints.", metavar="NAME")] = None,
    backend: Annotated[
        Literal["pycocotools", "faster-coco-eval"],
        typer.Option(
            help="Package that computes AP and AR: the reference, or a faster one that agrees to 15 digits and must be installed."
        ),
    ] = "pycocotools",
    out: Annotated[Path | None, typer.Option("--json", help="Write the numbers to this file: 0-1, -1 if undefined.", metavar="OUT")] = None,
) -> None:
    """Evaluate keypoint results against annotations.

    Example: semipose evaluate --annotations person_keypoints_val2017.json --predictions
    predictions.json --json metrics.json
    """
    with reported():
        from semipose.data.annotations import read_annotations

        if weights and params:
            raise InputError("--weights and --params both give sigmas and torso; use only one of them")
        own = _own_set(params) if params else None
        known = read_annotations(annotations, category or (own.category if own else None))
        skeleton = _skeleton(weights, own, known, f"data.custom of {params}")
        if metric == "oks":
            from semipose.evaluation.joints import sigmas_of
            from semipose.evaluation.metrics.average_precision import evaluate_oks

            values = evaluate_oks(known, predictions, _numbers(sigmas) if sigmas else sigmas_of(known, skeleton), backend)
            note = f"COCO keypoint evaluation ({backend})"
        elif metric == "pck":
            hits = _pck(known, predictions, torso, skeleton, pck_reference)
            reason = "an end of the torso is not annotated" if pck_reference == "torso" else "the box has no extent"
            values, note = hits.values(), _pck_note(hits, reason)
        else:
            from semipose.evaluation.metrics.pckh import evaluate_pckh

            hits = evaluate_pckh(known, predictions)
            values, note = hits.values(), _pck_note(hits, "the head size is not known")
        if out:
            write_json(out, values)
        _print_table(values, note)
        for what, count in known.understood.items():
            typer.echo(f"{annotations}: {count:,} {what}")


def _own_set(params: Path) -> "Custom | None":
    """The user's own set in a params.yaml; None for a known set, whose joints are known by name."""
    from semipose.config.load import load

    return load(params).data.custom


def _skeleton(weights: Path | None, own: "Custom | None", known: "Annotations", name: str) -> "Skeleton | None":
    """The skeleton of a weight file, or of the user's own set, which gets this name."""
    if weights:
        from semipose.models.weight_file import load_weights, skeleton_of

        return skeleton_of(load_weights(weights)[1])
    if own is None:
        return None
    from semipose.pose.skeleton import custom

    return custom(known.joints, (), own.pairs, own.sigmas, own.torso, name)


def _numbers(text: str) -> list[float]:
    try:
        return [float(one) for one in text.split(",")]
    except ValueError:
        raise InputError(f"--sigmas {text}: must be numbers, separated by commas") from None


def _pck(
    known: "Annotations", predictions: Path, torso: str | None, skeleton: "Skeleton | None", reference: Literal["torso", "box"]
) -> "Hits":
    from semipose.evaluation.joints import torso_of
    from semipose.evaluation.metrics.pck import evaluate_pck

    if reference == "box":
        return evaluate_pck(known, predictions, reference=reference)
    if torso is None:
        return evaluate_pck(known, predictions, torso_of(known, skeleton))
    first, _, second = torso.partition(",")
    if not second or "," in second:
        raise InputError(f"--torso {torso}: must be two joints, separated by a comma")
    return evaluate_pck(known, predictions, (first, second))


def _pck_note(hits: "Hits", reason: str) -> str:
    note = f"of {len(hits.hit)} people"
    return note + (f"; {hits.left_out} left out because {reason}" if hits.left_out else "")


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
