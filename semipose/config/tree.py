"""The tree of params.yaml: every key required, unknown keys refused, units in names.

No key has a default here, so that params.yaml is the one place where a value can be read. params_file.py reads it.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from semipose.config.augment import Augment
from semipose.config.data import Data, SplitParams
from semipose.config.methods import Method
from semipose.config.network import Model, Warmup
from semipose.config.section import ByBudget, Count, Name, Positive, Ratio, Section, Share


class Train(Section):
    steps: ByBudget
    batch_size: Annotated[int, Field(ge=2)]
    batch_groups: Positive
    lr: Ratio
    decay_at: list[Share] | dict[Name, list[Share]]
    decay: Ratio
    precision: Literal["32-true", "bf16-mixed"]
    validate_every: Positive
    validation_people: Positive


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
    ablations: dict[Name, Annotated[list[Name], Field(min_length=1)]]


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
    compile: Literal["none", "default", "max-autotune-no-cudagraphs"]
    checkpoint_seconds: Annotated[float, Field(ge=0)]
    max_minutes: Ratio | None


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
        self._groups_are_whole()
        for key, names in {"sweep.methods": self.sweep.methods, "ablation.variants": self.ablation.variants}.items():
            _known(key, names, self.method, "method")
        for key, names in {"sweep.labels": self.sweep.labels, "ablation.labels": self.ablation.labels}.items():
            _known(key, names, self.split.budgets, "split.budgets")
        maps = {"warmup.steps": self.warmup.steps, "train.steps": self.train.steps, "train.decay_at": self.train.decay_at}
        maps |= {f"method.{name}.warmup.steps": entry.warmup.steps for name, entry in self.method.items() if entry.warmup}
        for key, value in maps.items():
            if isinstance(value, dict):
                _known("split.budgets", self.split.budgets, value, key)
        for key in ("labels", "seeds"):
            for one in getattr(self.ablation, key):
                if one not in getattr(self.sweep, key):
                    raise ValueError(
                        f"ablation.{key}: {one} is not in sweep.{key}, whose cells warm up the variants and are their first row"
                    )
        for name in (*self.sweep.methods, *self.ablation.variants):
            entry, named = self.method[name], self.model.networks
            if entry.trains > len(named):
                raise ValueError(f"method.{name} trains {entry.trains} networks, but model.networks names {len(named)} for the warm-up")
            _known(f"method.{name}.networks", entry.networks, dict.fromkeys(named[: entry.trains]), "the networks that it trains")
        for name in self.ablation.variants:
            base = self.method[name].base
            if name == base or base not in self.sweep.methods:
                raise ValueError(f"ablation.variants: {name} must have another entry of sweep.methods as its base, the table's first row")
            if name in self.sweep.methods:
                raise ValueError(f"ablation.variants: {name} is in sweep.methods already; a cell is trained once")
        for topic, variants in self.report.ablations.items():
            _known(f"report.ablations.{topic}", variants, dict.fromkeys(self.ablation.variants), "ablation.variants")
        return self

    def _groups_are_whole(self) -> None:
        sizes = {"train": self.train.batch_size, "warmup": self.warmup.batch_size}
        sizes |= {f"method.{name}.warmup": entry.warmup.batch_size for name, entry in self.method.items() if entry.warmup}
        for key, size in sizes.items():
            if size % self.train.batch_groups or size < 2 * self.train.batch_groups:
                raise ValueError(
                    f"{key}.batch_size = {size} is not {self.train.batch_groups} groups (train.batch_groups) of two or more people"
                )
        if self.train.batch_groups % (processes := self.machine.devices * self.machine.nodes):
            raise ValueError(
                f"train.batch_groups = {self.train.batch_groups} cannot be shared out to machine.devices x machine.nodes = {processes}"
            )

    def network(self, entry: str, name: str) -> Model:
        """The network `name` of `model.networks` as the entry `method.<entry>` has it."""
        own = self.method[entry].networks.get(name)
        return self.model if own is None else self.model.model_copy(update=dict(own))

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
