"""Section `method`: one class per method, with the keys of its entries.

`trains` is the number of networks of `model.networks` that it trains.
"""

from typing import Annotated, ClassVar, Literal, get_args

from pydantic import Field, model_validator

from semipose.config.augment import Adaptive, Augmentations, LabelledAugmentations, Patch, ReferenceBugs, StrongAugment, StrongView
from semipose.config.network import Network, Warmup
from semipose.config.section import Count, Name, Positive, Ratio, Section, Share

Place = Literal["input", "stem", "layer1", "layer2", "layer3"]
Weight = Annotated[float, Field(ge=0)]
Angle = Annotated[float, Field(ge=-180, le=180)]
PseudoLabel = Literal["raw", "rendered"]
BatchNorm = Literal["train", "eval"]


class Mixup(Section):
    place: Annotated[list[Place | Literal["none"]], Field(min_length=1)]
    """Places to mix at, one sampled uniformly in each step: input, stem, layer1, layer2, layer3; or none alone."""
    view: Literal["hard", "weak"]
    """What is mixed. hard: masked and moved people, as in branch 1; weak: the weak views, unmasked and unmoved."""
    weight: Share | None
    """Weight of a person against the other one, the same in every step; null: alpha, sampled from Beta(alpha, alpha)."""
    alpha: Ratio
    """Concentration of alpha's distribution Beta(alpha, alpha); 1 is uniform."""
    branches: Literal["second", "both"]
    """second: only the second branch is mixed; both: the masked branch too."""

    @model_validator(mode="after")
    def _none_stands_alone(self) -> "Mixup":
        if "none" in self.place and len(self.place) > 1:
            raise ValueError("place: `none` (no Mixup) excludes all other places; remove one of them")
        return self


class Entry(Section):
    """What every entry may set for itself; a missing key comes from `model`, `warmup` or `augment`.

    Only these keys may be missing, and in most entries they are.
    """

    networks: dict[Name, Network] = Field(default_factory=dict)
    """The entry's own networks, by their names in
    model.networks; missing keys are those of `model`.
    """
    warmup: Warmup | None = None
    """The entry's own warm-up; missing keys are those of `warmup`."""
    labelled: LabelledAugmentations | None = None
    """The entry's own augmentations of the labelled view, instead of `augment.labelled`."""
    strong_view: StrongView | None = None
    """The entry's own strong view; missing keys are those of `augment.strong`."""
    strong_augment: StrongAugment | None = None
    """The entry's own strengths; missing keys are those of `augment.strong_augment`."""
    reference_bugs: ReferenceBugs | None = None
    """The entry's own reference bugs; missing keys are those of `augment.reference_bugs`."""


class AKM(Adaptive, Entry):
    trains: ClassVar[int] = 1
    base: Literal["akm"]
    """File of semipose/methods/."""
    masking: Literal["adaptive", "fixed", "random", "shuffled", "none"]
    """Number of masked keypoints. adaptive: by tau; fixed: fixed_count; random: uniform in n_min..n_max; shuffled: the adaptive numbers of
    other people; none."""
    fixed_count: Count
    """Masked keypoints of each person for masking: fixed."""
    joints: Literal["any", "simple"]
    """Which keypoints may be masked: any, or simple ones only."""
    patch: Patch
    """Size and place of the masks."""
    strong: Augmentations
    """Strong augmentations of both branches' views beside the masks, as for posecons; []: none."""
    strong_views: Positive
    """Masked views for one pass of the teacher; L_u is their mean."""
    second_view: Literal["independent", "shared"]
    """The Mixup branch's masks and transform. independent: its own; shared: those of branch 1."""
    mixup: Mixup
    """The second branch."""
    lambda_u: Weight
    """Weight of the masked branch's loss L_u."""
    lambda_m: Weight
    """Weight of the Mixup branch's loss L_m."""
    ramp_up_steps: Count
    """lambda_u and lambda_m grow linearly over this many steps."""
    pseudo_label: PseudoLabel
    """raw: the teacher's heatmaps; rendered: a Gaussian at the decoded keypoint, weighted by its confidence."""
    confidence: Literal["peak", "agreement"]
    """Confidence of a rendered pseudo-label. peak: height of the heatmap; agreement: how near the teacher's keypoint on the mirrored weak
    view lies to it (one more pass)."""
    teacher_bn: BatchNorm
    """Batch norm in the teacher's pass. train: batch statistics; eval: running statistics."""
    ema: Annotated[float, Field(ge=0, lt=1)]
    """Decay of the teacher's exponential moving average; 0: the teacher is the network itself."""
    average: Annotated[float, Field(ge=0, lt=1)]
    """Decay of another moving average, which does not teach and
    is evaluated beside the network; 0: none.
    """

    @model_validator(mode="after")
    def _agreement_weights_rendered_labels(self) -> "AKM":
        if self.confidence == "agreement" and self.pseudo_label == "raw":
            raise ValueError("confidence: agreement needs pseudo_label: rendered, because raw pseudo-labels are not weighted")
        return self


