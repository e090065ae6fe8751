"""Section `method`: one class per method, with the keys that its entries have. `trains`: how many networks of `model.networks`."""

from typing import Annotated, ClassVar, Literal, get_args

from pydantic import Field, model_validator

from semipose.config.augment import Adaptive, Augment, Augmentations, Patch, ReferenceBugs, StrongAugment, StrongView
from semipose.config.network import Network, Warmup
from semipose.config.section import Count, Name, Ratio, Section, Share

Place = Literal["input", "stem", "layer1", "layer2", "layer3", "none"]
Weight = Annotated[float, Field(ge=0)]
PseudoLabel = Literal["raw", "rendered"]
BatchNorm = Literal["train", "eval"]


class Mixup(Section):
    place: Annotated[list[Place], Field(min_length=1)]
    alpha: Ratio
    branches: Literal["second", "both"]

    @model_validator(mode="after")
    def _none_stands_alone(self) -> "Mixup":
        if "none" in self.place and len(self.place) > 1:
            raise ValueError("place: `none` (no Mixup) stands alone")
        return self


class Entry(Section):
    """What every entry may set for itself: networks (by their names in `model.networks`), a warm-up, a strong view, its strong
    augmentations, the bugs of the released codes. What it does not set comes from `model`, `warmup` and `augment`. Only these keys may
    be absent, and in most entries they are."""

    networks: dict[Name, Network] = Field(default_factory=dict)
    warmup: Warmup | None = None
    strong_view: StrongView | None = None
    strong_augment: StrongAugment | None = None
    reference_bugs: ReferenceBugs | None = None

    def augmented(self, common: Augment) -> Augment:
        """`common` with what the entry has of its own."""
        own = {"strong": self.strong_view, "strong_augment": self.strong_augment, "reference_bugs": self.reference_bugs}
        return common.model_copy(update={key: value for key, value in own.items() if value})


class AKM(Adaptive, Entry):
    trains: ClassVar[int] = 1
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


class Supervised(Entry):
    trains: ClassVar[int] = 1
    base: Literal["supervised"]


class PoseCons(Entry):
    trains: ClassVar[int] = 1
    base: Literal["posecons"]
    strong: Augmentations
    lambda_u: Weight
    pseudo_label: PseudoLabel
    teacher_bn: BatchNorm


class PoseDual(PoseCons):
    trains: ClassVar[int] = 2
    base: Literal["posedual"]  # type: ignore[assignment]


class SSPCM(PoseCons):
    trains: ClassVar[int] = 3
    base: Literal["sspcm"]  # type: ignore[assignment]
    score: Share
    position: Share | None


class MultiAugs(Entry):
    base: Literal["multiaugs"]
    dual: bool
    paths: Annotated[list[Augmentations], Field(min_length=1)]
    lambda_u: Weight
    pseudo_label: PseudoLabel
    teacher_bn: BatchNorm

    @property
    def trains(self) -> int:
        return 2 if self.dual else 1


class PseudoPose(Entry):
    trains: ClassVar[int] = 1
    base: Literal["pseudopose"]
    confidence: Share
    lambda_u: Weight


class DataDistill(PseudoPose):
    base: Literal["datadistill"]  # type: ignore[assignment]
    flip: bool
    scales: Annotated[list[Ratio], Field(min_length=1)]
    rotations_deg: Annotated[list[Annotated[float, Field(ge=-180, le=180)]], Field(min_length=1)]


Known = Supervised | AKM | PoseCons | PoseDual | SSPCM | MultiAugs | PseudoPose | DataDistill
Method = Annotated[Known, Field(discriminator="base")]


def having(key: str) -> list[str]:
    """The methods, by their `base`, that have a parameter of this name."""
    return [get_args(one.model_fields["base"].annotation)[0] for one in get_args(Known) if key in one.model_fields]
