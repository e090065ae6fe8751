"""Stage `warmup`: each network named in `model.networks`, trained on the labelled people alone."""

import sys
from pathlib import Path

from pipeline import stage
from semipose.batches import Batches, stream
from semipose.crops import CropPack
from semipose.engine import Row, fit, launch
from semipose.methods import Supervised
from semipose.models import build, network_card, save_network
from semipose.params import Supervised as Nothing
from semipose.splits import read_split
from semipose.task import task_of


def warmup(labels: str, seed: str) -> None:
    cell = f"{labels}-s{seed}"
    with stage.opened("warmup", cell, {"labels": labels, "seed": seed}) as (this, tracker):
        p = this.params
        fabric = launch(p.machine, p.train.precision)
        pack = CropPack.open(Path("data/packs/train"))
        split = read_split(Path("data/split") / f"{labels}.json", pack.people)
        task = task_of(p, pack, fabric.device)
        folder = Path("warmups") / f"{p.data.source}-{cell}"
        for name in p.model.networks:
            net = build(p.model, len(task.skeleton.joints), stream(int(seed), f"network {name}", 0))
            batches = Batches(pack, split.labelled, split.labelled, p.warmup.batch_size, stream(int(seed), f"warm-up {name}", 0))

            def report(row: Row, name: str = name) -> None:
                tracker.metrics({f"{name}/{key}": value for key, value in row.items()}, step=int(row["step"]))

            fit(
                Supervised([net], Nothing(base="supervised"), task).train(),
                batches,
                fabric,
                steps=p.steps("warmup", labels),
                lr=p.warmup.lr,
                decay_at=[],
                decay=1.0,
                state=this.state / name,
                checkpoint_seconds=p.machine.checkpoint_seconds,
                observe=lambda method, epoch, last: {},
                report=report,
            )
            card = network_card(p.model, task.skeleton, pack.padding, fingerprint=this.fingerprint, cell=cell, method="warmup")
            save_network(net, folder / f"{name}.safetensors", card)
        this.finish()


if __name__ == "__main__":
    stage.main(warmup, sys.argv[1:])
