"""The import law: arrows only point to lower rooms, the library knows no pipeline, stages do not know each other."""

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent
STAGES = {"check", "download", "prepare", "split", "warmup", "train", "evaluate", "report"}
# Lower rooms first. A file may import rooms of its own line and of those above it.
ORDER = [
    {"ahead", "errors", "files", "memory", "progress", "skeleton", "workers"},
    {"params", "params_file", "people", "geometry", "schedule", "ema", "checkpoint", "fetch", "archives", "results", "clock", "gpus"},
    {"heatmap", "sources", "splits", "download", "ground_truth", "augment", "metrics", "draw", "cutting", "protocol", "style", "trunks"},
    {"crops", "packing", "unfinished", "models", "tables", "published", "figures", "curves", "typeset"},
    {"task", "predict", "photos", "videos", "site"},
    {"poser", "detector", "overlays"},
    {"methods", "batches", "compiled", "evaluation", "groups", "tally"},
    {"engine", "probe"},
    {"gallery", "warmup", "bench", "export", "doctor"},
    {"commands"},
    {"cli"},
]


def imports(path: Path) -> set[str]:
    """Modules that a file imports when it runs; imports for the type checker alone are no arrows."""
    tree = ast.parse(path.read_text())
    guarded = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found = set()
    for node in ast.walk(tree):
        if id(node) in guarded:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if parts[0] == "semipose" and len(parts) > 1 else None


def test_the_library_knows_no_pipeline_and_no_tracker() -> None:
    for path in (ROOT / "semipose").rglob("*.py"):
        outside = {module.split(".")[0] for module in imports(path)} & {"mlflow", "dvc", "pipeline"}
        assert not outside, f"{path} imports {outside}"


def test_stages_do_not_know_each_other() -> None:
    for name in STAGES:
        known = {module.split(".")[1] for module in imports(ROOT / "pipeline" / f"{name}.py") if module.startswith("pipeline.")}
        assert not known & STAGES, f"{name} imports {known & STAGES}"


def test_arrows_point_to_lower_rooms() -> None:
    level = {name: k for k, names in enumerate(ORDER) for name in names}
    for path in sorted((ROOT / "semipose").rglob("*.py")):
        own = path.relative_to(ROOT / "semipose").parts[0].removesuffix(".py")
        if own == "__init__":
            continue
        assert own in level, f"{path}: its room has no place in the order"
        for module in imports(path):
            other = room(module)
            if other and other in level and other != own:
                assert level[other] <= level[own], f"{path} imports {module}, a higher room"
