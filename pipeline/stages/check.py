"""Stage `check`: params.yaml is complete and within its limits, and MLflow's database exists before
stages run in parallel.
"""

import ast
import hashlib
import subprocess
import sys
from pathlib import Path

from pipeline.runtime import stage
from semipose.config.load import load
from semipose.models.check import check_networks
from semipose.training.cost import equal_steps
from semipose.utils.files import write_json, write_text

ENTRIES = Path("entries")
METHODS = Path("semipose/methods")


def check() -> None:
    params = load()
    check_networks(params)
    # Prints itself what is wrong with the store; a store that is down stops no stage.
    subprocess.run([sys.executable, "-m", "pipeline.track", "ensure"], check=False)
    # Constant content: what depends on it reruns only for its own parameters.
    write_text(Path("params.ok"), "params.yaml was read and found valid\n")
    steps, build = equal_steps(params), digest_of_build()
    for name, method in params.method.items():
        code = {path.stem: stage.content_digest(path) for path in code_of(METHODS / f"{method.base}.py")} | {"build": build}
        entry = {"entry": params.section(f"method.{name}"), "code": code} | ({"steps": steps[name]} if name in steps else {})
        write_json(ENTRIES / f"{name}.json", entry)


def code_of(file: Path) -> list[Path]:
    """The file of a method and the files of its folder that it imports, directly or not; sorted."""
    found, waiting = {file}, [file]
    while waiting:
        for node in ast.walk(ast.parse(waiting.pop().read_text(encoding="utf-8"))):
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            path = METHODS / f"{module.removeprefix('semipose.methods.')}.py"
            if module.startswith("semipose.methods.") and path not in found:
                found.add(path)
                waiting.append(path)
    return sorted(found)


def digest_of_build() -> str:
    """SHA-256 of the function that makes every method; not of the list of
    methods beside it, which a new one changes.
    """
    text = (METHODS / "__init__.py").read_text(encoding="utf-8")
    (build,) = (node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef) and node.name == "build")
    return hashlib.sha256((ast.get_source_segment(text, build) or "").encode()).hexdigest()


if __name__ == "__main__":
    stage.main(check, [])
