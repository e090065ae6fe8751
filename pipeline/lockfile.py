"""`python -m pipeline.lockfile`: a dvc.lock that a kill cut off while DVC wrote it is brought back to its last whole stage.

DVC writes that file in place and refuses a part of one. What is lost with its end costs no training: DVC's run cache still has the outputs.
"""

import re
import sys
from pathlib import Path

from ruamel.yaml import YAML, YAMLError

from semipose.files import replacing

STAGE = re.compile(r"^  \S.*:$")  # a stage's name, alone on its line


def whole(text: str) -> bool:
    """Is it a lock file in which every stage says what it is a lock of?"""
    try:
        content = YAML(typ="safe").load(text)
    except YAMLError:
        return False
    stages = content.get("stages") if isinstance(content, dict) else None
    return isinstance(stages, dict) and text.endswith("\n") and all(isinstance(one, dict) and "cmd" in one for one in stages.values())


def mended(text: str) -> str:
    """Without the stage at which it was cut off, and what follows; "" where nothing whole is left. A whole one stays as it is."""
    if whole(text):
        return text
    lines = text.splitlines(keepends=True)
    starts = [number for number, line in enumerate(lines) if STAGE.match(line.rstrip("\n"))]
    before = "".join(lines[: starts[-1]]) if starts else ""
    return before if whole(before) else ""


def mend(path: Path) -> str | None:
    """Bring it back, and say what was done; None where nothing was to do."""
    if not path.exists():
        return None
    text = path.read_text(encoding="utf-8", errors="replace")
    left = mended(text)
    if left and left == text:
        return None
    if left:
        with replacing(path) as temporary:
            temporary.write_text(left, encoding="utf-8")
    else:
        path.unlink()
    return f"{path} was cut off while DVC wrote it: what is whole of it was kept, `dvc repro` looks for the rest in its run cache"


if __name__ == "__main__":
    if said := mend(Path("dvc.lock")):
        print(f"semipose: {said}", file=sys.stderr)
