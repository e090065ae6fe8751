"""Stage `warmup`: train each network of `model.networks` on labelled people only."""

import sys
from pathlib import Path

from pipeline.runtime import stage
from pipeline.runtime.limit import limited
from pipeline.runtime.material import read_material
from pipeline.runtime.networks import warming
from semipose.models.weight_file import network_metadata, save_network
from semipose.training.devices import launch


def warmup(labels: str, seed: str) -> None:
    with stage.opened("warmup", labels=labels, seed=seed) as (this, tracker), limited(this.params.machine.max_minutes) as limit:
        p = this.params
        fabric = launch(p.machine, p.train.precision)
        material = read_material(p, labels, int(seed), fabric.device, tracker)
        warm = warming(this, fabric, material, tracker.metrics, limit)
        for name in p.model.networks:
            net = warm(name, p.model, p.warmup)
            if not fabric.is_global_zero:
                continue
            origin = {"fingerprint": this.fingerprint, "cell": this.run, "method": "warmup"}
            metadata = network_metadata(p.model, material.task.skeleton, material.pack.padding, **origin)
            save_network(net, Path("warmups") / f"{p.data.source}-{this.run}" / f"{name}.safetensors", metadata)


if __name__ == "__main__":
    stage.main(warmup, sys.argv[1:])
