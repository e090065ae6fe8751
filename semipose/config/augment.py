"""Section `augment`: weak and strong views, and how much each strong augmentation does."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from semipose.config.section import Count, Degrees, Positive, Ratio, Section, Share

Augmentation = Literal[
    "joint_cutout",
    "adaptive_cutout",
    "cut_occlude",
    "keypoint_mix",
    "cutout",
    "cutmix",
    "mixup",
    "rand_augment",
    "trivial_augment",
    "yoco",
    "yoco_trivial",
]
Augmentations = list[Augmentation]
LabelledAugmentations = list[Literal["cutout", "rand_augment", "trivial_augment", "yoco", "yoco_trivial"]]
"""Augmentations that need no keypoint and no second person."""


class StrongView(Section):
    rotation_probability: Share
    """Probability that a view is rotated."""
    rotation_deg: Degrees
    """Standard deviation of the rotation, in degrees."""
    rotation_limit_deg: Degrees
    """The rotation is clipped to plus or minus this many degrees."""
    scale: Annotated[float, Field(ge=0, lt=1)]
    """The box is scaled by clip(1 + scale z, 1 - scale, 1 + scale) with z standard normal."""


class WeakView(StrongView):
    flip_probability: Share
    """Probability of a left-right flip."""


class Patch(Section):
    half_min: Positive
    """Smallest half side of a patch, in px of a 192 px wide input."""
    half_max: Positive
    """Largest half side of a patch, in px of a 192 px wide input."""
    jitter: Annotated[float, Field(ge=0)]
    """Standard deviation of a patch's centre about its keypoint, in px of a 192 px wide input."""

    @model_validator(mode="after")
    def _ordered(self) -> "Patch":
        if self.half_min > self.half_max:
            raise ValueError(f"half_min = {self.half_min} must not exceed half_max = {self.half_max}")
        return self


class KeypointMix(Section):
    count: Count
    """Pairs of different keypoints whose patches are mixed."""
    source: Literal["self", "batch"]
    """Whose patch is mixed in. self: the same person's; batch: another person's."""
    weight_min: Share
    """Smallest weight of the own patch, which is uniform up to weight_max."""
    weight_max: Share
    """Largest weight of the own patch."""

    @model_validator(mode="after")
    def _weights_are_ordered(self) -> "KeypointMix":
        if self.weight_min > self.weight_max:
            raise ValueError(f"weight_min = {self.weight_min} must not exceed weight_max = {self.weight_max}")
        return self


class RandAugment(Section):
    operations: Positive
    """Operations applied one after the other."""
    magnitude: Annotated[int, Field(ge=0, le=30)]
    """Strength of each operation, of 30."""
    cutout: bool
    """true: a patch of the mean colour is one of the operations (PoseDual); false: it is not (MultiAugs)."""


class Adaptive(Section):
    response: Literal["relative", "relative_max", "absolute"]
    """A keypoint is simple if this reaches tau. relative: (H - Hmin) / (Hmax - Hmin); relative_max: H / Hmax; absolute: H."""
    tau: Share
    """Threshold of the response."""
    tau_hard: Share
    """A person whose largest peak is lower than this is extremely difficult and gets n_min masks."""
    count: Literal["share", "inferred"]
    """Number of masked keypoints. share: n_max times the share of simple ones; inferred: a third of their number (docs/methods.md 2.3)."""
    n_min: Count
    """Smallest number of masked keypoints."""
    n_max: Count
    """Number of masked keypoints if every keypoint is simple."""

    @model_validator(mode="after")
    def _counts_are_ordered(self) -> Self:
        if self.n_min > self.n_max:
            raise ValueError(f"n_min = {self.n_min} must not exceed n_max = {self.n_max}")
        return self


class StrongAugment(Section):
    """How much each strong augmentation of a strong view does; a method's `strong` (or `paths`) says which are used."""

    joint_cutout: Count
    """Keypoints of a person that get a patch of the mean colour."""
    adaptive: Adaptive
    """adaptive_cutout: AKM's number of such patches, with the keys of method.akm."""
    cut_occlude: Count
    """Patches of other people's keypoints, pasted on a person's keypoints."""
    keypoint_mix: KeypointMix
    """Patches of keypoints mixed with those of other keypoints (Keypoint-Mix)."""
    cutout: Count
    """Patches of the mean colour at random places."""
    cutmix: Count
    """Patches of another person, from the same random places."""
    patch: Patch
    """Size and place of all of these patches."""
    mixup_alpha: Ratio
    """lam is sampled from Beta(alpha, alpha); a person keeps the weight 1 - lam / 4 against the other one."""
    rand_augment: RandAugment
    """Changes of colour."""


class ReferenceBugs(Section):
    """The bugs of the released code (methods.md 4), all false by default."""

    clamp: bool
    """true: patches never reach below y = width (T1)."""
    transposed: bool
    """true: Cut-Occlude pastes at (y, x) (T2)."""
    channels: bool
    """true: keypoints are sampled with replacement among 24 channels, some of which are none of the set's (T3)."""
    shear: bool
    """true: strong views rotate in coordinates normalised by width and height, which shears them (T4)."""
    half_cell: bool
    """true: pseudo-labels rotate about a centre 1.5 px off the image's (T5)."""


class Augment(Section):
    weak: WeakView
    """The labelled view and the weak view."""
    labelled: LabelledAugmentations
    """Augmentations of the labelled view after the warm-up, in this order: cutout, rand_augment, trivial_augment, yoco, yoco_trivial;
    []: none."""
    strong: StrongView
    """From the weak view to the strong view."""
    strong_augment: StrongAugment
    """What `labelled`, and `strong` and `paths` of the methods, may choose from."""
    reference_bugs: ReferenceBugs
    """Bugs of the released code, to measure what they do (docs/methods.md); false: corrected."""
