"""The networks that a cell begins with: as the stage `warmup` left them, or warmed up in the cell."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from pipeline.runtime.material import Material
from pipeline.runtime.stage import Stage
from semipose.config.network import Model
from semipose.models.network import PoseNet, load_network
from semipose.pose.skeleton import Skeleton
from semipose.training.trainer import Row
from semipose.training.warmup import warm_up
from semipose.utils.errors import InputError


def first_networks(
    this: Stage,
    method: str,
    labels: str,
    seed: int,
    fabric: Fabric,
    material: Material,
    report: Callable[[Row, int], None],
    stop: Callable[[], str | None],
) -> list[PoseNet]:
    """As many as the entry `method` trains. One that the entry describes itself, or all where it has a warm-up of its own, are warmed up
    here (semipose.warmup.warm_up, with `report` and `stop`). Raises InputError where the stage's are not those of params.yaml."""
    p, entry = this.params, this.params.method[method]
    nets = []
    for name in p.model.networks[: entry.trains]:
        model = p.network(method, name)
        if entry.warmup is None and name not in entry.networks:
            path = Path("warmups") / f"{p.data.source}-{labels}-s{seed}" / f"{name}.safetensors"
            net, metadata = warmed_up(path, model, material.task.skeleton)
            this.forget(metadata["fingerprint"])
            nets.append(net)
            continue
        net = warm_up(
            name,
            model,
            entry.warmup or p.warmup,
            fabric,
            pack=material.pack,
            labelled=material.split.labelled,
            task=material.task,
            labels=labels,
            seed=seed,
            groups=p.train.batch_groups,
            state=this.state / "warmup",
            checkpoint_seconds=p.machine.checkpoint_seconds,
            compiled=p.machine.compile,
            report=report,
            stop=stop,
        )
        nets.append(net)
    return nets


def warmed_up(path: Path, model: Model, skeleton: Skeleton) -> tuple[PoseNet, dict[str, Any]]:
    """The network of a warm-up's weight file, and its metadata.

    Raises:
        InputError: The file was written for another network or another skeleton.
    """
    net, metadata = load_network(path)
    start = {"pretrained", "networks"}
    theirs = {"joints": metadata["skeleton"]["joints"], **net.model.model_dump(exclude=start)}
    ours = {"joints": list(skeleton.joints), **model.model_dump(exclude=start)}
    for key, value in ours.items():
        if value != theirs[key]:
            raise InputError(f"{path} was warmed up with {key} = {theirs[key]}, now it is {value}: run `dvc repro`, which warms up anew")
    net.model = model
    return net, metadata
