"""Section `augment`: weak and strong views, and how much each strong augmentation does."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from semipose.config.section import Count, Degrees, Positive, Ratio, Section, Share

Augmentation = Literal[
    "joint_cutout", "adaptive_cutout", "cut_occlude", "cutout", "cutmix", "mixup", "rand_augment", "trivial_augment", "yoco", "yoco_trivial"
]
Augmentations = list[Augmentation]


class StrongView(Section):
    rotation_probability: Share
    rotation_deg: Degrees
    rotation_limit_deg: Degrees
    scale: Annotated[float, Field(ge=0, lt=1)]


class WeakView(StrongView):
    flip_probability: Share


class Patch(Section):
    half_min: Positive
    half_max: Positive
    jitter: Annotated[float, Field(ge=0)]

    @model_validator(mode="after")
    def _ordered(self) -> "Patch":
        if self.half_min > self.half_max:
            raise ValueError(f"half_min = {self.half_min} must not exceed half_max = {self.half_max}")
        return self


class RandAugment(Section):
    operations: Positive
    magnitude: Annotated[int, Field(ge=0, le=30)]
    cutout: bool


class Adaptive(Section):
    response: Literal["relative", "relative_max", "absolute"]
    tau: Share
    tau_hard: Share
    n_min: Count
    n_max: Count

    @model_validator(mode="after")
    def _counts_are_ordered(self) -> Self:
        if self.n_min > self.n_max:
            raise ValueError(f"n_min = {self.n_min} must not exceed n_max = {self.n_max}")
        return self


class StrongAugment(Section):
    """How much each strong augmentation of a strong view does; a method's `strong` (or `paths`) says which are used."""

    joint_cutout: Count
    adaptive: Adaptive
    cut_occlude: Count
    cutout: Count
    cutmix: Count
    patch: Patch
    mixup_alpha: Ratio
    rand_augment: RandAugment


class ReferenceBugs(Section):
    """The released codes' reference_bugs (methods.md 4), all false by default."""

    clamp: bool
    transposed: bool
    channels: bool
    shear: bool
    half_cell: bool


class Augment(Section):
    weak: WeakView
    strong: StrongView
    strong_augment: StrongAugment
    reference_bugs: ReferenceBugs
