"""The warm-up: a network trained on labelled people only, from which every method starts."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from semipose.config.budget import by_budget
from semipose.config.methods import Supervised as Nothing
from semipose.data.loading.batches import Batches
from semipose.methods import Supervised
from semipose.models.network import PoseNet, build
from semipose.training.trainer import Row, fit
from semipose.utils.seeding import stream

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from semipose.augment.task import Task
    from semipose.config.network import Model, Warmup
    from semipose.data.loading.pack import CropPack
    from semipose.models.compile import Mode


def warm_up(
    name: str,
    model: "Model",
    p: "Warmup",
    fabric: "Fabric",
    *,
    pack: "CropPack",
    labelled: NDArray[np.int64],
    task: "Task",
    labels: str,
    seed: int,
    groups: int,
    state: Path,
    checkpoint_seconds: float,
    compiled: "Mode" = "none",
    graphed: bool = False,
    report: Callable[[Row, int], None],
    stop: Callable[[], str | None] = lambda: None,
) -> PoseNet:
    """Train one network on labelled people only.

    The labelled view is the weak view alone, whatever `augment.labelled` says.
    Its random weights and the order of its people are those of its name and the seed, so that
    networks of different names differ.

    Args:
        name: Name of the network.
        model: Its parameters.
        p: Parameters of the warm-up.
        fabric: The launched Fabric.
        pack: Crop pack of the training people.
        labelled: Positions of the labelled people in the pack, [L].
        task: Views and targets.
        labels: The budget, on which the number of steps may depend.
        seed: Seed of the run.
        groups: Number of groups of a step (`train.batch_groups`).
        state: Folder of checkpoints, also of a training that `stop` ended; the network has a folder
            of its name there.
        checkpoint_seconds: As for `trainer.fit`.
        compiled: As for `trainer.fit`.
        graphed: As for `trainer.fit`.
        report: Gets each epoch's row, whose keys begin with `<name>/`, and its step.
        stop: As for `trainer.fit`.

    Returns:
        The trained network.
    """
    net = build(model, len(task.skeleton.joints), stream(seed, f"network {name}", 0))
    plain = Nothing(base="supervised", labelled=[])
    fit(
        Supervised([net], plain, task.of(plain)).train(),
        Batches(pack, task.size, labelled, labelled, p.batch_size, stream(seed, f"warm-up {name}", 0), groups=groups),
        fabric,
        steps=by_budget(p.steps, labels),
        lr=p.lr,
        state=state / name,
        checkpoint_seconds=checkpoint_seconds,
        report=lambda row: report({f"{name}/{key}": value for key, value in row.items()}, int(row["step"])),
        stop=stop,
        compiled=compiled,
        graphed=graphed,
        title=f"warm-up of {name}",
    )
    return net
