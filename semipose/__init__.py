"""A reproducible laboratory for semi-supervised 2D human pose estimation.

The public names below load what they need when they are
first used, so `import semipose` takes no time.
"""

import sys
import warnings
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from semipose.data.people import People as People
    from semipose.data.sources import read_people as read_people
    from semipose.evaluation.metrics.average_precision import evaluate_oks as evaluate_oks
    from semipose.evaluation.metrics.pck import evaluate_pck as evaluate_pck
    from semipose.evaluation.metrics.pckh import evaluate_pckh as evaluate_pckh
    from semipose.inference.poser import Poser as Poser
    from semipose.models.network import PoseNet as PoseNet
    from semipose.models.weight_file import load_network as load_network
    from semipose.pose.skeleton import SKELETONS as SKELETONS
    from semipose.pose.skeleton import Skeleton as Skeleton

PUBLIC = {
    "People": "semipose.data.people",
    "PoseNet": "semipose.models.network",
    "Poser": "semipose.inference.poser",
    "SKELETONS": "semipose.pose.skeleton",
    "Skeleton": "semipose.pose.skeleton",
    "evaluate_oks": "semipose.evaluation.metrics.average_precision",
    "evaluate_pck": "semipose.evaluation.metrics.pck",
    "evaluate_pckh": "semipose.evaluation.metrics.pckh",
    "load_network": "semipose.models.weight_file",
    "read_people": "semipose.data.sources",
}

__all__ = list(PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in PUBLIC:
        raise AttributeError(f"module 'semipose' has no attribute {name!r}")
    return getattr(import_module(PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *PUBLIC})


class _Moved(ModuleType):
    """The address of a module in 0.1; removed in 0.3."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        warnings.warn("semipose.poser has moved: use `from semipose import Poser`", DeprecationWarning, stacklevel=2)
        return getattr(import_module("semipose.inference.poser"), name)


sys.modules["semipose.poser"] = poser = _Moved("semipose.poser")
