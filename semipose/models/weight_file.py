"""Weight files: a network's weights as safetensors, with the metadata that one must know to use them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors.torch
from torch import Tensor, nn

from semipose.models.network import PoseNet, build
from semipose.pose.heatmap import STRIDE
from semipose.utils.errors import InputError
from semipose.utils.files import replacing

if TYPE_CHECKING:
    from semipose.config.network import Model
    from semipose.pose.skeleton import Skeleton


def network_metadata(model: "Model", skeleton: "Skeleton", padding: float, **more: Any) -> dict[str, Any]:
    """Make the metadata that one must know to use a network's weights.

    Args:
        model: Parameters of the network.
        skeleton: The joints of its heatmaps.
        padding: Factor by which a box grows before it becomes a crop.
        more: Further fields; they replace those of the same name, such as `decode` (by default that
            of the released code).
    """
    return {
        "skeleton": {
            "name": skeleton.name,
            "joints": skeleton.joints,
            "limbs": skeleton.limbs,
            "pairs": skeleton.pairs,
            "sigmas": skeleton.sigmas,
            "torso": skeleton.torso,
        },
        "model": model.model_dump(mode="json"),
        "padding": padding,
        "stride": STRIDE,
        "decode": "quarter",
        **more,
    }


def skeleton_of(metadata: Mapping[str, Any]) -> "Skeleton":
    """The skeleton in a weight file's metadata.

    Files of semipose 0.1 have no torso; it is then COCO's, by the joints' names.

    Raises:
        KeyError: The metadata has no skeleton.
    """
    from semipose.pose.skeleton import COCO17, Skeleton

    known = metadata["skeleton"]
    joints = tuple(known["joints"])
    limbs, pairs = (tuple((int(a), int(b)) for a, b in known[name]) if name in known else None for name in ("limbs", "pairs"))
    torso = known.get("torso") or (COCO17.torso if set(COCO17.torso) <= set(joints) else ("", ""))
    return Skeleton(str(known["name"]), joints, limbs or (), tuple(known.get("sigmas", ())), tuple(torso), pairs)


def save_network(net: nn.Module, path: Path, metadata: Mapping[str, Any]) -> None:
    """Write weights and batch-norm statistics as safetensors, with metadata.

    The metadata is one JSON text under the key "semipose".
    safetensors writes several keys in any order, and equal networks must give equal files.

    Args:
        net: The network, or several as one (Ensemble).
        path: The file.
        metadata: What one needs to use the weights.
    """
    tensors = {name: value.detach().cpu().contiguous() for name, value in net.state_dict().items()}
    data = safetensors.torch.save(tensors, {"semipose": json.dumps(metadata)})
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def load_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read tensors and metadata of a file that `save_network` wrote; code in the file is never run.

    Raises:
        InputError: The file is missing, damaged or has no metadata of semipose.
    """
    try:
        with safetensors.safe_open(path, "pt") as file:
            metadata = json.loads((file.metadata() or {}).get("semipose", "null"))
            if not isinstance(metadata, dict):
                raise InputError(f"{path} has no metadata of semipose; use a weights.safetensors that the stage `evaluate` wrote")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (a file is not a mapping)
            return _renamed(tensors, metadata)
    except FileNotFoundError:
        raise InputError(f"{path}: no such weight file; check the path") from None
    except (safetensors.SafetensorError, json.JSONDecodeError, OSError) as error:
        raise InputError(f"{path} is not a semipose weight file (safetensors with metadata): {error}") from None


def _renamed(tensors: dict[str, Tensor], metadata: dict[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Rename what semipose 0.1 wrote, where the backbone was called trunk."""
    if isinstance(model := metadata.get("model"), dict) and "trunk" in model:
        metadata["model"] = {"backbone" if key == "trunk" else key: value for key, value in model.items()}
        tensors = {f"backbone.{name[6:]}" if name.startswith("trunk.") else name: value for name, value in tensors.items()}
    return tensors, metadata


def load_network(path: Path) -> tuple[PoseNet, dict[str, Any]]:
    """Make the network of a weight file.

    Returns:
        The network in eval mode, and its metadata.

    Raises:
        InputError: The file is missing, damaged, or its metadata does not describe its weights.
    """
    from semipose.config.network import Model

    tensors, metadata = load_weights(path)
    try:
        model = Model.model_validate({"frozen": [], **metadata["model"], "pretrained": False})  # semipose 0.1 froze nothing
        net = build(model, len(metadata["skeleton"]["joints"]), seed=0)
        net.load_state_dict(tensors)
    except (KeyError, ValueError, RuntimeError, TypeError) as error:
        raise InputError(
            f"{path}: its metadata does not describe its weights: {error}; use a weights.safetensors that the stage `evaluate` wrote"
        ) from None
    return net.eval(), metadata
