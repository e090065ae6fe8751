"""The README's promises that need no finished run; its commands run in test_pipeline.py."""

import importlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from pages import ROOT, blocks
from ruamel.yaml import YAML

from semipose.reporting.archive import write_archive_results

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_tables_are_those_of_the_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "docs")
    presets, results = (importlib.import_module(name) for name in ("presets", "results"))
    assert results.renewed(README) == README, "run `python docs/results.py`"
    assert (ROOT / "docs/results.md").read_text(encoding="utf-8") == results.page(), "run `python docs/results.py`"
    assert "| `akm` | " in presets.compact("demo", "")
    for path in (ROOT / "docs/methods").glob("*.md"):
        text = path.read_text(encoding="utf-8")
        assert results.renewed_method(text) == text, "run `python docs/results.py`"
    for folder in (ROOT / "results").glob("*/"):
        shutil.copytree(folder / "runs", tmp_path / folder.name / "runs")
        write_archive_results(again := tmp_path / folder.name)
        assert (again / "results.csv").read_bytes() == (folder / "results.csv").read_bytes(), "run `python docs/results.py`"
    assert "| `demo` | `akm` | 50 |" in results.measured(["akm"])


@pytest.mark.parametrize("target", [*re.findall(r"^make ([a-z]+)", README, flags=re.MULTILINE), "ui", "test-fast", "lock"])
def test_the_commands_of_make_are_there(target: str) -> None:
    subprocess.run(["make", "--dry-run", target], cwd=ROOT, check=True, capture_output=True)


def test_make_rebuilds_no_environment_through_a_link(tmp_path: Path) -> None:
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "other").mkdir()
    (tmp_path / ".venv").symlink_to("other")
    done = subprocess.run(["make", "ui"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "semipose: .venv is a link to other" in done.stderr
    assert not list((tmp_path / "other").iterdir())


def test_the_table_of_presets_has_them_all() -> None:
    page = (ROOT / "docs/start/pipeline.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*?) \|", page.partition("| preset |")[2].partition("```")[0], flags=re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`([\w-]+)`", row)]
    assert sorted(named) == sorted(path.stem for path in (ROOT / "pipeline/presets").glob("*.yaml"))


def test_the_citation_names_what_the_page_cites() -> None:
    citation = YAML(typ="safe").load(ROOT / "CITATION.cff")
    assert citation["cff-version"] == "1.2.0"
    assert {"title", "message", "authors", "version", "license"} <= set(citation)
    (paper,) = citation["references"]
    (entry,) = (block.text for block in blocks("docs/cite.md") if block.language == "bibtex")
    assert f"{{{paper['title']}}}" in entry
    assert f"{{{paper['journal']}}}" in entry
    for author in paper["authors"]:
        assert f"{author['family-names']}, {author['given-names']}" in entry
    assert f'version = "{citation["version"]}"' in Path(ROOT / "pyproject.toml").read_text()
