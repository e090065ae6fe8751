"""The wheel in an environment of its own: it holds the library and nothing of a data set, and its command runs."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from pages import ROOT


@pytest.mark.slow
def test_the_wheel_installs_and_predicts(tmp_path: Path) -> None:
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
    helped = subprocess.run([environment / "bin/semipose", "predict", "--help"], cwd=tmp_path, env=clean, capture_output=True, text=True)
    assert helped.returncode == 0, helped.stderr
    assert "--weights" in helped.stdout
