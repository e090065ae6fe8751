"""params.yaml: what is refused, with which message, and that every key is watched by some stage."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
import torch
from ruamel.yaml import YAML

from semipose.augment.task import Task
from semipose.config.budget import by_budget
from semipose.config.load import changes, load, migrated, read_yaml
from semipose.config.methods import Known
from semipose.config.section import Section
from semipose.config.text import section_of, whole_text
from semipose.config.tree import Params
from semipose.pose.skeleton import COCO17
from semipose.utils.errors import InputError

ROOT = Path(__file__).parent.parent.parent
DEMO = ROOT / "params.yaml"
PRESETS = sorted((ROOT / "pipeline" / "presets").glob("*.yaml"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\n    tau: 0.7", "\n    tau: 1.5", "method.akm.tau = 1.5: Input should be less than or equal to 1"),
        ("\n    tau: 0.7", "\n    tua: 0.5", "method.akm.tua is not a parameter"),
        ("\n    tau: 0.7", "\n    tau: half", "method.akm.tau = 'half': Input should be a valid number"),
        ("    n_min: 1", "    n_min: 9", "n_min = 9 must not exceed n_max = 5"),
        ("  height: 64", "  height: 63", "model.height = 63: Input should be a multiple of 8"),
        ("    - akm_no_mixup", "    - akm_no_mxup", "ablation.variants: akm_no_mxup is not among method"),
        ("  ablations: {}", "  ablations:\n    masks:\n      - akm_fixed", "report.ablations.masks: akm_fixed is not among"),
        ("\n    - supervised", "\n    - posefoo", "sweep.methods: posefoo is not among method"),
        ("    base: supervised", "    base: sup", "method.supervised.base = 'sup': must be one of supervised, akm, posecons, "),
        (
            "    masking: shuffled",
            "    paths: []",
            "paths is not a parameter of akm, but of multiaugs",
        ),
        ("    masking: shuffled", "    tua: 0.5", "method.akm_shuffled.tua is not a parameter of akm ("),
        ("  seed: 0   ", "  seed: off ", "data.demo.seed = 'off': Input should be a valid integer"),
        ("  root: null", "  root: here", "data.root must be null for data.source: demo"),
    ],
)
def test_a_mistake_is_named_with_key_value_and_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = DEMO.read_text()
    path = tmp_path / "params.yaml"
    path.write_text(text.replace(old, new, 1))
    assert old in text
    with pytest.raises(InputError) as error:
        load(path)
    assert message in str(error.value)
    line = text[: text.index(old)].count("\n") + 1
    if not message.startswith(("sweep", "ablation", "report")):
        assert any(f"line {k}" in str(error.value) for k in range(line - 12, line + 2))
    assert str(error.value).count("\n") <= 1, "a mistake that variants inherit is said once"


def test_a_value_is_read_as_dvc_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(DEMO.read_text().replace("  lr: 0.004                    # Adam's learning rate.\n", "  lr: 1e-3\n"))
    assert load(path).train.lr == 1e-3


def test_a_variant_is_its_base_with_its_own_keys(demo: Params) -> None:
    base, variant = demo.method["akm"].model_dump(), demo.method["akm_mixup_input"].model_dump()
    assert variant["mixup"] == base["mixup"] | {"place": ["input"]}
    assert {**variant, "mixup": base["mixup"]} == base
    tree = read_yaml(DEMO)
    assert changes(tree, "akm_mixup_input") == {"mixup.place": ["input"]}
    assert changes(tree, "akm_shuffled") == {"masking": "shuffled"}


def test_an_entry_may_have_networks_and_a_warm_up_of_its_own(tmp_path: Path, demo: Params) -> None:
    entry = "  posedual:\n    base: posedual             # File of semipose/methods/.\n"
    own = "    reference_bugs:\n      clamp: true\n    strong_augment:\n      rand_augment:\n        cutout: false\n"
    own += "    strong_view:\n      scale: 0.1\n    networks:\n      second:\n        backbone: resnet50\n    warmup:\n      steps: 7\n"
    text = (
        DEMO.read_text()
        .replace("\n    - net\n", "\n    - net\n    - second\n")
        .replace("\n    - akm\n", "\n    - akm\n    - posedual\n", 1)
    )
    path = tmp_path / "params.yaml"
    path.write_text(text.replace(entry, entry + own))
    params = load(path)
    second = params.network("posedual", "second")
    assert (second.backbone, second.options) == ("resnet50", {}), "another backbone begins without the options of the first"
    assert (second.height, second.sigma, second.head_channels) == (demo.model.height, demo.model.sigma, demo.model.head_channels)
    assert params.network("posedual", "net") == params.network("akm", "net") == params.model
    assert params.method["posedual"].warmup == demo.warmup.model_copy(update={"steps": 7})
    assert params.method["akm"].warmup is None
    assert params.method["posedual"].strong_view == demo.augment.strong.model_copy(update={"scale": 0.1})
    task = Task(COCO17, 32, 32, torch.device("cpu"), 1.0, params.augment)
    augment = task.of(params.method["posedual"]).augment
    assert augment.reference_bugs == demo.augment.reference_bugs.model_copy(update={"clamp": True})
    assert augment.strong_augment.rand_augment == demo.augment.strong_augment.rand_augment.model_copy(update={"cutout": False})
    assert augment.strong_augment.cutmix == demo.augment.strong_augment.cutmix
    assert augment.strong == params.method["posedual"].strong_view
    assert augment.weak == demo.augment.weak
    assert task.of(params.method["akm"]) == task
    path.write_text(text.replace(entry, entry + own.replace("backbone: resnet50", "options:\n          stem_width: 16")))
    assert load(path).network("posedual", "second").options == {"stem_width": 16}, "options are given as a whole"
    path.write_text(text.replace(entry, entry + own.replace("backbone: resnet50", "backbone: resnet18")))
    assert load(path).network("posedual", "second").options == demo.model.options
    for old, new, message in (
        ("      second:", "      third:", "method.posedual.networks: third is not among the networks that it trains: net, second"),
        ("        backbone:", "        height:", "method.posedual.networks.second.height is not a parameter"),
        ("      steps: 7", "      steps:\n        L7: 7", "split.budgets: L50 is not among method.posedual.warmup.steps: L7"),
    ):
        path.write_text(text.replace(entry, entry + own.replace(old, new)))
        with pytest.raises(InputError, match=re.escape(message)):
            load(path)


def test_steps_by_budget() -> None:
    assert [by_budget({"L50": 7, "L200": 8}, "L200"), by_budget(9, "L200")] == [8, 9]


def test_every_key_is_listed_by_a_stage_and_machine_by_none() -> None:
    """A key that no stage lists could change without a rerun."""
    stages = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
    listed = {key.split(".${")[0] for stage in stages.values() for key in stage.get("params", []) if isinstance(key, str)}

    def leaves(node: object, prefix: str) -> list[str]:
        if isinstance(node, dict) and node and prefix not in ("split.budgets", "model.options"):
            return [leaf for key, value in node.items() for leaf in leaves(value, f"{prefix}.{key}".strip("."))]
        return [prefix]

    keys = leaves(YAML(typ="safe").load(DEMO.read_text()), "")
    unwatched = [key for key in keys if not any(key == name or key.startswith(name + ".") for name in listed)]
    assert {key.split(".")[0] for key in unwatched} == {"machine"}


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_a_preset_loads(path: Path) -> None:
    load(path)
    assert "&" not in path.read_text().replace("# ", ""), "anchors freeze what they merged under `dvc exp run -S`"


@pytest.mark.parametrize("name", ["mpii-flic", "coco-full-hrnet"])  # each extends one that extends another
def test_a_preset_makes_a_whole_file(tmp_path: Path, name: str) -> None:
    path = ROOT / f"pipeline/presets/{name}.yaml"
    text = whole_text(path)
    (tmp_path / "params.yaml").write_text(text)
    assert load(tmp_path / "params.yaml") == load(path)
    reference = YAML(typ="safe").load(DEMO.read_text())
    tree = YAML(typ="safe").load(text)
    assert list(tree) == list(reference)
    for section in ("data", "model", "train", "warmup", "augment", "evaluate", "machine"):
        assert list(tree[section]) == list(reference[section])


def test_every_key_has_a_description() -> None:
    def walk(section: type[Section]) -> Iterator[str]:
        for key, field in section.model_fields.items():
            if not field.description:
                yield f"{section.__name__}.{key}"
            inner = None if key == "method" else section_of(field.annotation)
            yield from walk(inner) if inner else ()

    assert [*walk(Params), *(missing for method in get_args(Known) for missing in walk(method))] == []


def test_the_committed_params_are_the_demo() -> None:
    assert DEMO.read_text() == whole_text(ROOT / "pipeline/presets/demo.yaml")


def test_a_preset_says_what_differs_and_keeps_the_rest(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(DEMO.read_text())
    (tmp_path / "own.yaml").write_text(
        "extends: base\n"
        "split: {budgets: {L7: 7}}\n"
        "train: {steps: {L7: 9}}\n"
        "sweep: {labels: [L7]}\n"
        "ablation: {labels: [L7]}\n"
        "model: {options: {}}\n"
        "method:\n"
        "  akm: {mixup: {alpha: 0.3}}\n"
        "  akm_own: {base: akm, tau: 0.1} # my own row\n"
    )
    own, base = load(tmp_path / "own.yaml"), load(DEMO)
    assert own.split.budgets == {"L7": 7}, "names are the user's own: they are not joined with the base's"
    assert own.model.options == {}
    assert own.method["akm"] == base.method["akm"].model_copy(update={"mixup": base.method["akm"].mixup.model_copy(update={"alpha": 0.3})})
    assert own.method["akm_own"] == own.method["akm"].model_copy(update={"tau": 0.1})
    assert own.augment == base.augment
    assert "  akm_own:                     # my own row\n    base: akm\n    tau: 0.1\n" in whole_text(tmp_path / "own.yaml")
    for old, new, message in (
        ("alpha: 0.3", "alpha: -1", r"method\.akm\.mixup\.alpha = -1.* \(.*own\.yaml line 8\)"),
        ("extends: base", "extends: bass", r"extends = 'bass': must be another preset of .* \(.*own\.yaml line 1\)"),
        ("extends: base", "extends: own", r"extends = 'own': must be another preset"),
    ):
        (tmp_path / "wrong").mkdir(exist_ok=True)
        (tmp_path / "wrong/base.yaml").write_text(DEMO.read_text())
        (tmp_path / "wrong/own.yaml").write_text((tmp_path / "own.yaml").read_text().replace(old, new))
        with pytest.raises(InputError, match=message):
            load(tmp_path / "wrong/own.yaml")
    (tmp_path / "base.yaml").write_text(DEMO.read_text().replace("  lr: 0.004 ", "  lr: -1 "))
    line = DEMO.read_text().partition("  lr: 0.004")[0].count("\n") + 1
    with pytest.raises(InputError, match=rf"warmup\.lr = -1: .* \(.*base\.yaml line {line}\)"):
        load(tmp_path / "own.yaml")


@pytest.mark.parametrize(
    ("groups", "devices", "message"),
    [
        (3, 1, "train.batch_size = 16 cannot be divided into 3 groups (train.batch_groups) of two or more people"),
        (16, 1, "train.batch_size = 16 cannot be divided into 16 groups (train.batch_groups) of two or more people"),
        (2, 4, "train.batch_groups = 2 cannot be divided among machine.devices x machine.nodes = 4"),
    ],
)
def test_groups_part_every_batch_and_are_shared_out_evenly(tmp_path: Path, groups: int, devices: int, message: str) -> None:
    text = DEMO.read_text().replace("  batch_groups: 1", f"  batch_groups: {groups}").replace("  devices: 1 ", f"  devices: {devices} ")
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(InputError) as error:
        load(tmp_path / "params.yaml")
    assert message in str(error.value)


@pytest.mark.parametrize("change", ["compile: default", "batch_groups: 2", "accelerator: cpu"])
def test_graphs_are_for_one_gpu_and_networks_that_are_not_compiled(tmp_path: Path, change: str) -> None:
    path, key = tmp_path / "params.yaml", change.partition(" ")[0]
    text = re.sub(r"(?m)^  graphs: \w+", "  graphs: true", DEMO.read_text())
    path.write_text(text)
    assert load(path).machine.graphs
    path.write_text(re.sub(rf"(?m)^  {key} \w+", f"  {change}", text))
    with pytest.raises(InputError, match=r"machine\.graphs: true needs a GPU"):
        load(path)


OLD = {"  backbone:": "  trunk:", "  batch_groups:": "  groups:", "  strong_augment:": "  strengthen:", "  reference_bugs:": "  traps:"}


def test_keys_of_0_1_are_refused_with_their_new_name_and_migrated(tmp_path: Path) -> None:
    today, path = DEMO.read_text(), tmp_path / "params.yaml"
    own = "  supervised:\n    base: supervised           # File of semipose/methods/.\n"
    assert own in today
    today = today.replace(own, own + "    networks:\n      net:\n        backbone: resnet34\n        options:\n          groups: 1\n")
    old = today
    for new_key, old_key in OLD.items():
        assert f"\n{new_key}" in old
        old = old.replace(new_key, old_key)
    path.write_text(old)
    with pytest.raises(InputError) as caught:
        load(path)
    for key in ("model.trunk", "train.groups", "augment.strengthen", "augment.traps"):
        assert f"{key} is now called" in str(caught.value)
    assert f": rename the keys of semipose 0.1 ({path} line " in str(caught.value)
    assert migrated(old) == today, "comments and layout stay, and the backbone's own `groups` too"
    assert migrated(today) == today
