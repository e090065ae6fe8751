"""The tree of params.yaml: every key required, unknown keys refused, units in names.

No key has a default here, so that params.yaml is the one place where a value can be read. params_file.py reads it.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Ratio = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Degrees = Annotated[float, Field(ge=0, le=180)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.]+$")]
ByBudget = Count | dict[Name, Count]
Place = Literal["input", "stem", "layer1", "layer2", "layer3", "none"]
Strengthening = Literal[
    "joint_cutout", "adaptive_cutout", "cut_occlude", "cutout", "cutmix", "mixup", "rand_augment", "trivial_augment", "yoco"
]
Path = list[Strengthening]
Weight = Annotated[float, Field(ge=0)]
PseudoLabel = Literal["raw", "rendered"]
BatchNorm = Literal["train", "eval"]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class DemoData(Section):
    train_images: Positive
    val_images: Positive
    seed: Count


class Crop(Section):
    size: Annotated[int, Field(ge=16)]
    padding: Annotated[float, Field(ge=1)]
    extent: Annotated[float, Field(ge=1)]


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
    budgets: Annotated[dict[Name, Positive], Field(min_length=1)]


class Model(Section):
    trunk: str
    options: dict[str, Any]
    pretrained: bool | str
    height: Annotated[int, Field(ge=32, multiple_of=8)]
    width: Annotated[int, Field(ge=32, multiple_of=8)]
    head_channels: Annotated[list[Positive], Field(min_length=1, max_length=3)]
    sigma: Ratio
    networks: Annotated[list[Name], Field(min_length=1)]


class Warmup(Section):
    steps: ByBudget
    lr: Ratio
    batch_size: Annotated[int, Field(ge=2)]


class Train(Section):
    steps: ByBudget
    batch_size: Annotated[int, Field(ge=2)]
    lr: Ratio
    decay_at: list[Share] | dict[Name, list[Share]]
    decay: Ratio
    precision: Literal["32-true", "bf16-mixed"]
    validate_every: Positive
    validation_people: Positive


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


class Strengthen(Section):
    """How much each strengthening of a strong view does; a method's `strong` (or `paths`) says which are used."""

    joint_cutout: Count
    adaptive: Adaptive
    cut_occlude: Count
    cutout: Count
    cutmix: Count
    patch: Patch
    mixup_alpha: Ratio
    rand_augment: RandAugment


class Traps(Section):
    """The released codes' traps (methods.md 5), all false by default."""

    clamp: bool
    transposed: bool
    channels: bool
    shear: bool
    half_cell: bool


class Augment(Section):
    weak: WeakView
    strong: StrongView
    strengthen: Strengthen
    traps: Traps


class Mixup(Section):
    place: Annotated[list[Place], Field(min_length=1)]
    alpha: Ratio

    @model_validator(mode="after")
    def _none_stands_alone(self) -> "Mixup":
        if "none" in self.place and len(self.place) > 1:
            raise ValueError("place: `none` (no Mixup) stands alone")
        return self


class AKM(Adaptive):
    networks: ClassVar[int] = 1
    base: Literal["akm"]
    masking: Literal["adaptive", "fixed", "random", "shuffled", "none"]
    fixed_count: Count
    joints: Literal["any", "simple"]
    patch: Patch
    second_view: Literal["independent", "shared"]
    mixup: Mixup
    lambda_u: Weight
    lambda_m: Weight
    ramp_up_steps: Count
    pseudo_label: PseudoLabel
    teacher_bn: BatchNorm
    ema: Annotated[float, Field(ge=0, lt=1)]


class Supervised(Section):
    networks: ClassVar[int] = 1
    base: Literal["supervised"]


class PoseCons(Section):
    networks: ClassVar[int] = 1
    base: Literal["posecons"]
    strong: Path
    lambda_u: Weight
    pseudo_label: PseudoLabel
    teacher_bn: BatchNorm


class PoseDual(PoseCons):
    networks: ClassVar[int] = 2
    base: Literal["posedual"]  # type: ignore[assignment]


class SSPCM(PoseCons):
    networks: ClassVar[int] = 3
    base: Literal["sspcm"]  # type: ignore[assignment]
    score: Share
    position: Share | None


class MultiAugs(Section):
    base: Literal["multiaugs"]
    dual: bool
    paths: Annotated[list[Path], Field(min_length=1)]
    lambda_u: Weight
    pseudo_label: PseudoLabel
    teacher_bn: BatchNorm

    @property
    def networks(self) -> int:
        return 2 if self.dual else 1


class PseudoPose(Section):
    networks: ClassVar[int] = 1
    base: Literal["pseudopose"]
    confidence: Share
    lambda_u: Weight


