"""Trains on made-up people in two processes, for test_groups.py, all its trainings one after the other: `python together.py FOLDER`."""

import sys
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from made_people import made_up

from semipose.augment.task import Task
from semipose.config.load import load
from semipose.data.loading.batches import Batches
from semipose.inference.predict import predict_pack, shared_out
from semipose.methods import build
from semipose.methods.base import Losses
from semipose.models.network import build as build_network
from semipose.pose.skeleton import COCO17
from semipose.training.devices import launch
from semipose.training.trainer import fit
from semipose.utils.errors import Everywhere, Stopped

COUNT, METHODS = 24, ("akm", "sspcm", "denoise_select", "reviewer", "jointmix")
PRESET = Path(__file__).parent.parent / "pipeline" / "presets" / "demo.yaml"


def begun(processes: int) -> Fabric:
    """So many processes, of which this is one."""
    machine = load(PRESET).machine
    return launch(machine.model_copy(update={"accelerator": "cpu", "devices": processes, "threads": 1}), "32-true")


def trained(fabric: Fabric, out: Path, name: str = "akm", stop_after: int = 0, spoilt: int = -1) -> None:
    """With a batch of two groups; writes weights, history and predictions to `out`. `stop_after`: the step from which on the last process
    is asked to stop (0: never); `spoilt`: the step whose loss is no number in the last process (-1: none)."""
    p, processes = load(PRESET), fabric.world_size
    options = {"layers": [1, 1, 1, 1], "channels": [8, 8, 8, 8], "stem_type": "deep", "stem_width": 4}
    model = p.model.model_copy(update={"height": 32, "width": 32, "head_channels": [8, 8, 8], "options": options})
    pack, entry = made_up(COUNT), p.method[name]
    task = Task(COCO17, 32, 32, fabric.device, 1.0, p.augment)
    method = build([build_network(model, 17, seed=k) for k in range(entry.trains)], entry, task.of(entry))
    done = iter(range(1, 100))
    if fabric.global_rank == processes - 1 and spoilt >= 0:
        whole = method.forward
        method.forward = lambda batch, draws: whole(batch, draws) if batch.step != spoilt else _without_number(whole(batch, draws))

    def stop() -> str | None:
        asked = fabric.global_rank == processes - 1 and next(done) >= stop_after > 0
        return "out of time" if asked else None

    batches = Batches(pack, (32, 32), np.arange(6), np.arange(COUNT), batch_size=8, seed=1, groups=2)
    try:
        rows = fit(
            method, batches, fabric, steps=8, lr=0.01, decay_at=[0.5], decay=0.1, state=out.with_suffix(".state"), checkpoint_seconds=1e9,
            observe=lambda method, epoch, last: {"observed": epoch}, report=lambda row: None, stop=stop,
        )  # fmt: skip
    except (Stopped, Everywhere) as ended:
        print(f"{out.name}, rank {fabric.global_rank}: {ended}", flush=True)  # it ends with the first one, with what it has not said yet
        return
    poses = shared_out(
        lambda chosen: predict_pack(method.net, pack, chosen, (32, 32), False, "quarter", 5, "cpu"), np.arange(COUNT), fabric
    )
    weights = [value.clone() for value in method.state_dict().values()]
    if processes > 1:
        for value in weights:
            first = fabric.broadcast(value)
            assert torch.equal(first, value), "every process ends with the same weights"
    if fabric.is_global_zero:
        torch.save({"weights": method.state_dict(), "rows": rows, "points": torch.from_numpy(poses.points)}, out)


def refused(*_: object, **__: object) -> None:
    raise AssertionError("the host waits at a barrier: Fabric's own all_reduce does in each step")


def _without_number(losses: Losses) -> Losses:
    return losses._replace(terms=losses.terms | {"supervised": losses.terms["supervised"] * torch.nan})


if __name__ == "__main__":
    both, folder = begun(2), Path(sys.argv[1])
    torch.distributed.barrier = refused  # of Fabric too, which has none of its own
    for method in METHODS:
        trained(both, folder / method, method)
    trained(both, folder / "cut", stop_after=3)
    trained(both, folder / "spoilt", spoilt=2)
