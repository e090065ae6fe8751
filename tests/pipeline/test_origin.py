"""Where a run comes from, in a real git repository."""

import subprocess

import pytest

from pipeline.tracking.origin import commit


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("semipose/code.py", "params.yaml", "pipeline/presets/demo.yaml", "dvc.lock", "reports/results.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("before\n")
    for words in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "first"]):
        subprocess.run(["git", *words], check=True)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "differs"),
    [
        ("semipose/code.py", True),
        ("semipose/new.py", True),
        ("params.yaml", False),  # a run's record has its parameters
        ("pipeline/presets/mine.yaml", False),
        ("dvc.lock", False),
        ("reports/results.csv", False),
    ],
)
def test_a_run_is_of_other_code_than_its_commit_if_a_file_of_code_differs(repository, name, differs):
    assert commit()[1] is False
    (repository / name).write_text("after\n")
    assert commit()[1] is differs


def test_outside_a_repository_nothing_is_known(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert commit() == ("", False)
