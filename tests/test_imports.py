"""The layers of pyproject.toml hold (import-linter); stages of the pipeline do not import each other; the library stays light to import."""

import ast
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

import semipose

ROOT = Path(__file__).parent.parent


def test_the_contracts_hold(capsys: pytest.CaptureFixture[str]) -> None:
    kept = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True, cache_dir=None, show_timings=False) == 0
    assert kept, capsys.readouterr().out


def test_every_package_has_a_layer() -> None:
    """A package that no contract names would be free to import anything."""
    written = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    packages = {path.name for path in (ROOT / "semipose").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert {path.name for path in (ROOT / "semipose").glob("*.py")} == {"__init__.py"}
    for package in packages:
        assert f'"{package}"' in written or f" {package} " in written or f'"{package} ' in written or f' {package}"' in written, package


def test_the_public_names_load_when_they_are_used() -> None:
    assert set(semipose.__all__) == set(semipose.PUBLIC)
    for name in semipose.__all__:
        assert getattr(semipose, name) is not None
    with pytest.raises(AttributeError, match="Posers"):
        _ = semipose.Posers
    code = "import sys, semipose; print(sorted({'torch', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_former_address_of_poser_works_and_warns() -> None:
    with pytest.warns(DeprecationWarning, match="from semipose import Poser"):
        from semipose.poser import Poser  # type: ignore[import-not-found]
    assert Poser is semipose.Poser
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert semipose.Poser is Poser


def test_stages_do_not_know_each_other() -> None:
    for path in (ROOT / "pipeline" / "stages").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            assert not module.startswith("pipeline.stages"), f"{path} imports {module}"
