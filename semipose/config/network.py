"""Sections `model` and `warmup`: the networks, and how they are trained before any method goes on from them."""

from typing import Annotated, Any

from pydantic import Field

from semipose.config.section import ByBudget, Name, Positive, Ratio, Section


class Network(Section):
    """What networks of one comparison may differ in."""

    backbone: str
    options: dict[str, Any]
    pretrained: bool | str
    head_channels: Annotated[list[Positive], Field(max_length=3)]


class Model(Network):
    height: Annotated[int, Field(ge=32, multiple_of=8)]
    width: Annotated[int, Field(ge=32, multiple_of=8)]
    sigma: Ratio
    networks: Annotated[list[Name], Field(min_length=1)]


class Warmup(Section):
    steps: ByBudget
    lr: Ratio
    batch_size: Annotated[int, Field(ge=2)]
