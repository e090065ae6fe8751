"""The tree of params.yaml: every key required, unknown keys refused, units in names.

No key has a default here, so that params.yaml is the one place where a value can be read. Errors name key, value, limit and line.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError

from semipose.errors import InputError

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Ratio = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Degrees = Annotated[float, Field(ge=0, le=180)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.]+$")]
ByBudget = Count | dict[Name, Count]
Place = Literal["input", "stem", "layer1", "layer2", "layer3", "none"]


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


class Data(Section):
    source: Literal["demo", "coco", "lsp"]
    root: str | None
    validation_people: Positive
    max_broken: Count
    demo: DemoData
    crop: Crop

    @model_validator(mode="after")
    def _drawn_data_has_no_root(self) -> "Data":
        if self.source == "demo" and self.root is not None:
            raise ValueError("data.root must be null for data.source: demo, whose images the project draws")
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
    height: Annotated[int, Field(ge=32, multiple_of=32)]
    width: Annotated[int, Field(ge=32, multiple_of=32)]
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


class Augment(Section):
    weak: WeakView
    strong: StrongView


class Supervised(Section):
    base: Literal["supervised"]


class Patch(Section):
    half_min: Positive
    half_max: Positive
    jitter: Annotated[float, Field(ge=0)]

    @model_validator(mode="after")
    def _ordered(self) -> "Patch":
        if self.half_min > self.half_max:
            raise ValueError(f"half_min = {self.half_min} must not exceed half_max = {self.half_max}")
        return self


class Mixup(Section):
    place: Annotated[list[Place], Field(min_length=1)]
    alpha: Ratio

    @model_validator(mode="after")
    def _none_stands_alone(self) -> "Mixup":
        if "none" in self.place and len(self.place) > 1:
            raise ValueError("place: `none` (no Mixup) stands alone")
        return self


class AKM(Section):
    base: Literal["akm"]
    response: Literal["relative", "relative_max", "absolute"]
    tau: Share
    tau_hard: Share
    n_min: Count
    n_max: Count
    masking: Literal["adaptive", "fixed", "random", "shuffled", "none"]
    fixed_count: Count
    joints: Literal["any", "simple"]
    patch: Patch
    second_view: Literal["independent", "shared"]
    mixup: Mixup
    lambda_u: Annotated[float, Field(ge=0)]
    lambda_m: Annotated[float, Field(ge=0)]
    ramp_up_steps: Count
    pseudo_label: Literal["raw", "rendered"]
    teacher_bn: Literal["train", "eval"]
    ema: Annotated[float, Field(ge=0, lt=1)]

    @model_validator(mode="after")
    def _ordered(self) -> "AKM":
        if self.n_min > self.n_max:
            raise ValueError(f"n_min = {self.n_min} must not exceed n_max = {self.n_max}")
        return self


Method = Annotated[Supervised | AKM, Field(discriminator="base")]


class Evaluate(Section):
    metric: Literal["oks", "pck"]
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
        for name in self.sweep.methods:
            if self.method[name].base != name:
                raise ValueError(f"sweep.methods: {name} is a variant of {self.method[name].base}: ablation.variants is its place")
        for name in self.ablation.variants:
            if name == "akm" or self.method[name].base != "akm":
                raise ValueError(f"ablation.variants: {name} must be an entry of `method` with base: akm (dvc.yaml lists that base)")
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


def load(path: Path = Path("params.yaml")) -> Params:
    """Read and check a params file. Raises InputError with one line for each mistake: key, value, limit and line number."""
    tree = read_yaml(path)
    _merge_variants(tree, path)
    plain = _plain(tree)
    try:
        return Params.model_validate(plain)
    except ValidationError as error:
        # A mistake in a base comes once more with every variant that inherits it: say it once.
        once = {_identity(problem): problem for problem in reversed(error.errors())}
        raise InputError("\n".join(_message(tree, problem, path) for problem in reversed(once.values()))) from None


def read_yaml(path: Path) -> CommentedMap:
    """A params file with its comments and line numbers, read as DVC reads it (YAML 1.2). Raises InputError."""
    try:
        tree = YAML().load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} is missing: run `python -m pipeline.use demo` in the root of the repository") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not readable as YAML: {' '.join(str(error).split())}") from None
    if not isinstance(tree, CommentedMap):
        raise InputError(f"{path} holds no mapping of parameters: `python -m pipeline.use demo` puts the demo's in place")
    return tree


def changes(tree: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What the entry `method.<name>` of a params tree says itself, by dotted key, its base left out."""
    flat: dict[str, Any] = {}

    def walk(node: Mapping[str, Any], prefix: str) -> None:
        for key, value in node.items():
            if isinstance(value, Mapping):
                walk(value, f"{prefix}{key}.")
            else:
                flat[f"{prefix}{key}"] = list(value) if isinstance(value, list) else value

    walk(tree["method"][name], "")
    flat.pop("base", None)
    return flat


def fingerprint(**inputs: Any) -> str:
    """Digest (32 hex digits) over anything JSON can hold: what a run depends on."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:32]


def _merge_variants(tree: CommentedMap, path: Path) -> None:
    """Give each variant the keys of its base that it does not set itself, at any depth."""
    methods = tree.get("method")
    if not isinstance(methods, CommentedMap):
        return
    for name, entry in methods.items():
        if not isinstance(entry, CommentedMap):
            raise InputError(f"method.{name} must be a mapping that begins with `base:` ({path} line {methods.lc.key(name)[0] + 1})")
        base = entry.get("base")
        if base != name and isinstance(methods.get(base), CommentedMap):
            _fill(entry, methods[base])


def _fill(entry: CommentedMap, base: CommentedMap) -> None:
    for key, value in base.items():
        if key not in entry:
            entry[key] = value
        elif isinstance(entry[key], CommentedMap) and isinstance(value, CommentedMap):
            _fill(entry[key], value)


def _plain(node: Any) -> Any:
    if isinstance(node, CommentedMap):
        return {key: _plain(value) for key, value in node.items()}
    if isinstance(node, CommentedSeq):
        return [_plain(value) for value in node]
    return float(node) if isinstance(node, float) else int(node) if type(node) is not bool and isinstance(node, int) else node


def _identity(problem: Any) -> tuple[Any, ...]:
    section, *rest = problem["loc"] or ("",)
    value = problem["msg"] if isinstance(problem["input"], dict) else repr(problem["input"])
    return section, *rest[1 if section == "method" else 0 :], problem["type"], value


def _message(tree: CommentedMap, problem: Any, path: Path) -> str:
    # pydantic puts the names of union members into the location; only parts that lead on in the file are the key.
    node: Any = tree
    line = None
    keys: list[str] = []
    for part in problem["loc"]:
        if isinstance(node, CommentedMap) and part in node:
            line, node = node.lc.key(part)[0] + 1 if part in node.lc.data else line, node[part]
        elif isinstance(node, CommentedSeq) and isinstance(part, int) and part < len(node):
            line, node = node.lc.item(part)[0] + 1, node[part]
        elif problem["type"] != "missing" or part != problem["loc"][-1]:
            continue
        keys.append(str(part))
    where = f"{path} line {line}" if line else str(path)
    key = ".".join(keys)
    if problem["type"] == "missing":
        return f"{key} is missing ({where})"
    if problem["type"] == "extra_forbidden":
        return f"{key} is not a parameter ({where})"
    text = problem["msg"].removeprefix("Value error, ")
    return f"{text} ({where})" if isinstance(node, CommentedMap) else f"{key} = {_plain(node)!r}: {text} ({where})"
