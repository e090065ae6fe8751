"""One file per method; each reads like its paper. `build` makes the method that an entry of params.yaml describes."""

from typing import TYPE_CHECKING

from semipose.methods.akm import AKM
from semipose.methods.method import Losses, Method, PseudoLabels
from semipose.methods.supervised import Supervised

if TYPE_CHECKING:
    from semipose import params
    from semipose.models import PoseNet
    from semipose.task import Task

__all__ = ["AKM", "Losses", "Method", "PseudoLabels", "Supervised", "build"]


def build(net: "PoseNet", method: "params.Method", task: "Task") -> Method:
    """The method with its network in train mode."""
    made: Method = AKM(net, method, task) if method.base == "akm" else Supervised(net, method, task)
    return made.train()