class Supervised(Entry):
    trains: ClassVar[int] = 1
    base: Literal["supervised"]
    """File of semipose/methods/."""


class PoseCons(Entry):
    trains: ClassVar[int] = 1
    base: Literal["posecons"]
    """File of semipose/methods/."""
    strong: Augmentations
    """Strong augmentations of the strong view, in this order: joint_cutout, adaptive_cutout, cut_occlude, keypoint_mix, cutout, cutmix,
    mixup, rand_augment, trivial_augment, yoco, yoco_trivial."""
    lambda_u: Weight
    """Weight of each network's consistency loss."""
    pseudo_label: PseudoLabel
    """raw or rendered, as for akm."""
    teacher_bn: BatchNorm
    """train or eval, as for akm."""
    ema: Annotated[float, Field(ge=0, lt=1)]
    """Decay of each teacher's moving average, as for akm; 0: the networks as they are."""


class PoseDual(PoseCons):
    trains: ClassVar[int] = 2
    base: Literal["posedual"]  # type: ignore[assignment]
    """File of semipose/methods/."""


class SSPCM(PoseCons):
    trains: ClassVar[int] = 3
    base: Literal["sspcm"]  # type: ignore[assignment]
    """File of semipose/methods/."""
    score: Share
    """A keypoint is trained on if the mean of the two teachers' peaks is higher than this."""
    position: Share | None
    """Largest distance of the two teachers' peaks, as a share of the heatmap's diagonal; null: no limit."""


class MultiAugs(Entry):
    base: Literal["multiaugs"]
    """File of semipose/methods/."""
    dual: bool
    """true: two networks that teach each other; false: one that teaches itself."""
    paths: Annotated[list[Augmentations], Field(min_length=1)]
    """Strong augmentations of each copy of the strong view, a list of lists."""
    lambda_u: Weight
    """Weight of each path's loss."""
    pseudo_label: PseudoLabel
    """raw or rendered, as for akm."""
    teacher_bn: BatchNorm
    """train or eval, as for akm."""
    ema: Annotated[float, Field(ge=0, lt=1)]
    """Decay of each teacher's moving average, as for akm; 0: the networks as they are."""

    @property
    def trains(self) -> int:
        return 2 if self.dual else 1


class PseudoPose(Entry):
    trains: ClassVar[int] = 1
    base: Literal["pseudopose"]
    """File of semipose/methods/."""
    confidence: Share
    """Pseudo-labels with a lower confidence are left out."""
    lambda_u: Weight
    """Weight of the pseudo-labels' loss."""


class DataDistill(PseudoPose):
    base: Literal["datadistill"]  # type: ignore[assignment]
    """File of semipose/methods/."""
    flip: bool
    """true: the teacher also predicts the mirrored person."""
    scales: Annotated[list[Ratio], Field(min_length=1)]
    """Scales at which the teacher predicts."""
    rotations_deg: Annotated[list[Angle], Field(min_length=1)]
    """Rotations at which the teacher predicts, in degrees."""


