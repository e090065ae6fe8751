"""What stops a training: the time, or SIGTERM, which then does not end the process by itself."""

import os
import signal
import time

import pytest

from pipeline.runtime.limit import limited
from pipeline.runtime.stage import COMMANDS, STOPPED, main
from semipose.utils.errors import InputError, Stopped


def test_the_time_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with limited(0.5) as limit, limited(None) as endless:
        assert limit() is None
        now += 31
        assert limit() == "the 0.5 minutes of machine.max_minutes are over"
        assert endless() is None


def test_sigterm_is_a_reason_and_no_end() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with limited(None) as limit:
        os.kill(os.getpid(), signal.SIGTERM)
        assert limit() == "stopped by SIGTERM"
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_stopped_stage_says_how_it_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        raise Stopped("out of time")

    with pytest.raises(SystemExit) as ended:
        main(work, [])
    assert ended.value.code == STOPPED
    assert capsys.readouterr().err == "semipose: out of time. Run `dvc repro` to continue from there.\n"


@pytest.mark.parametrize(("remedy", "command"), COMMANDS.items())
def test_a_stage_adds_the_command_to_what_the_library_asks_for(remedy: str, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        raise InputError(f"split.json: damaged; {remedy}")

    with pytest.raises(SystemExit) as ended:
        main(work, [])
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith(f"semipose: split.json: damaged; {remedy}\nTo {remedy}, run `{command}`. Run `dvc repro` again")
    assert said.count("To ") == 1, "of several commands only the one that is needed"
