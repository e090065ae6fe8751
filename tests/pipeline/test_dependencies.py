"""What a stage imports and can change its outputs is among the stage's `deps` in dvc.yaml, so that an edit reruns what it must."""

import ast
import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.runtime.declared import summary
from pipeline.stages.check import check, code_of
from semipose.config.tree import Params

ROOT = Path(__file__).parent.parent.parent
STAGES = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for folder in ("semipose", "pipeline")
    for path in (ROOT / folder).rglob("*.py")
}
# What a stage may import without listing it, and why that is safe.
EXCEPTIONS = {
    "semipose": "imports nothing until a name is used",
    "pipeline": "a docstring",
    "pipeline.runtime": "a docstring",
    "pipeline.stages": "a docstring",
    "pipeline.tracking": "writes to MLflow only",
    "pipeline.runtime.stage": "locks, fingerprints and messages; `train` and `evaluate` list it all the same",
    "pipeline.runtime.declared": "reads dvc.yaml for the fingerprint and the last line of a stage",
    "semipose.config.tree": "turns params.yaml into values, which are listed as params or lie in entries/",
    "semipose.config.load": "as tree",
    "semipose.config.augment": "as tree",
    "semipose.config.data": "as tree",
    "semipose.config.methods": "as tree; and a new method adds a class there and must rerun no other method",
    "semipose.config.network": "as tree",
    "semipose.config.section": "as tree",
}
# Methods: entries/<name>.json carries the digest of a method's file, of what that imports from methods/, and of `build`.
METHODS = "semipose.methods"


def imported(module: str) -> set[str]:
    """Modules of this project that a module imports when it runs; imports for the type checker do not count."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    guards = [node for node in ast.walk(tree) if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"]
    guarded = {id(inner) for guard in guards for inner in ast.walk(guard)}
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import) and id(node) not in guarded:
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and id(node) not in guarded:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    parents = {".".join(name.split(".")[:k]) for name in names for k in range(1, name.count(".") + 2)}
    return parents & set(MODULES)


def closure(module: str) -> set[str]:
    found, waiting = {module}, [module]
    while waiting:
        new = imported(waiting.pop()) - found
        found |= new
        waiting += new
    return found


def listed(module: str, deps: list[str]) -> bool:
    path = MODULES[module].relative_to(ROOT).as_posix()
    return any(path == dep or path.startswith(f"{dep}/") for dep in deps)


def is_docstring(module: str) -> bool:
    body = ast.parse(MODULES[module].read_text(encoding="utf-8")).body
    return len(body) == 1 and isinstance(body[0], ast.Expr)


@pytest.mark.parametrize("stage", list(STAGES))
def test_a_stage_lists_what_it_imports(stage: str) -> None:
    deps = STAGES[stage]["deps"]
    module = STAGES[stage]["cmd"].split()[2]
    needs = {name for name in closure(module) if name not in EXCEPTIONS and not name.startswith("pipeline.tracking.")}
    if any(dep.startswith("entries/") for dep in deps) or stage == "warmup":
        needs = {name for name in needs if not name.startswith(METHODS)}
    missing = {name for name in needs if not listed(name, deps) and not is_docstring(name)}
    assert not missing, f"{stage} imports {sorted(missing)}: list them in dvc.yaml, or name the reason in EXCEPTIONS"


def test_exceptions_exist() -> None:
    assert set(EXCEPTIONS) <= set(MODULES)


def test_the_warm_up_lists_the_methods_that_it_trains_with() -> None:
    assert {f"semipose/methods/{path.name}" for path in code_of(ROOT / "semipose/methods/supervised.py")} <= set(STAGES["warmup"]["deps"])


def test_an_entry_knows_what_its_method_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for path in Path("semipose/methods").glob("*.py"):
        module = f"{METHODS}.{path.stem}"
        if path.stem == "__init__":
            continue
        expected = {MODULES[name].name for name in closure_within(module) if name != METHODS}
        assert {one.name for one in code_of(path)} == expected


def closure_within(module: str) -> set[str]:
    """As `closure`, within methods/ and past its `__init__`, which imports all methods to list them."""
    found, waiting = {module}, [module]
    while waiting:
        new = {name for name in imported(waiting.pop()) if name.startswith(f"{METHODS}.")} - found
        found |= new
        waiting += new
    return found


@pytest.mark.parametrize(
    ("file", "stages"),
    [
        (
            "semipose/pose/skeleton.py",
            {"check", "download", "prepare", "split", "warmup", "train", "ablate", "evaluate", "evaluate_ablation"},
        ),
        ("semipose/evaluation/metrics/oks.py", {"train", "ablate", "evaluate", "evaluate_ablation", "report"}),
        ("semipose/methods/base.py", {"check", "warmup"}),
        ("semipose/methods/akm.py", {"check"}),
        ("semipose/pose/drawing.py", {"warmup", "train", "ablate", "evaluate", "evaluate_ablation"}),
    ],
)
def test_an_edit_reruns_what_must_and_no_more(file: str, stages: set[str]) -> None:
    """A sigma, an OKS constant and the methods' base class once reran neither training nor evaluation."""
    watched = {name for name, stage in STAGES.items() if any(file == dep or file.startswith(f"{dep}/") for dep in stage["deps"])}
    assert watched == stages


def test_an_edited_base_class_changes_every_entry_and_a_method_only_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "semipose" / "methods", tmp_path / "semipose" / "methods")
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pipeline.stages.check.subprocess.run", lambda *a, **k: None)  # MLflow has tests of its own

    def entries() -> dict[str, str]:
        check()
        return {path.stem: path.read_text(encoding="utf-8") for path in Path("entries").iterdir()}

    def edited(name: str, old: str = "", new: str = "") -> set[str]:
        before, path = entries(), Path("semipose/methods") / name
        text = path.read_text(encoding="utf-8")
        assert not old or text.count(old) == 1
        path.write_text(text.replace(old, new) if old else text + "# edited\n", encoding="utf-8")
        after = entries()
        return {name for name in after if after[name] != before[name]}

    everything = set(entries())
    assert edited("base.py") == everything
    assert edited("akm.py") == {name for name in everything if name.startswith("akm")}
    Path("semipose/methods/another.py").write_text('"""A new method."""\n', encoding="utf-8")
    assert edited("another.py") == set()
    assert edited("__init__.py", '    "akm": AKM,\n', '    "akm": AKM,\n    "another": AKM,\n') == set(), "the list of methods"
    assert edited("__init__.py", "return made.train()", "return made.eval()") == everything


@pytest.mark.parametrize(
    ("name", "after"),
    [("prepare", "split, warmup, train, ablate, evaluate, evaluate_ablation"), ("split", "warmup, train, ablate"), ("evaluate", "report")],
)
def test_the_last_line_of_a_stage_names_those_that_read_what_it_wrote(
    name: str, after: str, demo: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)  # prepare writes a folder of which split reads a file; split one whose files the others read
    assert summary(name, {"method": "akm", "labels": "L50", "seed": "0"}, demo, 1).endswith(f"; next: {after}")
