"""Sections `data` and `split`: which people, cut how, and who of them is labelled."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from semipose.config.section import Count, Name, Positive, Ratio, Section, Share


class DemoData(Section):
    train_images: Positive
    val_images: Positive
    seed: Count


class Crop(Section):
    size: Annotated[int, Field(ge=16)]
    padding: Annotated[float, Field(ge=1)]
    extent: Annotated[float, Field(ge=1)]
    format: Literal["raw", "jpeg"]
    quality: Annotated[int, Field(ge=1, le=100)]


class Part(Section):
    annotations: str
    images: str


class Custom(Section):
    """A COCO-format set of the user's own; paths are relative to data.root."""

    train: Part
    val: Part
    category: str | None
    pairs: list[list[str]] | None
    sigmas: Annotated[list[Ratio], Field(min_length=1)] | None
    torso: Annotated[list[str], Field(min_length=2, max_length=2)] | None


class Detections(Section):
    """A detector's boxes: a JSON in the layout of COCO's detection results."""

    file: str
    score: Share


class Unlabelled(Section):
    """People of another set than data.source, without labels: COCO's unlabeled2017 in a detector's boxes, or AI Challenger."""

    source: Literal["unlabeled2017", "aic"]
    root: str | None
    detections: Detections | None

    @model_validator(mode="after")
    def _has_its_boxes(self) -> "Unlabelled":
        if (self.source == "unlabeled2017") != (self.detections is not None):
            raise ValueError("data.unlabelled.detections must name the boxes of unlabeled2017, and be null for aic, which has its own")
        return self


class Data(Section):
    source: Literal["demo", "coco", "lsp", "mpii", "aic", "custom"]
    root: str | None
    custom: Custom | None
    unlabelled: Unlabelled | None
    detections: Detections | None
    validation_people: Positive
    max_broken: Count
    demo: DemoData
    crop: Crop

    @model_validator(mode="after")
    def _source_has_what_it_needs(self) -> "Data":
        if self.source == "demo" and self.root is not None:
            raise ValueError("data.root must be null for data.source: demo, whose images the project draws")
        if self.source == "custom" and (self.root is None or self.custom is None):
            raise ValueError("data.root and data.custom must say where a set of your own lies for data.source: custom (docs/own-data.md)")
        return self


class SplitParams(Section):
    selection: Literal["first", "random"]
    seed: Count
    unlabelled: Literal["all", "rest"]
    budgets: Annotated[dict[Name, Positive | Literal["all"]], Field(min_length=1)]
