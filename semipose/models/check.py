"""Check that the networks of params.yaml can be made and their
weights loaded, before any data are downloaded.
"""

from typing import TYPE_CHECKING

import torch

from semipose.config.methods import AKM, JointMix, Reviewer
from semipose.models.network import PoseNet
from semipose.models.pretrained import shipped_file, timm_network
from semipose.utils.errors import InputError

if TYPE_CHECKING:
    from semipose.config.network import Model
    from semipose.config.tree import Params


def check_networks(p: "Params") -> None:
    """Check the networks of every run.

    Raises:
        InputError: timm cannot make a network, or it has no way to stride 4.
            Its backbone lacks a frozen layer or a place of Mixup.
            A package of weights is not installed, or weights cannot be downloaded.
    """
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
            elif isinstance(entry, JointMix):
                place, wanted = "place", [*entry.place]
            elif isinstance(entry, Reviewer):
                place, wanted, there = "levels", entry.levels, net.places[1:]
            if lacking := [one for one in wanted if one not in ("none", *there)]:
                raise InputError(
                    f"method.{method}.{place}: {', '.join(lacking)} is not a layer of {model.backbone}; choose from {', '.join(there)}"
                )


def _outline(model: "Model") -> PoseNet:
    """The network without memory for its weights."""
    if model.pretrained == "package":
        shipped_file(model.backbone)
    elif model.pretrained is True:
        timm_network(model)  # from here on, the weights are in the cache of timm's hub client
    with torch.device("meta"):
        return PoseNet(model.model_copy(update={"pretrained": False}), keypoints=1)
