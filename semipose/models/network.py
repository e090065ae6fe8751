"""The pose network: a backbone and a head of deconvolutions (Simple Baselines, arXiv 1804.06208).

The head has as many deconvolutions as bring the features to stride 4.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from semipose.models.backbones import backbone_of
from semipose.pose.heatmap import STRIDE
from semipose.utils.errors import InputError
from semipose.utils.precision import full_float32

if TYPE_CHECKING:
    from semipose.config.network import Model


class ExactConv2d(nn.Conv2d):
    """A convolution in float32, whatever the autocast: bfloat16 heatmaps cost a point of PCK
    (docs/notebook/real-people.md).
    """

    def forward(self, features: Tensor) -> Tensor:
        with torch.autocast(features.device.type, enabled=False):
            return super().forward(features.float())


class PoseNet(nn.Module):
    """Heatmaps of K keypoints: [B, 3, H, W] normalised images -> [B, K, H/4, W/4].

    The head has 4x4 deconvolutions of stride 2 without bias, each with batch norm and ReLU, and a
    1x1 convolution at the end.
    Weights of the head ~ N(0, 0.001^2), bias 0 (methods.md 1.4).
    Layers of `model.frozen` keep their weights and batch-norm statistics.
    Images are normalised with ImageNet's mean and deviation; if the backbone's weights need other
    values, the stem converts.

    Raises:
        InputError: The backbone cannot be made, lacks a frozen layer, or does not fit the head's
            deconvolutions or the input's size.
    """

    def __init__(self, model: "Model", keypoints: int) -> None:
        super().__init__()
        self.model = model
        backbone = backbone_of(model)
        self.backbone = nn.ModuleDict(backbone.layers)
        self.any_size = backbone.any_size
        if unknown := [name for name in model.frozen if name not in self.backbone]:
            raise InputError(
                f"model.frozen: {', '.join(unknown)} is not a layer of {model.backbone}; choose from {', '.join(self.backbone)}"
            )
        for name in model.frozen:
            self.backbone[name].requires_grad_(False)
        option = "output_stride" if backbone.any_size else "patch_size"
        hint = f" (see model.options.{option})" if backbone.stride == backbone.coarsest else ""
        if backbone.stride != STRIDE * 2 ** len(model.head_channels):
            raise InputError(
                f"model.head_channels has {len(model.head_channels)} deconvolutions, but the backbone's stride "
                f"{backbone.stride} needs {backbone.stride.bit_length() - STRIDE.bit_length()} for heatmaps of stride "
                f"{STRIDE}{hint}"
            )
        for side, size in (("height", model.height), ("width", model.width)):
            if size % backbone.coarsest:
                raise InputError(f"model.{side} = {size} is not a multiple of the backbone's stride {backbone.coarsest}{hint}")
        layers: list[nn.Module] = []
        channels = backbone.channels
        for width in model.head_channels:
            layers += [
                nn.ConvTranspose2d(channels, width, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
            ]
            channels = width
        layers.append(ExactConv2d(channels, keypoints, 1))
        self.head = nn.Sequential(*layers)
        for layer in self.head:
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(layer.weight, std=0.001)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        for module in self.modules():
            if isinstance(module, nn.modules.batchnorm._NormBase):
                module.num_batches_tracked = None  # the count is never used, and on a GPU each count is a kernel
                module.register_load_state_dict_pre_hook(_without_count)

    @property
    def places(self) -> tuple[str, ...]:
        """The places at which `forward` can change features (Mixup)."""
        return "input", *self.backbone

    def train(self, mode: bool = True) -> "PoseNet":
        """As for any module, but frozen layers stay in eval mode,
        which keeps their batch-norm statistics.
        """
        super().train(mode)
        for name in self.model.frozen:
            self.backbone[name].eval()
        return self

    def forward(
        self, images: Tensor, place: str = "", change: Callable[[Tensor], Tensor] | None = None, levels: dict[str, Any] | None = None
    ) -> Tensor:
        """Predict heatmaps; features may be changed (Mixup) or returned on the way.

        Args:
            images: [B, 3, H, W], normalised.
            place: The layer after which `change` is applied, or "input"; if a backbone has several
                resolutions there, `change` is applied to each of them.
            change: A function of features; None leaves them unchanged.
            levels: Its keys are layers of the backbone; their features become its values: [B, C, h,
                w] at the finest resolution, or a ViT's tokens [B, N, C].

        Returns:
            Heatmaps [B, K, H/4, W/4].

        Raises:
            ValueError: `place` is neither "input" nor a layer of the backbone.
        """
        if change and place not in self.places:
            raise ValueError(f"PoseNet: place = {place!r}, must be one of {', '.join(self.places)}")
        features: Any = change(images) if change and place == "input" else images  # a tensor, or one for each resolution
        for name, layer in self.backbone.items():
            features = layer(features)
            if change and place == name:
                features = [change(one) for one in features] if isinstance(features, list) else change(features)
            if levels and name in levels:
                levels[name] = features[0] if isinstance(features, list) else features
        return self.head(features)


class Ensemble(nn.Module):
    """Several networks as one: the mean of their heatmaps."""

    def __init__(self, nets: list[PoseNet]) -> None:
        super().__init__()
        self.nets = nn.ModuleList(nets)

    def forward(self, images: Tensor) -> Tensor:
        return torch.stack([net(images) for net in self.nets]).mean(dim=0)


def build(model: "Model", keypoints: int, seed: int) -> PoseNet:
    """Make a network whose random weights belong to a seed.

    torch's own initialisation uses the global generator, so its state is saved and restored.

    Args:
        model: Parameters of the network.
        keypoints: Number of heatmaps, K.
        seed: The seed.

    Raises:
        InputError: The parameters do not fit each other, or its pretrained weights cannot be
            loaded.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return PoseNet(model, keypoints).to(memory_format=torch.channels_last)  # about a tenth faster on a CPU, more on a GPU


def _without_count(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Drop the count of batches, which semipose 0.1 wrote, and which
    torch adds to a state that is a plain dict.
    """
    state.pop(f"{prefix}num_batches_tracked", None)


@contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """Eval mode and float32 without TF32 inside; afterwards, every module gets its own mode back."""
    training = [module for module in net.modules() if module.training]
    net.eval()
    try:
        with full_float32():
            yield
    finally:
        for module in training:
            module.training = True
