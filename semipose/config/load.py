"""A params file or preset: read as DVC reads it, with variants filled from their base.

Errors name key, value, limit and line.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError

from semipose.config.methods import having
from semipose.config.network import Network
from semipose.config.tree import Params
from semipose.utils.errors import FROM_PRESET, NEW_NAMES, InputError
from semipose.utils.flat import flat

EXTENDS = "extends"  # key of a preset: the preset of the same folder whose values it changes
REPLACED = {
    "options",
    "budgets",
    "ablations",
    "settings",
    "steps",
    "decay_at",
}  # mappings that a preset gives as a whole: their keys are the user's
Layers = list[tuple[Path, CommentedMap]]


def load(path: Path = Path("params.yaml")) -> Params:
    """Read and check a params file or a preset.

    Raises:
        InputError: One line for each error, with key, value, limit and line number.
    """
    layers = read_layers(path)
    tree = overlaid(layers)
    _merge_variants(tree)
    try:
        return Params.model_validate(tree)
    except ValidationError as error:
        # An error in a base is repeated by every variant that inherits it: report it once.
        once = {_identity(problem): problem for problem in reversed(error.errors())}
        raise InputError("\n".join(_message(tree, problem, layers) for problem in reversed(once.values()))) from None


def read_layers(path: Path) -> Layers:
    """Read a params file and what it extends.

    Returns:
        The layers, the file itself first.

    Raises:
        InputError: A file cannot be read, or `extends` is wrong.
    """
    layers = [(path, read_yaml(path))]
    while name := layers[-1][1].get(EXTENDS):
        path = path.with_name(f"{name}.yaml")
        if not path.exists() or path in (known for known, _ in layers):
            raise InputError(f"extends = {name!r}: must be another preset of {path.parent} ({layers[-1][0]} line 1)")
        layers.append((path, read_yaml(path)))
    return layers


def overlaid(layers: Layers) -> dict[str, Any]:
    """The whole tree: the values of the last layer, changed by each layer before it."""
    whole: dict[str, Any] = {}
    for _, tree in reversed(layers):
        _overlay(whole, _plain(tree))
    whole.pop(EXTENDS, None)
    return whole


def _overlay(whole: dict[str, Any], changes: dict[str, Any]) -> None:
    for key, value in changes.items():
        if key not in REPLACED and isinstance(value, dict) and isinstance(whole.get(key), dict):
            _overlay(whole[key], value)
        else:
            whole[key] = value


def _plain(node: Any) -> Any:
    """Remove ruamel's comments and line numbers."""
    if isinstance(node, dict):
        return {key: _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(value) for value in node]
    return float(node) if isinstance(node, float) else int(node) if isinstance(node, int) and not isinstance(node, bool) else node


def read_yaml(path: Path) -> CommentedMap:
    """Read one file with its comments and line numbers, as DVC reads it (YAML 1.2); do not change it.

    Raises:
        InputError: The file is missing, or not a YAML mapping.
    """
    try:
        tree = _parsed(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} is missing; go to the root of the project, or {FROM_PRESET}") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(tree, CommentedMap):
        raise InputError(f"{path} has no parameters; {FROM_PRESET}")
    return tree


@lru_cache(maxsize=8)
def _parsed(text: str) -> Any:
    """The base of all presets takes half a second."""
    return YAML().load(text)


RENAMED = {"train.groups": "batch_groups", "trunk": "backbone", "strengthen": "strong_augment", "traps": "reference_bugs"}
"""Keys of semipose 0.1 and their names today; one without a dot has that name in several sections."""


def new_name(keys: Sequence[str]) -> str | None:
    """The current name of the last of these keys (outermost
    first), if semipose 0.1 had another one.
    """
    if "options" in keys:  # a backbone's own keywords
        return None
    return RENAMED.get(keys[-1]) or RENAMED.get(".".join(keys))


def migrated(text: str) -> str:
    """Rename the keys of a params file of semipose 0.1; comments and layout stay."""
    lines = text.splitlines(keepends=True)
    for keys, row, column in places(YAML().load(text)):
        if name := new_name(keys):
            lines[row] = lines[row][:column] + lines[row][column:].replace(keys[-1], name, 1)
    return "".join(lines)


def places(node: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], int, int]]:
    """Yield the position of each key and list item of a file.

    Yields:
        Its keys, outermost first; its row and column, from 0.
    """
    for key, value in node.items() if isinstance(node, CommentedMap) else enumerate(node) if isinstance(node, CommentedSeq) else ():
        keys = (*above, str(key))
        place = node.lc.key(key) if isinstance(node, CommentedMap) else node.lc.item(key)
        yield keys, *(place or (node.lc.line or 0, node.lc.col or 0))  # an item behind a tag has no position
        yield from places(value, keys)


