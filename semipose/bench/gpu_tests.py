"""The tests that need a GPU, as rows of the table of `make check-gpu`."""

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from semipose.bench.parts import FAILED

NAMED = 8  # failed tests
WIDE = {"COLUMNS": "300"}  # for pytest, which cuts what it says at the end of a line


def outcomes(files: Sequence[Path], seconds: float, log: Path) -> dict[str, str]:
    """Run tests.

    Args:
        files: Their files.
        seconds: Time for all of them.
        log: Where pytest's words are written.
    """
    command = [sys.executable, "-m", "pytest", "-vv", "-rfE", "-m", "gpu", *map(str, files)]
    with log.open("w", encoding="utf-8") as file:
        try:
            code = subprocess.run(
                command, stdout=file, stderr=subprocess.STDOUT, check=False, timeout=seconds, env=os.environ | WIDE
            ).returncode
        except subprocess.TimeoutExpired:
            code = None
    said = log.read_text(encoding="utf-8")
    ends = re.findall(r"^\S+?::(.+?) (PASSED|FAILED|ERROR|SKIPPED)\b", said, re.MULTILINE)
    counts = Counter(end.lower() for _, end in ends)
    found = (
        ", ".join(f"{number} {end}" for end, number in counts.items())
        or (re.findall(r"(?im)^.*error.*$", said) or ["no test ran"])[-1][:200]
    )
    why = dict(re.findall(r"^(?:FAILED|ERROR) \S+?::(\S+) - (.*)", said, re.MULTILINE))
    failed = [name for name, end in ends if end in ("FAILED", "ERROR")]
    if code is None:
        began = re.findall(r"^\S+?::(\S+)", said, re.MULTILINE)[-1:]
        rows = {"tests: CUT OFF": f"{found} after {seconds:.0f} s, at {began[0] if began else 'their begin'}"}
    else:
        rows = {f"tests{FAILED if code else ''}": found}
    return rows | {f"test {name}{FAILED}": why.get(name, f"see {log}")[:200] for name in failed[:NAMED]}
