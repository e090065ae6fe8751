"""The tree of params.yaml: every key is required, unknown keys are refused, names contain units.

No key has a default here, so params.yaml is the one place where a value can be read.
`load.py` reads it.
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
    """Optimiser steps after the warm-up, the same for every method; one number, or a map by budget."""
    equal_cost: Name | None
    """An entry of `method`: every run gets as many steps as cost what its training with `steps` costs, warm-up included; null: `steps`."""
    batch_size: Annotated[int, Field(ge=2)]
    """People in a step: this many labelled ones and, for semi-supervised methods, as many unlabelled ones."""
    batch_groups: Positive
    """Parts of a batch, each with its own batch-norm statistics, Mixup
    partners and random numbers; devices share them.
    """
    lr: Ratio
    """Adam's learning rate."""
    decay_at: list[Share] | dict[Name, list[Share]]
    """Fractions of the steps at which the learning rate is multiplied by `decay`; one list, or a map by budget."""
    decay: Ratio
    """Factor of the learning rate at each of decay_at."""
    schedule: Literal["step", "cosine"]
    """How the learning rate falls. step: by `decay` at each of decay_at; cosine: along half a cosine to 0 at the end."""
    precision: Literal["32-true", "bf16-mixed"]
    """Lightning Fabric's precision: 32-true or bf16-mixed."""
    validate_every: Positive
    """Epochs between validations during training; an epoch is one pass over the unlabelled people."""
    validation_people: Positive
    """Number of validation people for those, from the start of the set; the evaluation uses all."""


class Evaluate(Section):
    boxes: Literal["ground_truth", "detector"]
    """ground_truth: the annotations' boxes; detector: those of data.detections."""
    nms_oks: Share
    """Of two poses in a detector's boxes with a higher OKS than this, the one with the higher score stays."""
    metric: Literal["oks", "pck", "pckh"]
    """The headline. oks: COCO's AP and AR; pck: share of keypoints within a distance; pckh: within half a head (MPII)."""
    pck_threshold: Ratio
    """For pck: largest distance as a share of the reference length."""
    pck_reference: Literal["torso", "box"]
    """For pck: torso (left shoulder to right hip) or box (its longer side)."""
    decode: Literal["quarter", "dark"]
    """quarter: argmax and a quarter cell towards the higher neighbour; dark: DARK's sub-cell maximum."""
    flip_test: bool
    """true: average with the mirrored view."""
    batch_size: Positive
    """People in a forward pass."""
    bootstrap: Positive
    """Bootstrap resamples for the 95 % intervals."""
    overlays: Positive
    """People rendered for each of best, median and worst."""


class Report(Section):
    title: str
    """Title of the report page."""
    ablations: dict[Name, Annotated[list[Name], Field(min_length=1)]]
    """Name of a table: the variants that it shows; all others are in one table."""
    settings: dict[Name, Annotated[dict[Name, Name], Field(min_length=1)]]
    """Table of one method with several settings. Name of a setting, its columns: for each method, its row, an entry of `method`."""


class Sweep(Section):
    methods: Annotated[list[Name], Field(min_length=1)]
    """Entries of `method`."""
    labels: Annotated[list[Name], Field(min_length=1)]
    """Names of split.budgets."""
    seeds: Annotated[list[Count], Field(min_length=1)]
    """Seeds of initial weights, batches and views."""


class Ablation(Section):
    variants: list[Name]
    """Entries of `method` whose base is in sweep.methods."""
    labels: list[Name]
    """A part of sweep.labels."""
    seeds: list[Count]
    """A part of sweep.seeds."""


