"""What a stage imports and can change its outputs is among the stage's `deps` in dvc.yaml, so that an edit reruns what it must."""

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.stages.check import code_of

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
    "semipose.config.methods": "as tree: a new method adds a class there and must rerun no other method",
    "semipose.config.network": "as tree",
    "semipose.config.section": "as tree",
}
# Methods: entries/<name>.json carries the digest of a method's file and of what that imports from methods/.
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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "before", "after", "expected"),
    [
        ("semipose/pose/skeleton.py", "0.026, 0.025", "0.027, 0.025", {"warmup", "train", "ablate", "evaluate", "evaluate_ablation"}),
        ("semipose/evaluation/metrics/oks.py", "0.5", "0.51", {"train", "ablate", "evaluate", "evaluate_ablation", "report"}),
        ("semipose/methods/base.py", "3 * ", "4 * ", {"check", "warmup"}),
        ("semipose/methods/akm.py", "import", "import ", {"check"}),
    ],
)
def test_an_edit_is_seen_by_what_must_rerun(tmp_path: Path, file: str, before: str, after: str, expected: set[str]) -> None:
    """`dvc status` names the stages. What `check` makes of a method's file is in the test after this one."""
    project = tmp_path / "project"
    subprocess.run(["git", "clone", "-q", ROOT, project], check=True)
    for folder in ("semipose", "pipeline", "dvc.yaml"):
        target = project / folder
        shutil.rmtree(target, ignore_errors=True) if target.is_dir() else target.unlink()
        copy = shutil.copytree if (ROOT / folder).is_dir() else shutil.copy
        copy(ROOT / folder, target)
    subprocess.run([sys.executable, "-m", "dvc", "commit", "-q", "--force"], cwd=project, check=False)
    status = [sys.executable, "-m", "dvc", "status", "--json"]
    unedited = json.loads(subprocess.run(status, cwd=project, capture_output=True, text=True, check=True).stdout)
    text = (project / file).read_text(encoding="utf-8")
    assert before in text
    (project / file).write_text(text.replace(before, after, 1), encoding="utf-8")
    edited = json.loads(subprocess.run(status, cwd=project, capture_output=True, text=True, check=True).stdout)
    touched = {name.partition("@")[0] for name, said in edited.items() if said != unedited.get(name)}
    assert expected <= touched, f"{sorted(touched)}"
    if file == "semipose/methods/akm.py":
        assert not touched & {"train", "warmup"}, "a method's file reruns others through entries/ alone"
