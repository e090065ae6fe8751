"""What is said of a long work: lines in a log, a bar on a terminal, nothing where nobody watches; the same for every command."""

import os
import pty
import re
import subprocess
import sys
import termios
from collections.abc import Callable
from itertools import pairwise

import pytest

from semipose.utils.progress import Progress, followed, shown


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the time on, for the lines and for tqdm's own estimates."""
    now = [1000.0]
    monkeypatch.setattr("tqdm.std.time", lambda: now[0])

    def move(seconds: float) -> None:
        now[0] += seconds

    return move


def test_a_log_gets_a_line_now_and_then(clock: Callable[[float], None], capsys: pytest.CaptureFixture[str]) -> None:
    with shown("train akm-L50-s0"), Progress(20_000, "steps", done=2_000) as work:
        for _ in range(18_000):
            clock(0.5)
            work.advance()
            work.note("loss 0.0012")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "train akm-L50-s0: 2020/20000 steps [00:10<2:29:50,  2.00 steps/s, loss 0.0012]"
    assert lines[1].startswith("train akm-L50-s0: 2040/20000 steps")
    assert lines[-1] == "train akm-L50-s0: 20000/20000 steps [2:30:00<00:00,  2.00 steps/s, loss 0.0012]"
    counts = [int(re.findall(r": (\d+)/", line)[0]) for line in lines]
    assert max(later - before for before, later in pairwise(counts)) <= 602, "five minutes at most are silent"
    assert 50 < len(lines) < 70


def test_the_start_up_is_no_measure_of_the_rest(clock: Callable[[float], None], capsys: pytest.CaptureFixture[str]) -> None:
    with shown("prepare"), Progress(1400, "images") as work:
        clock(15)
        for _ in range(400):
            work.advance()
            clock(0.1)
    first, second, *_ = capsys.readouterr().err.splitlines()
    assert first == "prepare: 1/1400 images [00:15<?, ? images/s]"
    assert re.fullmatch(r"prepare: 10[12]/1400 images \[00:25<02:09, 10.00 images/s\]", second)


def test_a_short_work_and_one_that_nobody_watches_are_silent(clock: Callable[[float], None], capsys: pytest.CaptureFixture[str]) -> None:
    with shown("prepare"), Progress(3, "images") as work:
        clock(9)
        work.advance(3)
    with Progress(3, "images") as work:
        clock(90)
        work.advance(2)
    with shown("train"), shown(None):
        assert list(followed("abc", 3, "images")) == list("abc")
    assert capsys.readouterr().err == ""


def test_what_runs_within_another_work_is_silent(clock: Callable[[float], None], capsys: pytest.CaptureFixture[str]) -> None:
    def validation() -> None:
        for _ in followed(range(3), 3, "people"):
            clock(20)

    with shown("train"):
        for _ in followed(range(4), 4, "steps"):
            validation()
        assert "people" not in capsys.readouterr().err
        validation()
    assert "train: 2/3 people" in capsys.readouterr().err


def test_bytes_are_shown_as_such_and_a_work_that_fails_has_no_last_line(
    clock: Callable[[float], None], capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        with shown("download"), Progress(4_000_000, "bytes", "val2017.zip", done=1_000_000) as work:
            for _ in range(2):
                clock(20)
                work.advance(500_000)
            raise OSError("cut")

    with pytest.raises(OSError, match="cut"):
        fail()
    assert capsys.readouterr().err.splitlines()[1:] == ["download, val2017.zip: 2.00M/4.00M bytes [00:40<01:20, 25.0k bytes/s]"]


def test_a_terminal_gets_a_bar_and_standard_output_stays_clean() -> None:
    code = """
import time
from semipose.utils.progress import followed, shown
with shown("predict"):
    for number in followed(range(6), 6, "images"):
        time.sleep(0.3)
        print(number)
"""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=theirs, text=True, check=True)
    os.close(theirs)
    seen = os.read(ours, 100_000).decode()
    assert done.stdout == "0\n1\n2\n3\n4\n5\n"
    assert "predict" in seen
    assert re.search(r"5/6 \[00:01<00:00, +[23]\.\d+ images/s\]", seen)
    assert re.search(r"\r +\r$", seen), "the bar is wiped away at the end"
