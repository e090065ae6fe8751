"""The wheel in an environment of its own: it holds the library and nothing of a data set, and its command predicts.
And pyproject.toml names what it needs."""

import ast
import json
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import numpy as np
import pytest
from pages import ROOT
from PIL import Image

from semipose.config.tree import Params
from semipose.models.network import build
from semipose.models.weight_file import network_metadata, save_network
from semipose.pose.skeleton import COCO17

OPTIONAL = ("export", "video", "fast", "weights")  # extras of a user; the others are for the project's own work


def imported(tree: ast.AST, at_once: bool) -> Iterator[str]:
    """The top-level modules that a file imports, for the type checker apart.

    Args:
        tree: The file.
        at_once: Only what is imported with the file, not later in a function.
    """
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]
        elif isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            continue
        elif not (at_once and isinstance(node, ast.FunctionDef | ast.Lambda)):
            yield from imported(node, at_once)


@pytest.mark.parametrize("at_once", [True, False])
def test_what_is_imported_is_among_the_dependencies(at_once: bool) -> None:
    """What a file imports with itself is needed by all users; what a function imports may be an extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [] if at_once else [one for extra in OPTIONAL for one in project["optional-dependencies"][extra]]
    known = {_plain(re.split(r"[^\w.-]", one)[0]) for one in [*project["dependencies"], *extras]}
    found = {
        module: path.relative_to(ROOT)
        for package in ("semipose", "pipeline")
        for path in (ROOT / package).rglob("*.py")
        for module in imported(ast.parse(path.read_text(encoding="utf-8")), at_once)
    }
    assert {"numpy", "torch", "PIL"} <= set(found)
    distributions, missing = packages_distributions(), {}
    for module, path in found.items():
        owners = {_plain(one) for one in distributions.get(module, [module])}
        if module not in {*sys.stdlib_module_names, "semipose", "pipeline"} and not owners & known:
            missing[module] = str(path)
    assert not missing, "name their distributions in pyproject.toml"


def _plain(name: str) -> str:
    """A distribution's name as all ways of writing it have in common."""
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.slow
def test_the_wheel_installs_and_predicts(tmp_path: Path, tiny: Params) -> None:
    wheels, environment = tmp_path / "wheels", tmp_path / "environment"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", wheels, ROOT], check=True)
    (wheel,) = wheels.glob("semipose-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {path.relative_to(ROOT).as_posix() for path in (ROOT / "semipose").rglob("*.py")} <= set(names)
    assert "semipose/py.typed" in names
    assert "semipose/reporting/published.csv" in names
    assert not [name for name in names if name.endswith((".jpg", ".png", ".safetensors", ".pth", ".onnx"))]

    # The dependencies are those of this environment; semipose itself must come from the wheel.
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    subprocess.run([*pip, "--python", environment / "bin/python", "install", "--no-deps", wheel], check=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    code = "import semipose; print(semipose.__file__)"
    found = subprocess.run([environment / "bin/python", "-c", code], cwd=tmp_path, env=clean, check=True, capture_output=True, text=True)
    assert Path(found.stdout.strip()).is_relative_to(packages)
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (90, 120, 3), np.uint8)).save(tmp_path / "a.png")
    save_network(build(tiny.model, 17, seed=0), tmp_path / "w.safetensors", network_metadata(tiny.model, COCO17, 1.25))
    arguments = ["predict", "a.png", "--weights", "w.safetensors", "--out", "out"]
    ran = subprocess.run([environment / "bin/semipose", *arguments], cwd=tmp_path, env=clean, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    (pose,) = json.loads((tmp_path / "out/predictions.json").read_text())
    assert len(pose["keypoints"]) == 51
    assert np.isfinite(pose["keypoints"]).all()
    with Image.open(tmp_path / "out/a.png") as overlay:
        assert overlay.size == (120, 90)
