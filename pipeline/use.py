"""Put a preset in the place of params.yaml and print the difference: `python -m pipeline.use coco`."""

import difflib
import sys
from pathlib import Path

from pipeline import stage
from semipose.errors import InputError
from semipose.files import replacing
from semipose.params_file import load

PRESETS = Path(__file__).parent / "presets"


def use(*arguments: str) -> None:
    names = sorted(path.stem for path in PRESETS.glob("*.yaml"))
    if len(arguments) != 1 or arguments[0] not in names:
        raise InputError(f"usage: python -m pipeline.use PRESET, one of {', '.join(names)}; got {' '.join(arguments) or 'nothing'}")
    preset = PRESETS / f"{arguments[0]}.yaml"
    load(preset)
    target = Path("params.yaml")
    old = target.read_text(encoding="utf-8").splitlines(keepends=True) if target.exists() else []
    new = preset.read_text(encoding="utf-8").splitlines(keepends=True)
    with replacing(target) as temporary:
        temporary.write_text("".join(new), encoding="utf-8")
    sys.stdout.writelines(difflib.unified_diff(old, new, "params.yaml before", f"params.yaml now ({preset.stem})", n=0))


if __name__ == "__main__":
    stage.main(use, sys.argv[1:])
