"""The model card: training data and method of a weight file,
its scores, and what it may be used for.
"""

from collections.abc import Mapping
from typing import Any

TERMS = {  # data set -> its name, and where to find its terms
    "demo": "synthetic people rendered by semipose",
    "coco": "COCO 2017 keypoints (terms of use: cocodataset.org)",
    "flic": "Frames Labeled In Cinema (Sapp and Taskar, CVPR 2013)",
    "lsp": "Leeds Sports Pose Extended (Johnson and Everingham, CVPR 2011)",
    "mpii": "MPII Human Pose (Andriluka et al., CVPR 2014; terms on its web page)",
    "aic": "AI Challenger keypoints (Wu et al., 2017; terms on its web page)",
    "custom": "the trainer's own data set",
}


def model_card(card: Mapping[str, Any], run: Mapping[str, Any] | None, licence: str, weights: int) -> str:
    """Markdown of a model card, with a header that model hubs read.

    Args:
        card: Metadata of the weight file.
        run: The record reports/runs/<run>.json, if there is one.
        licence: Licence of the weights, as model hubs name it.
        weights: Number of weights of the network.
    """
    model, joints = card["model"], card["skeleton"]["joints"]
    height, width = model["height"], model["width"]
    training, method = card.get("training", {}), card.get("method", {})
    base = method["base"] if isinstance(method, Mapping) else method
    facts = {  # metadata and records have the name of the run as "cell"
        "backbone": f"{model['backbone']}, {weights / 1e6:.2f} million weights",
        "input": f"RGB crop, {height} x {width} px, the person's box grown by {card['padding']:g} to this aspect",
        "output": f"{len(joints)} heatmaps, one cell for {card['stride']} x {card['stride']} px, Gaussians of {model['sigma']:g} cells",
        "joints": ", ".join(joints),
        "method": f"{base or 'not known'}, network `{card.get('network', 'net')}`",
        "training": _training(training),
        "data": TERMS.get(run["data"], run["data"]) if run else "not known: reports/runs/ has no record of this run",
        "run": f"`{card.get('cell', 'not known')}`, fingerprint `{card.get('fingerprint', 'not known')}`"
        + (f", commit `{run['commit']}`" if run else ""),
        "licence of the weights": licence,
    }
    table = "\n".join(f"| {key} | {value.replace('|', '/')} |" for key, value in facts.items())
    return f"""---
license: {licence.lower()}
library_name: semipose
pipeline_tag: keypoint-detection
tags: [human-pose-estimation, semi-supervised, {base}]
---

# {run["cell"] if run else card.get("cell", "A pose network")}

Keypoints of one person in a crop. Trained with semipose, a laboratory for semi-supervised human pose estimation.

| | |
|---|---|
{table}

## How good it is

{_results(card, run)}

## How to use it

- `python example.py IMAGE [X Y WIDTH HEIGHT]`: onnxruntime, numpy and pillow alone.
- `semipose predict IMAGES --weights model.safetensors --out poses`
- `model.onnx` takes crops as they are: `images`, uint8 [B, 3, {height}, {width}], RGB; it gives `heatmaps`, float32.

## What it is not for

It was measured only on people like those above: measure it on yours (`semipose evaluate`) before you rely on it. A joint that
cannot be seen still gets a place; its confidence says how far to trust it. It does not find people: it needs their boxes.
"""


def _training(training: Mapping[str, Any]) -> str:
    if not training:
        return "not known"
    return (
        f"{training['labelled']:,} labelled and {training['unlabelled']:,} unlabelled people; {training['warmup_steps']:,} warm-up steps, "
        f"then {training['steps']:,} steps of {training['batch_size']} labelled people (and as many unlabelled ones)"
    )


def _results(card: Mapping[str, Any], run: Mapping[str, Any] | None) -> str:
    if run is None:
        return "Not known: reports/runs/ has no record of this run. `semipose evaluate` measures it."
    protocol, name = run["protocol"], run["protocol"]["headline"]
    score = run["metrics"].get(f"{card.get('network')}/{name}", run["metrics"][name])
    interval = f" [{score['low']:.1f}, {score['high']:.1f}]" if score["low"] is not None else ""
    flip = "with" if protocol["flip_test"] else "without"
    return (
        f"**{name} {score['value']:.1f}**{interval} (0-100; bootstrap 95 % interval) on {protocol['people']:,} validation people: boxes "
        f"{protocol['boxes']}, {flip} flip test, decoding {protocol['decode']}, {protocol['epoch']} epoch."
    )
