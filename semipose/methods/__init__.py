"""One file per method; each reads like its paper.

`build` makes the method that an entry of params.yaml describes.
"""

from typing import TYPE_CHECKING, Any

from semipose.methods.akm import AKM
from semipose.methods.base import Losses, Method
from semipose.methods.datadistill import DataDistill
from semipose.methods.denoise_select import DenoiseSelect
from semipose.methods.jointmix import JointMix
from semipose.methods.multiaugs import MultiAugs
from semipose.methods.posecons import PoseCons
from semipose.methods.posedual import PoseDual
from semipose.methods.pseudopose import PseudoPose
from semipose.methods.reviewer import Reviewer
from semipose.methods.sspcm import SSPCM
from semipose.methods.supervised import Supervised

if TYPE_CHECKING:
    from semipose.augment.task import Task
    from semipose.config.methods import Method as Entry
    from semipose.models.network import PoseNet

__all__ = [
    "AKM",
    "SSPCM",
    "DataDistill",
    "DenoiseSelect",
    "JointMix",
    "Losses",
    "Method",
    "MultiAugs",
    "PoseCons",
    "PoseDual",
    "PseudoPose",
    "Reviewer",
    "Supervised",
    "build",
]

METHODS: dict[str, Any] = {
    "akm": AKM,
    "datadistill": DataDistill,
    "denoise_select": DenoiseSelect,
    "jointmix": JointMix,
    "multiaugs": MultiAugs,
    "posecons": PoseCons,
    "posedual": PoseDual,
    "pseudopose": PseudoPose,
    "reviewer": Reviewer,
    "sspcm": SSPCM,
    "supervised": Supervised,
}


def build(nets: list["PoseNet"], method: "Entry", task: "Task") -> Method:
    """Make the method of an entry, in train mode.

    Args:
        nets: Its networks, as many as `method.trains`.
        method: The entry of `method`.
        task: Views and targets.
    """
    made: Method = METHODS[method.base](nets, method, task)
    return made.train()
