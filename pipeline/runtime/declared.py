"""What dvc.yaml declares for a stage: its inputs, for the
fingerprint, and its outputs, for its last line.
"""

import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from semipose.config.tree import Params
from semipose.utils.errors import InputError


def _declared(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What dvc.yaml declares for all stages, and for this one."""
    try:
        stages = _stages(Path("dvc.yaml").read_text(encoding="utf-8"))
        return stages, stages[name]
    except (OSError, KeyError):
        raise InputError(f"{Path.cwd()} has no dvc.yaml with a stage {name}: run stages from the root of the repository") from None


@lru_cache(maxsize=1)
def _stages(text: str) -> dict[str, Any]:
    """A stage asks twice; YAML takes a fifth of a second."""
    stages: dict[str, Any] = YAML(typ="safe").load(text)["stages"]
    return stages


def _fill(text: str, item: dict[str, str], params: Params) -> str:
    return re.sub(
        r"\$\{([\w.]+)\}", lambda found: item[found[1][5:]] if found[1].startswith("item.") else str(params.section(found[1])), text
    )


def reads(name: str, item: dict[str, str], params: Params) -> tuple[dict[str, Any], list[str]]:
    """Find what a stage reads according to dvc.yaml.

    What DVC watches is therefore what the fingerprint covers.

    Args:
        name: Name of the stage.
        item: Its matrix values.
        params: All parameters.

    Returns:
        Parameters by dotted key; paths of files and folders.

    Raises:
        InputError: There is no dvc.yaml here, or it has no such stage.
    """
    _, entry = _declared(name)
    deps = [_fill(path, item, params) for path in entry.get("deps", [])]
    keys = [_fill(key, item, params) for key in entry.get("params", []) if isinstance(key, str)]
    keys += [f"method.{Path(path).stem}" for path in deps if path.startswith("entries/")]
    return {key: params.section(key) for key in keys}, deps


def summary(name: str, item: dict[str, str], params: Params, seconds: float) -> str:
    """Make the last line of a stage.

    It says what the stage read and wrote, how long it took, and which stages read its outputs.

    Args:
        name: Name of the stage.
        item: Its matrix values.
        params: All parameters.
        seconds: How long it took.

    Raises:
        InputError: As `reads`.
    """
    stages, entry = _declared(name)
    read = [path for path in entry.get("deps", []) if not path.startswith(("semipose/", "pipeline/", "params.ok", "entries/"))]
    if params.evaluate.boxes != "detector":
        read = [path for path in read if path != "data/packs/val_detected"]  # which is empty, or not used
    wrote = _written(entry)
    after = [
        other for other, its in stages.items() if any(_overlap(Path(path), Path(out)) for path in its.get("deps", []) for out in wrote)
    ]
    parts = {"read": read, "wrote": wrote}
    said = [f"{word} {', '.join(_folders(_fill(path, item, params) for path in paths))}" for word, paths in parts.items() if paths]
    said += [f"next: {', '.join(after)}"] if after else []
    return f"done in {seconds:.0f} s; {'; '.join(said)}"


def _overlap(one: Path, other: Path) -> bool:
    """Whether one of the paths is in the other or equals it."""
    return one.is_relative_to(other) or other.is_relative_to(one)


def _written(entry: dict[str, Any]) -> list[str]:
    """Paths under outs, metrics and plots; an entry is a path, or a mapping with one key."""
    listed = [one for kind in ("outs", "metrics", "plots") for one in entry.get(kind, [])]
    return [one if isinstance(one, str) else next(iter(one)) for one in listed]


def _folders(paths: Iterable[str]) -> list[str]:
    """Replace several files of one folder by the folder."""
    known = list(paths)
    parents = Counter(str(Path(path).parent) for path in known)
    return list(dict.fromkeys(str(Path(path).parent) if parents[str(Path(path).parent)] > 2 else path for path in known))