class DenoiseSelect(Entry):
    trains: ClassVar[int] = 2
    base: Literal["denoise_select"]
    """File of semipose/methods/."""
    views: Annotated[list[Literal["flip"] | Angle], Field(min_length=1)]
    """Views in which each network predicts: flip, or a rotation in degrees (0: the weak view as it is)."""
    tau: Share
    """Keypoints whose highest response over the views is lower than this are left out."""
    select: Literal["lower", "cross"]
    """Who teaches. lower: of the two networks the one with the smaller uncertainty, for each keypoint; cross: the other network."""
    uncertainty: Literal["own", "cross"]
    """Standard deviation over a network's own views, or over both networks' (cross). That is equal for both, so that the higher response
    decides for select: lower."""
    strong: Augmentations
    """Strong augmentations of the strong view, as for posecons."""
    lambda_u: Weight
    """Weight of each network's consistency loss."""
    teacher_bn: BatchNorm
    """train or eval, as for akm."""
    ema: Annotated[float, Field(ge=0, lt=1)]
    """Decay of each teacher's moving average, as for akm; 0: the networks as they are."""


class Reviewer(Entry):
    trains: ClassVar[int] = 1
    base: Literal["reviewer"]
    """File of semipose/methods/."""
    reviewer: Literal["ema", "epoch", "best"]
    """The reviewer's weights. ema: a moving average; epoch: those at the end of the last epoch; best: those of the epoch with the lowest
    loss on labelled people."""
    ema: Annotated[float, Field(ge=0, lt=1)]
    """Decay of the moving average for reviewer: ema."""
    levels: list[Name]
    """Layers of the backbone on which heads estimate heatmaps in training; []: none."""
    level_channels: Positive
    """Channels inside these heads."""
    gamma: Weight
    """Weight of the levels' losses."""
    lambda_t: Weight
    """Weight of the teacher's signal."""
    lambda_r: Weight
    """Weight of the reviewer's signal; 0: no reviewer."""
    strong: Augmentations
    """Strong augmentations of the strong view, as for posecons."""
    pseudo_label: PseudoLabel
    """raw or rendered, as for akm."""
    teacher_bn: BatchNorm
    """train or eval, as for akm."""


class JointMix(Entry):
    trains: ClassVar[int] = 1
    base: Literal["jointmix"]
    """File of semipose/methods/."""
    labelled_share: Annotated[float, Field(gt=0, le=1)]
    """Share of a step's labelled people that are used, at least one."""
    unlabelled_share: Annotated[float, Field(gt=0, le=1)]
    """Share of a step's unlabelled people that are used, at least one."""
    strong: Augmentations
    """Strong augmentations of the strong view, as for posecons."""
    place: Annotated[list[Place], Field(min_length=1)]
    """Places to mix the unlabelled people at, one sampled uniformly in each step."""
    alpha: Ratio
    """Concentration of alpha's distribution Beta(alpha, alpha), as for akm."""
    lambda_m: Weight
    """Weight of the mixed people's loss."""
    pseudo_label: PseudoLabel
    """raw or rendered, as for akm."""
    teacher_bn: BatchNorm
    """train or eval, as for akm."""
    ema: Annotated[float, Field(ge=0, lt=1)]
    """Decay of the teacher's moving average, as for akm; 0: the network as it is."""


Known = Supervised | AKM | PoseCons | PoseDual | SSPCM | MultiAugs | PseudoPose | DataDistill | DenoiseSelect | Reviewer | JointMix
Method = Annotated[Known, Field(discriminator="base")]


def having(key: str) -> list[str]:
    """The methods, by their `base`, that have a parameter of this name."""
    return [get_args(one.model_fields["base"].annotation)[0] for one in get_args(Known) if key in one.model_fields]
