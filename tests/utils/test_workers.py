"""Worker processes: order, errors, one that is killed, and a parent that is."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from semipose.utils.errors import InputError
from semipose.utils.workers import in_processes

# A program that shares out work; the last line that it prints names the workers.
PARENT = """
import os, time
from semipose.utils.workers import in_processes

def work(number):
    time.sleep(0.2)
    return os.getpid()

if __name__ == "__main__":
    done = in_processes(work, range(1000), 2)
    print(*{next(done) for _ in range(8)}, flush=True)
    print(len(list(done)))
"""


def square_of_positive(number: int) -> int:
    if number < 0:
        raise InputError(f"{number} is negative")
    return number**2


@pytest.mark.parametrize("processes", [1, 2])
def test_results_come_in_order_and_an_error_ends_them(processes: int) -> None:
    assert list(in_processes(square_of_positive, range(20), processes, chunk=3)) == [number**2 for number in range(20)]
    with pytest.raises(InputError, match="-1 is negative"):
        list(in_processes(square_of_positive, [1, 2, -1, 3], processes))


@pytest.mark.parametrize("victim", ["worker", "parent"])
def test_nobody_waits_for_the_dead(victim: str, tmp_path: Path) -> None:
    """A killed worker is told, in one message; workers whose parent was killed end as well."""
    (tmp_path / "program.py").write_text(PARENT)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent.parent)}
    command = [sys.executable, str(tmp_path / "program.py")]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        workers = [psutil.Process(int(number)) for number in parent.stdout.readline().split()]
        assert workers
        os.kill(workers[0].pid if victim == "worker" else parent.pid, signal.SIGKILL)
        _, words = parent.communicate(timeout=60)
    if victim == "worker":
        assert "InputError: one of 2 worker processes was killed, by hand or because memory ran out" in words
    end = time.monotonic() + 60
    while any(worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE for worker in workers):
        assert time.monotonic() < end, "a worker waits for ever"
        time.sleep(0.1)


def test_a_process_of_a_training_ends_with_the_one_that_began_it() -> None:
    """Which may be killed while its peers wait for word from it."""
    waits = "import os, time; from semipose.utils.workers import end_with; end_with(os.getppid()); "
    waits += "print(os.getpid(), flush=True); time.sleep(600)"
    begins = "import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', sys.argv[1]]).wait())"
    first = subprocess.Popen([sys.executable, "-c", begins, waits], stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    other = psutil.Process(int(first.stdout.readline()))
    first.kill()
    first.wait()
    other.wait(timeout=30)
