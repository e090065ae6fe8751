"""The networks that a run starts with: from the stage `warmup`, or warmed up inside the run."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from pipeline.runtime.material import Material
from pipeline.runtime.stage import Stage
from semipose.config.network import Model, Warmup
from semipose.models.network import PoseNet
from semipose.models.weight_file import load_network
from semipose.pose.skeleton import Skeleton
from semipose.training.trainer import Row
from semipose.training.warmup import warm_up
from semipose.utils.errors import InputError


def first_networks(
    this: Stage, fabric: Fabric, material: Material, report: Callable[[Row, int], None], stop: Callable[[], str | None]
) -> list[PoseNet]:
    """Load or warm up the networks that the run's entry of `method` trains.

    A network is warmed up here if the entry describes it, all of them if the entry has its own
    warm-up.

    Args:
        this: The run of the stage.
        fabric: The launched Fabric.
        material: What it learns from.
        report: Gets each epoch's row of a warm-up, and its step.
        stop: Gives a reason to stop, or None.

    Raises:
        InputError: The networks of the stage `warmup` are not those of params.yaml.
    """
    p, method = this.params, this.item["method"]
    entry, warm = p.method[method], warming(this, fabric, material, report, stop)
    nets = []
    for name in p.model.networks[: entry.trains]:
        model = p.network(method, name)
        if entry.warmup or name in entry.networks:
            nets.append(warm(name, model, entry.warmup or p.warmup))
        else:
            path = Path("warmups") / f"{p.data.source}-{this.item['labels']}-s{this.item['seed']}" / f"{name}.safetensors"
            net, metadata = warmed_up(path, model, material.task.skeleton)
            this.forget(metadata["fingerprint"])
            nets.append(net)
    return nets


def warming(
    this: Stage, fabric: Fabric, material: Material, report: Callable[[Row, int], None], stop: Callable[[], str | None]
) -> Callable[[str, Model, Warmup], PoseNet]:
    """Return a function that warms up a network of the given name inside this run."""
    return partial(
        warm_up,
        fabric=fabric,
        pack=material.pack,
        labelled=material.split.labelled,
        task=material.task,
        labels=this.item["labels"],
        seed=int(this.item["seed"]),
        groups=this.params.train.batch_groups,
        state=this.state / "warmup",
        checkpoint_seconds=this.params.machine.checkpoint_seconds,
        compiled=this.params.machine.compile,
        graphed=this.params.machine.graphs,
        report=report,
        stop=stop,
    )


def warmed_up(path: Path, model: Model, skeleton: Skeleton) -> tuple[PoseNet, dict[str, Any]]:
    """Read the weight file of a warm-up.

    Args:
        path: The file.
        model: Parameters that the network must have; how it was initialised does not count.
        skeleton: Joints that it must have.

    Returns:
        The network and its metadata.

    Raises:
        InputError: The file is missing, or was written for another network or another skeleton.
    """
    net, metadata = load_network(path)
    start = {"pretrained", "networks"}
    theirs = {"joints": metadata["skeleton"]["joints"], **net.model.model_dump(exclude=start)}
    ours = {"joints": list(skeleton.joints), **model.model_dump(exclude=start)}
    for key, value in ours.items():
        if value != theirs[key]:
            raise InputError(f"{path} was warmed up with {key} = {theirs[key]}, now it is {value}: run `dvc repro` to warm up again")
    net.model = model
    return net, metadata