class DataDistill(PseudoPose):
    base: Literal["datadistill"]  # type: ignore[assignment]
    flip: bool
    scales: Annotated[list[Ratio], Field(min_length=1)]
    rotations_deg: Annotated[list[Annotated[float, Field(ge=-180, le=180)]], Field(min_length=1)]


Method = Annotated[
    Supervised | AKM | PoseCons | PoseDual | SSPCM | MultiAugs | PseudoPose | DataDistill,
    Field(discriminator="base"),
]


class Evaluate(Section):
    boxes: Literal["ground_truth", "detector"]
    nms_oks: Share
    metric: Literal["oks", "pck", "pckh"]
    pck_threshold: Ratio
    pck_reference: Literal["torso", "box"]
    decode: Literal["quarter", "dark"]
    flip_test: bool
    batch_size: Positive
    bootstrap: Positive
    overlays: Positive


class Report(Section):
    title: str


class Sweep(Section):
    methods: Annotated[list[Name], Field(min_length=1)]
    labels: Annotated[list[Name], Field(min_length=1)]
    seeds: Annotated[list[Count], Field(min_length=1)]


class Ablation(Section):
    variants: list[Name]
    labels: list[Name]
    seeds: list[Count]


class Machine(Section):
    accelerator: Literal["auto", "cpu", "gpu"]
    devices: Positive
    nodes: Positive
    workers: Positive
    threads: Count
    checkpoint_seconds: Annotated[float, Field(ge=0)]


class Params(Section):
    data: Data
    split: SplitParams
    model: Model
    warmup: Warmup
    train: Train
    augment: Augment
    method: dict[Name, Method]
    evaluate: Evaluate
    report: Report
    sweep: Sweep
    ablation: Ablation
    machine: Machine

    @model_validator(mode="after")
    def _names_exist(self) -> "Params":
        if self.evaluate.boxes == "detector" and (self.data.detections is None or self.evaluate.metric != "oks"):
            raise ValueError("evaluate.boxes: detector needs data.detections (a detector's boxes of the validation images) and metric: oks")
        by_torso = self.evaluate.metric == "pck" and self.evaluate.pck_reference == "torso"
        if by_torso and self.data.custom is not None and self.data.custom.torso is None:
            raise ValueError("evaluate.pck_reference: torso needs data.custom.torso, two joints; or choose box")
        for key, names in {"sweep.methods": self.sweep.methods, "ablation.variants": self.ablation.variants}.items():
            _known(key, names, self.method, "method")
        for key, names in {"sweep.labels": self.sweep.labels, "ablation.labels": self.ablation.labels}.items():
            _known(key, names, self.split.budgets, "split.budgets")
        by_budget = {"warmup.steps": self.warmup.steps, "train.steps": self.train.steps, "train.decay_at": self.train.decay_at}
        for key, value in by_budget.items():
            if isinstance(value, dict):
                _known("split.budgets", self.split.budgets, value, key)
        for key in ("labels", "seeds"):
            for one in getattr(self.ablation, key):
                if one not in getattr(self.sweep, key):
                    raise ValueError(
                        f"ablation.{key}: {one} is not in sweep.{key}, whose cells warm up the variants and are their first row"
                    )
        for name in (*self.sweep.methods, *self.ablation.variants):
            needed, named = self.method[name].networks, len(self.model.networks)
            if needed > named:
                raise ValueError(f"method.{name} trains {needed} networks, but model.networks names {named} for the warm-up")
        for name in self.ablation.variants:
            base = self.method[name].base
            if name == base or base not in self.sweep.methods:
                raise ValueError(f"ablation.variants: {name} must have another entry of sweep.methods as its base, the table's first row")
            if name in self.sweep.methods:
                raise ValueError(f"ablation.variants: {name} is in sweep.methods already; a cell is trained once")
        return self

    def steps(self, stage: Literal["warmup", "train"], labels: str) -> int:
        """Optimiser steps of a stage for a budget, from a number or a map by budget."""
        steps = getattr(self, stage).steps
        return steps[labels] if isinstance(steps, dict) else steps

    def decay_at(self, labels: str) -> list[float]:
        """Fractions of the steps where the learning rate decays, for a budget."""
        fractions = self.train.decay_at
        return fractions[labels] if isinstance(fractions, dict) else fractions

    def section(self, key: str) -> Any:
        """The values under a dotted key, as plain lists and mappings: `section("method.akm")`."""
        value: Any = self.model_dump(mode="json")
        for part in key.split("."):
            value = value[part]
        return value


def _known(key: str, names: Any, table: Mapping[str, Any], where: str) -> None:
    for name in names:
        if name not in table:
            raise ValueError(f"{key}: {name} is not among {where}: {', '.join(table)}")


def fingerprint(**inputs: Any) -> str:
    """Digest (32 hex digits) over anything JSON can hold: what a run depends on."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:32]