def changes(tree: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What the entry `method.<name>` of a params tree sets itself, without its base, by dotted key."""
    return {key: value for key, value in flat(tree["method"][name]).items() if key != "base"}


def _merge_variants(tree: dict[str, Any]) -> None:
    """Fill each entry of `method`: a variant from its base, an
    entry's own sections from the common ones.

    Values are merged at any depth.
    Anything that is not a mapping stays, and the models refuse it.
    """
    methods, model = _mapping(tree, "method"), _mapping(tree, "model")
    entries = [_mapping(methods, name) for name in methods]
    for entry in entries:
        for own in _own_networks(entry):
            if own.get("backbone", model.get("backbone")) != model.get("backbone"):
                own.setdefault("options", {})  # they belong to one backbone: another backbone starts without any
    for name, entry in zip(methods, entries, strict=True):
        if (base := entry.get("base")) != name:
            _fill(entry, _mapping(methods, str(base)))
    augment = _mapping(tree, "augment")
    common = {"warmup": _mapping(tree, "warmup"), "strong_view": _mapping(augment, "strong")}
    common |= {key: _mapping(augment, key) for key in ("strong_augment", "reference_bugs")}
    for entry in entries:
        for key, section in common.items():
            _fill(_mapping(entry, key), section)
        for own in _own_networks(entry):
            _fill(own, {key: value for key, value in model.items() if key in Network.model_fields})


def _mapping(node: dict[str, Any], key: str) -> dict[str, Any]:
    """The mapping under a key; an empty one if there is none."""
    value = node.get(key)
    return value if isinstance(value, dict) else {}


def _own_networks(entry: dict[str, Any]) -> list[dict[str, Any]]:
    networks = _mapping(entry, "networks")
    return [_mapping(networks, name) for name in networks]


def _fill(entry: dict[str, Any], base: dict[str, Any]) -> None:
    """Add the keys that `entry` lacks from `base`, at any depth.

    `options`, the keywords of a backbone, is taken as a whole.
    """
    for key, value in base.items():
        if key not in entry:
            entry[key] = value
        elif key != "options" and isinstance(value, dict):
            _fill(_mapping(entry, key), value)


def _identity(problem: Any) -> tuple[Any, ...]:
    section, *rest = problem["loc"] or ("",)
    value = problem["msg"] if isinstance(problem["input"], dict) else repr(problem["input"])
    return section, *rest[1 if section == "method" else 0 :], problem["type"], value


def _message(tree: dict[str, Any], problem: Any, layers: Layers) -> str:
    # pydantic's location includes names of union members; only parts that exist in the tree belong to the key.
    node: Any = tree
    keys: list[Any] = []
    for part in problem["loc"]:
        if _has(node, part):
            node = node[part]
        elif problem["type"] != "missing" or part != problem["loc"][-1]:
            continue
        keys.append(part)
    where = _where(layers, keys)
    key = ".".join(map(str, keys))
    if problem["type"] == "extra_forbidden" and (name := new_name(keys)):
        return f"{key} is now called {'.'.join([*keys[:-1], name])}: {NEW_NAMES} ({where})"
    if problem["type"] == "missing":
        return f"{key} is missing ({where})"
    if problem["type"] == "extra_forbidden":
        return f"{key} is not a parameter{_whose(tree, keys)} ({where})"
    if problem["type"] == "union_tag_invalid":
        return f"{key}.base = {node['base']!r}: must be one of {', '.join(having('base'))} ({where})"
    text = problem["msg"].removeprefix("Value error, ")
    return f"{text} ({where})" if isinstance(node, dict) else f"{key} = {node!r}: {text} ({where})"


def _where(layers: Layers, keys: Sequence[Any]) -> str:
    """File and line of a key, or of the nearest mapping about it that is written in a file: a variant does not hold its base's keys."""
    rows = [(path, {found: row for found, row, _ in places(tree)}) for path, tree in layers]
    for depth in range(len(keys), 0, -1):
        for path, known in rows:
            if (row := known.get(tuple(map(str, keys[:depth])))) is not None:
                return f"{path} line {row + 1}"
    return str(layers[0][0])


def _has(node: Any, key: Any) -> bool:
    return key in node if isinstance(node, dict) else isinstance(node, list) and isinstance(key, int) and key < len(node)


def _whose(tree: dict[str, Any], keys: list[str]) -> str:
    """Of an unknown key of an entry of `method`: of which method it is none, and of which it would be one."""
    if len(keys) < 3 or keys[0] != "method":
        return ""
    base, owners = tree["method"][keys[1]].get("base"), having(keys[2])
    return f" of {base}" + (f", but of {', '.join(owners)}" if owners and base not in owners else "")
