"""The contracts of pyproject.toml hold (import-linter); the library stays light to import."""

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


def test_the_public_names_load_when_they_are_used() -> None:
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