class Machine(Section):
    accelerator: Literal["auto", "cpu", "gpu"]
    """auto, cpu or gpu."""
    devices: Positive
    """Devices of each machine."""
    nodes: Positive
    """Machines."""
    workers: Positive
    """Processes that render and crop."""
    threads: Count
    """CPU threads of a training; 0: all."""
    compile: Literal["none", "default", "max-autotune-no-cudagraphs"]
    """torch.compile's mode, for a GPU (docs/cluster.md): none, default or max-autotune-no-cudagraphs."""
    graphs: bool
    """true: on one GPU a training step is launched as a CUDA graph, all kernels at once (docs/gpu.md); false: kernel by kernel."""
    tf32: bool
    """false: float32 is float32 on a GPU; true: training may round its factors to TF32 (10 bits), evaluation never does."""
    deterministic: bool
    """true: on a GPU, the same bits every time, but slower; false: cuDNN searches for its fastest
    kernels. A CPU always gives the same.
    """
    portable: bool
    """true: in float32, an x86 CPU computes with AVX2 alone and as another maker's would, so that it
    gives the same bits; false: it uses all that it has.
    """
    checkpoint_seconds: Annotated[float, Field(ge=0)]
    """Seconds between checkpoints of a training; 0: after every step."""
    max_minutes: Ratio | None
    """A training that takes longer stops with a checkpoint, and continues when it is started again. null: no limit."""


class Params(Section):
    data: Data
    """Which people, and how they are cropped."""
    split: SplitParams
    """Which of them are labelled."""
    model: Model
    """The networks."""
    warmup: Warmup
    """Training on labelled people only, before every method."""
    train: Train
    """Training, the same for every method."""
    augment: Augment
    """Weak and strong views."""
    method: dict[Name, Method]
    """Every method and its variants; an entry takes missing keys from its base."""
    evaluate: Evaluate
    """Evaluation on the validation people."""
    report: Report
    """The report page and its tables."""
    sweep: Sweep
    """Runs of the main table: every method with every budget and seed."""
    ablation: Ablation
    """Runs of the ablation tables: every variant with every budget and seed, beside its base."""
    machine: Machine
    """The machine; a change here reruns nothing."""

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
                        f"ablation.{key}: {one} is not in sweep.{key}; add it there, because those runs warm up the "
                        "variants and are their first row"
                    )
        for name in (*self.sweep.methods, *self.ablation.variants):
            entry, named = self.method[name], self.model.networks
            if entry.trains > len(named):
                raise ValueError(f"method.{name} trains {entry.trains} networks, but model.networks names {len(named)}; name more")
            _known(f"method.{name}.networks", entry.networks, dict.fromkeys(named[: entry.trains]), "the networks that it trains")
        for name in self.ablation.variants:
            base = self.method[name].base
            if name == base or base not in self.sweep.methods:
                raise ValueError(f"ablation.variants: {name} needs another entry of sweep.methods as its base, the first row of its table")
            if name in self.sweep.methods:
                raise ValueError(f"ablation.variants: {name} is already in sweep.methods; list it in one of them")
        if self.train.equal_cost is not None:
            _known("train.equal_cost", [self.train.equal_cost], self.method, "method")
        shown = dict.fromkeys((*self.sweep.methods, *self.ablation.variants))
        for setting, rows in self.report.settings.items():
            _known(f"report.settings.{setting}", rows.values(), shown, "sweep.methods and ablation.variants")
        for topic, variants in self.report.ablations.items():
            _known(f"report.ablations.{topic}", variants, dict.fromkeys(self.ablation.variants), "ablation.variants")
        return self

    def _groups_are_whole(self) -> None:
        sizes = {"train": self.train.batch_size, "warmup": self.warmup.batch_size}
        sizes |= {f"method.{name}.warmup": entry.warmup.batch_size for name, entry in self.method.items() if entry.warmup}
        for key, size in sizes.items():
            if size % self.train.batch_groups or size < 2 * self.train.batch_groups:
                raise ValueError(
                    f"{key}.batch_size = {size} cannot be divided into {self.train.batch_groups} groups "
                    "(train.batch_groups) of two or more people"
                )
        if self.machine.graphs and (self.machine.compile != "none" or self.train.batch_groups > 1 or self.machine.accelerator == "cpu"):
            raise ValueError(
                "machine.graphs: true needs a GPU (machine.accelerator: auto or gpu), machine.compile: none and train.batch_groups: 1, "
                "so one device; or say machine.graphs: false"
            )
        if self.train.batch_groups % (processes := self.machine.devices * self.machine.nodes):
            raise ValueError(
                f"train.batch_groups = {self.train.batch_groups} cannot be divided among machine.devices x machine.nodes = {processes}"
            )

    def network(self, entry: str, name: str) -> Model:
        """The network `name` of `model.networks`, as changed by the entry `method.<entry>`."""
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
    """Digest (32 hex digits) of anything JSON can hold: what a run depends on."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:32]
