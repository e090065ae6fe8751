"""Put a preset in the place of params.yaml and print the difference: `python -m pipeline.use coco`."""

import difflib
import sys
from pathlib import Path
from typing import Annotated

import typer

from semipose.config.load import load
from semipose.utils.console import reported
from semipose.utils.errors import InputError
from semipose.utils.files import replacing

PRESETS = Path(__file__).parent / "presets"
NAMES = sorted(path.stem for path in PRESETS.glob("*.yaml"))


def preset_file(name: str) -> Path:
    """Raises InputError for a name that no preset has."""
    if name not in NAMES:
        raise InputError(f"there is no preset {name}: choose one of {', '.join(NAMES)}")
    return PRESETS / f"{name}.yaml"


def use(preset: Annotated[str, typer.Argument(help=f"One of {', '.join(NAMES)}.")]) -> None:
    """Put a preset in the place of params.yaml and print the difference; `git checkout params.yaml` brings the former one back.

    Example: python -m pipeline.use coco
    """
    with reported():
        path, target = preset_file(preset), Path("params.yaml")
        load(path)
        old = target.read_text(encoding="utf-8").splitlines(keepends=True) if target.exists() else []
        new = path.read_text(encoding="utf-8").splitlines(keepends=True)
        with replacing(target) as temporary:
            temporary.write_text("".join(new), encoding="utf-8")
        sys.stdout.writelines(difflib.unified_diff(old, new, "params.yaml before", f"params.yaml now ({preset})", n=0))


if __name__ == "__main__":
    typer.run(use)
