"""A dvc.lock that was cut off anywhere: DVC reads what is left of it, and nothing in it is made up."""

from pathlib import Path

import pytest
from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from ruamel.yaml import YAML

from pipeline.lockfile import mend, mended

ROOT = Path(__file__).parent.parent
LOCK = (ROOT / "dvc.lock").read_text()


def stages(text: str) -> dict[str, object]:
    content = YAML(typ="safe").load(text)
    COMPILED_LOCKFILE_SCHEMA(content)
    return content["stages"]


def test_a_whole_one_stays(tmp_path: Path) -> None:
    path = tmp_path / "dvc.lock"
    path.write_text(LOCK)
    before = path.stat().st_mtime_ns
    assert mend(path) is None
    assert (path.read_text(), path.stat().st_mtime_ns) == (LOCK, before)
    assert mend(tmp_path / "none") is None


# Beginning, end, and some of everything between.
@pytest.mark.parametrize("at", [0, 1, 12, 16, 20, 24, 30, *range(997, len(LOCK), 9973), len(LOCK) - 40, len(LOCK) - 1])
def test_cut_off_anywhere(at: int, tmp_path: Path) -> None:
    path = tmp_path / "dvc.lock"
    path.write_text(LOCK[:at])
    said = mend(path)
    assert said is None or "was cut off while DVC wrote it" in said
    every, left = stages(LOCK), stages(path.read_text()) if path.exists() else {}
    known = list(left)[:-1] if LOCK[:at].endswith("\n") else list(left)  # between two lines nobody can tell that more was to come
    assert all(left[name] == every[name] for name in known)
    assert list(left) == list(every)[: len(left)], "the first so many"
    # At most the stage in which it was cut is lost.
    assert len(left) >= sum(f"\n  {name}:\n" in LOCK[:at] for name in every) - 1
    assert mended(path.read_text()) == path.read_text() if path.exists() else True


def test_a_stage_of_which_only_the_name_is_there_is_left_out() -> None:
    second = list(stages(LOCK))[1]
    cut = LOCK[: LOCK.index(f"\n  {second}:\n") + len(f"\n  {second}:\n")]
    assert list(stages(mended(cut))) == [next(iter(stages(LOCK)))]
