"""Write a preset as the whole params.yaml and print the difference: `python -m pipeline.use coco`."""

import difflib
import sys
from pathlib import Path
from typing import Annotated

import typer

from semipose.config.load import load, migrated, read_yaml
from semipose.config.text import whole_text
from semipose.utils.console import reported
from semipose.utils.errors import InputError
from semipose.utils.files import write_text

PRESETS = Path(__file__).parent / "presets"
NAMES = sorted(path.stem for path in PRESETS.glob("*.yaml"))


def preset_file(name: str) -> Path:
    """The file of a preset.

    Raises:
        InputError: There is no preset of this name.
    """
    if name not in NAMES:
        raise InputError(f"there is no preset {name}: choose one of {', '.join(NAMES)}")
    return PRESETS / f"{name}.yaml"


def use(
    preset: Annotated[str | None, typer.Argument(help=f"Name of a preset: {', '.join(NAMES)}.")] = None,
    migrate: Annotated[Path | None, typer.Option(help="Rename the keys of a params file of semipose 0.1.", metavar="FILE")] = None,
) -> None:
    """Write a preset as the whole params.yaml and print the
    difference; `git checkout params.yaml` undoes it.

    Example: python -m pipeline.use coco
    """
    with reported():
        if (preset is None) == (migrate is None):
            raise InputError("give the name of a preset, or a file with --migrate")
        target = migrate or Path("params.yaml")
        old = target.read_text(encoding="utf-8") if target.exists() else ""
        if preset:
            load(preset_file(preset))
            new = whole_text(preset_file(preset))
        else:
            read_yaml(target)  # raises if there is no such file
            new = migrated(old)
        write_text(target, new)
        names = f"{target} before", f"{target} now ({preset or 'migrated'})"
        sys.stdout.writelines(difflib.unified_diff(old.splitlines(keepends=True), new.splitlines(keepends=True), *names, n=0))


if __name__ == "__main__":
    typer.run(use)
