"""Stage `warmup`: each network named in `model.networks`, trained on the labelled people alone."""

import sys
from pathlib import Path

from pipeline import stage
from pipeline.limit import Limit
from semipose.crops import CropPack
from semipose.engine import launch
from semipose.models import network_card, save_network
from semipose.splits import read_split
from semipose.task import task_of
from semipose.warmup import warm_up


def warmup(labels: str, seed: str) -> None:
    cell = f"{labels}-s{seed}"
    with stage.opened("warmup", cell, {"labels": labels, "seed": seed}) as (this, tracker), Limit(this.params.machine.max_minutes) as limit:
        p = this.params
        fabric = launch(p.machine, p.train.precision)
        pack = CropPack.open(Path("data/packs/train"))
        split = read_split(Path("data/split") / f"{labels}.json", pack.people)
        task = task_of(p, pack, fabric.device)
        for name in p.model.networks:
            net = warm_up(
                name,
                p.model,
                p.warmup,
                fabric,
                pack=pack,
                labelled=split.labelled,
                task=task,
                labels=labels,
                seed=int(seed),
                state=this.state,
                checkpoint_seconds=p.machine.checkpoint_seconds,
                report=tracker.metrics,
                stop=limit,
            )
            card = network_card(p.model, task.skeleton, pack.padding, fingerprint=this.fingerprint, cell=cell, method="warmup")
            save_network(net, Path("warmups") / f"{p.data.source}-{cell}" / f"{name}.safetensors", card)
        this.finish()


if __name__ == "__main__":
    stage.main(warmup, sys.argv[1:])
