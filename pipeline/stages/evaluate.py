"""Stages `evaluate` and `evaluate_ablation`: scores of one trained run, and pictures of its best,
median and worst people.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.runtime import stage
from pipeline.runtime.material import open_pack
from semipose.augment.task import task_of
from semipose.config.tree import Evaluate, Params
from semipose.data.loading.pack import CropPack
from semipose.data.people import CLAMPED
from semipose.evaluation.evaluate import Evaluation, evaluate, headline, mean
from semipose.evaluation.overlays import found_poses, ranked, sample, true_poses
from semipose.models.network import Ensemble, PoseNet
from semipose.models.weight_file import load_network, save_network
from semipose.pose.drawing import save_pictures
from semipose.pose.skeleton import Skeleton
from semipose.training.devices import launch
from semipose.utils.errors import InputError
from semipose.utils.files import replacing, write_json, write_text

TRAINING = ("steps", "batch_size", "warmup_steps", "networks", "reported", "forward_passes", "gflop", "warmup_gflop", "masks", "simple")
SHOWN = 24  # number of people for whom the report shows every method's pose


def evaluate_run(name: str, method: str, labels: str, seed: str) -> None:
    """Evaluate one trained run, and write its record, scores, pictures and weight file.

    Args:
        name: Name of the stage, `evaluate` or `evaluate_ablation`.
        method: Entry of `method`.
        labels: The budget.
        seed: The seed.

    Raises:
        InputError: As `stage.opened`; or a file of the training is missing or damaged.
    """
    with stage.opened(name, method=method, labels=labels, seed=seed) as (this, tracker):
        p = this.params
        full = f"{p.data.source}-{this.run}"
        folder, reports = Path("runs") / full, Path("reports")
        fabric = launch(p.machine, "32-true")
        val = open_pack("val")
        detected = open_pack("val_detected") if p.evaluate.boxes == "detector" else None
        nets, metadata = _networks(folder, val.people.skeleton, fabric.device)
        task = task_of(p, val, fabric.device)
        truth = json.loads(Path("data/packs/val.json").read_text(encoding="utf-8"))
        each = {name: evaluate(net, task, val, truth, p.evaluate, detected, fabric) for name, net in nets.items()}
        if len(nets) > 1:
            together = evaluate(Ensemble(list(nets.values())), task, val, truth, p.evaluate, detected, fabric)
            each |= {"mean": mean(list(each.values())), "ensemble": together}
        this.forget(metadata["fingerprint"])
        if not fabric.is_global_zero:
            return
        save_network(next(iter(nets.values())), folder / "weights.safetensors", metadata | _as_evaluated(p, val))
        found, metric = each[metadata["training"]["reported"]], headline(p.evaluate)

        write_text(folder / "predictions.json", json.dumps(found.results))
        numbers, pictures = reports / "runs" / full, reports / "pictures" / full
        for name, picture in _draw(pictures, numbers / "people.csv", val, found, p.evaluate).items():
            tracker.file(f"people/{name}.jpg", picture)
        for table in ("history.csv", "masks.csv", "pseudo_labels.csv"):
            shutil.copyfile(folder / table, numbers / table)
        with replacing(numbers / "scores.npz") as temporary, temporary.open("wb") as file:
            alone = {net: one for net, one in each.items() if net != "mean"}
            scores: dict[str, Any] = {f"score/{net}": np.round(one.scores, 4).astype(np.float32) for net, one in alone.items()}
            np.savez_compressed(file, id=val.people.ids, **scores)
        write_text(numbers / "bootstrap.csv", "\n".join([metric, *(f"{100 * value:.4f}" for value in found.resamples[metric])]) + "\n")
        cost = json.loads((folder / "cost.json").read_text(encoding="utf-8"))
        record = _record(this, metadata, found, cost["commit"])
        if len(nets) > 1:
            record["metrics"] |= {f"{name}/{metric}": one.metrics[metric] for name, one in each.items()}
        write_json(reports / "runs" / f"{full}.json", record)
        tracker.dataset(f"{p.data.source}-val", "validation", "data/packs/val", val.digest[:32], people=len(val.people))
        tracker.file("predictions.json", folder / "predictions.json")
        final = {name: round(score["value"], 2) for name, score in record["metrics"].items() if score["value"] is not None}
        # Versions of the registered model: the seeds, and later runs.
        registered = f"{p.data.source}-{method}-{labels}" if this.name == "evaluate" else ""
        tracker.model(folder / "weights.safetensors", final, metadata["fingerprint"], full, registered)
        undefined = [name for name, score in record["metrics"].items() if score["value"] is None]
        if undefined:
            tracker.note(f"Undefined, because no validation person has the annotations that it needs: {', '.join(undefined)}.")
        value = record["metrics"][metric]["value"]
        print(f"{full}: {metric} {'undefined' if value is None else f'{value:.2f}'}")


def _networks(folder: Path, skeleton: Skeleton, device: torch.device) -> tuple[dict[str, PoseNet], dict[str, Any]]:
    """Read the networks of a trained run.

    Returns:
        The networks by name, in their order, and the metadata of the first.

    Raises:
        InputError: They were trained for another skeleton.
    """
    names = json.loads((folder / "networks" / "names.json").read_text(encoding="utf-8"))
    loaded = {name: load_network(folder / "networks" / f"{name}.safetensors") for name in names}
    metadata = loaded[names[0]][1]
    if metadata["skeleton"]["joints"] != list(skeleton.joints):
        raise InputError(
            f"{folder / 'networks'} was trained for the joints of {metadata['skeleton']['name']}, but the validation "
            f"people have those of {skeleton.name}: run `dvc repro` to train again"
        )
    return {name: net.to(device) for name, (net, _) in loaded.items()}, metadata


def _as_evaluated(p: Params, val: CropPack) -> dict[str, Any]:
    """Settings of the evaluation for the weight file, so that `semipose predict` does the same."""
    crop = {"size": val.size, "extent": val.extent, "quality": val.quality, "clamped": p.data.source in CLAMPED}
    return {"crop": crop, "decode": p.evaluate.decode, "flip_test": p.evaluate.flip_test}


def _draw(folder: Path, scored: Path, val: CropPack, found: Evaluation, p: Evaluate) -> dict[str, Path]:
    """Write sheets of the best, median and worst people, and return them by name.

    For the report, which shows every method on the same people, some people are also written
    one by one, with truth and prediction, and their scores in a table.
    """
    made = dict(ranked(val, found.predictions, found.scores, p.overlays, "OKS" if p.metric == "oks" else headline(p)))
    chosen = sample(found.scores, SHOWN)
    ids = val.people.ids[chosen]
    made |= {f"{person}-truth": picture for person, picture in zip(ids, true_poses(val, chosen), strict=True)}
    made |= {f"{person}": picture for person, picture in zip(ids, found_poses(val, found.predictions, chosen), strict=True)}
    paths = save_pictures(folder, made)
    rows = (f"{person},{found.scores[k]:.4f}" for person, k in zip(ids, chosen, strict=True))
    write_text(scored, "\n".join(["id,score", *rows]) + "\n")
    return {name: path for name, path in paths.items() if name in ("best", "median", "worst")}


def _record(this: stage.Stage, metadata: dict[str, Any], found: Evaluation, commit: str) -> dict[str, Any]:
    p, training = this.params, metadata["training"]
    cost = round(training["gflop"] * training["steps"] * training["batch_size"], 1)  # of the whole training, not of one pair
    training = training | {"forward_passes": training["passes"], "gflop": cost, "warmup_gflop": round(training["warmup_gflop"], 1)}
    return {
        "cell": f"{p.data.source}-{this.run}",  # the name of the run; archived records have this key
        "data": p.data.source,
        "stage": "train" if this.name == "evaluate" else "ablate",
        "method": this.item["method"],
        "base": metadata["method"]["base"],
        "labels": this.item["labels"],
        "seed": int(this.item["seed"]),
        "labelled": training["labelled"],
        "unlabelled": training["unlabelled"],
        "fingerprint": metadata["fingerprint"],
        "commit": commit,
        "protocol": {
            "metric": p.evaluate.metric,
            "headline": headline(p.evaluate),
            "boxes": p.evaluate.boxes.replace("_", " "),
            "flip_test": p.evaluate.flip_test,
            "decode": p.evaluate.decode,
            "epoch": "last",
            "people": len(found.results),
            "input": f"{metadata['model']['height']}x{metadata['model']['width']}",
            "backbone": metadata["model"]["backbone"],
            "bootstrap": p.evaluate.bootstrap,
        },
        "training": {name: training[name] for name in TRAINING},
        "parameters": metadata["method"],
        "metrics": found.metrics,
    }


if __name__ == "__main__":
    stage.main(evaluate_run, sys.argv[1:])
