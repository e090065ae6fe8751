"""Whether the networks that params.yaml describes can be made and their weights be had, found out before any data are downloaded."""

from typing import TYPE_CHECKING

import torch

from semipose.config.methods import AKM, Reviewer
from semipose.models.network import PoseNet
from semipose.models.pretrained import shipped_file, timm_network
from semipose.utils.errors import InputError

if TYPE_CHECKING:
    from semipose.config.network import Model
    from semipose.config.tree import Params


def check_networks(p: "Params") -> None:
    """Raises InputError for a network of a cell that timm cannot make or that has no way to stride 4, a frozen layer or a place of Mixup
    that its backbone lacks, a package of weights that is not installed, weights that cannot be downloaded."""
    found: dict[str, PoseNet] = {}
    for method in dict.fromkeys((*p.sweep.methods, *p.ablation.variants)):
        entry = p.method[method]
        for name in p.model.networks[: entry.trains]:
            model = p.network(method, name)
            key = model.model_dump_json()
            net = found[key] = found.get(key) or _outline(model)
            place, wanted, there = "mixup.place", list[str](), net.places
            if isinstance(entry, AKM):
                wanted = [*entry.mixup.place]
            elif isinstance(entry, Reviewer):
                place, wanted, there = "levels", entry.levels, net.places[1:]
            if lacking := [one for one in wanted if one not in ("none", *there)]:
                raise InputError(f"method.{method}.{place}: {', '.join(lacking)} is none of {model.backbone}, which has {', '.join(there)}")


def _outline(model: "Model") -> PoseNet:
    """The network without the numbers in it."""
    if model.pretrained == "package":
        shipped_file(model.backbone)
    elif model.pretrained is True:
        timm_network(model)  # from here on the weights are in the cache of timm's hub client
    with torch.device("meta"):
        return PoseNet(model.model_copy(update={"pretrained": False}), keypoints=1)
