"""The parts of a check, in another process: one that ends badly stops no other, and leaves no process behind."""

import math
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from semipose.bench import parts as module
from semipose.bench.parts import Parts


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_a_part_that_fails_hangs_or_dies_stops_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Parts(1000, tmp_path / "table.txt") as parts:
        assert parts.do("sum", 60, sum, [1, 2]) == 3
        assert parts.do("root", 60, math.sqrt, -1) is None
        assert parts.do("sleep", 1, time.sleep, 300) is None
        assert parts.do("exit", 60, os._exit, 3) is None
        assert parts.do("memory", 60, memoryview, b"cannot be pickled") is None
        assert parts.do("year", 3000, sum, [1]) is None
        monkeypatch.setenv("OF_THE_PART", "known")
        parts.renew()
        assert parts.do("environment", 60, os.getenv, "OF_THE_PART") == "known"
    rows = [[cell.strip() for cell in line.split("|")] for line in (tmp_path / "table.txt").read_text().splitlines()]
    assert [name for name, _ in rows] == ["root: FAILED", "sleep: CUT OFF", "exit: FAILED", "memory: FAILED", "year: LEFT OUT"]
    assert rows[0][1].startswith("ValueError: ")
    assert rows[1][1] == "it took longer than 1 s"
    assert rows[2][1] == "its process gave no answer (exit code 3)"
    assert "pickle" in rows[3][1]
    assert rows[4][1].startswith("it may take 3000 s, and ")


def test_a_process_that_dies_between_parts_or_never_begins_is_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Parts(1000, tmp_path / "table.txt") as parts:
        process = parts.do("process", 60, os.getpid)
        assert process
        os.kill(process, signal.SIGKILL)
        while alive(process):
            time.sleep(0.05)
        assert parts.do("killed", 60, sum, [1]) is None
        assert parts.do("after it", 60, sum, [1]) == 1
        parts.renew()
        with monkeypatch.context() as patch:
            patch.setattr(module, "_serve", os._exit)  # which does not take what it is given
            assert parts.do("begun", 60, sum, [1]) is None
        assert parts.do("again", 60, sum, [1]) == 1
    assert [name for name, _ in parts.rows] == ["killed: FAILED", "begun: FAILED"]
    assert parts.rows[0][1] == "its process gave no answer (exit code -9)"


@pytest.mark.parametrize("way", ["cut off", "an error of the command", "killed"])
def test_no_process_is_left_behind(way: str, tmp_path: Path) -> None:
    """Neither the part's nor one that it has begun."""
    note = tmp_path / "process"
    begin = f"""
import subprocess, time
from pathlib import Path
from threading import Thread
from semipose.bench.parts import Parts

if __name__ == "__main__":
    with Parts(1000, Path({str(tmp_path / "table.txt")!r})) as parts:
        hang = ["sh", "-c", "echo $$ > {note}; exec sleep 300"]
        if {way!r} == "an error of the command":
            parts.do("begin", 60, subprocess.Popen, hang)
            raise RuntimeError("an error of the command")
        parts.do("hang", 3 if {way!r} == "cut off" else 300, subprocess.run, hang)
"""
    (tmp_path / "command.py").write_text(begin)
    with subprocess.Popen(["python", str(tmp_path / "command.py")], cwd=tmp_path) as command:
        if way == "killed":
            while not (note.exists() and note.read_text()):
                time.sleep(0.05)
            command.kill()
        command.wait(60)
    until = time.monotonic() + 30
    while alive(int(note.read_text())) and time.monotonic() < until:
        time.sleep(0.1)
    assert not alive(int(note.read_text()))
