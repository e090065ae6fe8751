"""A params file or preset: read as DVC reads it, variants filled from their base, mistakes named with key, value, limit and line."""

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError

from semipose.config.augment import ReferenceBugs, StrongAugment, StrongView
from semipose.config.methods import having
from semipose.config.network import Network, Warmup
from semipose.config.tree import Params
from semipose.utils.errors import InputError

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
    """Read and check a params file or a preset. Raises InputError with one line for each mistake: key, value, limit and line number."""
    layers = read_layers(path)
    tree = overlaid(layers)
    _merge_variants(tree, layers)
    plain = _plain(tree)
    try:
        return Params.model_validate(plain)
    except ValidationError as error:
        # A mistake in a base comes once more with every variant that inherits it: say it once.
        once = {_identity(problem): problem for problem in reversed(error.errors())}
        raise InputError("\n".join(_message(tree, problem, layers) for problem in reversed(once.values()))) from None


def read_layers(path: Path) -> Layers:
    """A params file and what it extends, the file itself first. Raises InputError."""
    layers = [(path, read_yaml(path))]
    while name := layers[-1][1].get(EXTENDS):
        path = path.with_name(f"{name}.yaml")
        if not path.exists() or path in (known for known, _ in layers):
            raise InputError(f"extends = {name!r}: must be another preset of {path.parent} ({layers[-1][0]} line 1)")
        layers.append((path, read_yaml(path)))
    return layers


def overlaid(layers: Layers) -> CommentedMap:
    """The whole tree: the values of the last layer, changed by each layer before it."""
    whole = CommentedMap()
    for _, tree in reversed(layers):
        _overlay(whole, tree)
    whole.pop(EXTENDS, None)
    return whole


def _overlay(whole: CommentedMap, changes: CommentedMap) -> None:
    for key, value in changes.items():
        if key not in REPLACED and isinstance(value, CommentedMap) and isinstance(whole.get(key), CommentedMap):
            _overlay(whole[key], value)
        else:
            whole[key] = deepcopy(value)


def read_yaml(path: Path) -> CommentedMap:
    """One file with its comments and line numbers, read as DVC reads it (YAML 1.2). Raises InputError."""
    try:
        tree = YAML().load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} is missing: run `python -m pipeline.use demo` in the root of the repository") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not readable as YAML: {' '.join(str(error).split())}") from None
    if not isinstance(tree, CommentedMap):
        raise InputError(f"{path} holds no mapping of parameters: `python -m pipeline.use demo` writes the demo's")
    return tree


RENAMED = {"train.groups": "batch_groups", "trunk": "backbone", "strengthen": "strong_augment", "traps": "reference_bugs"}
"""Keys of semipose 0.1 and their names today; one without a dot has that name in several sections."""


def new_name(keys: Sequence[str]) -> str | None:
    """Today's name of the last of these keys (outermost first), if semipose 0.1 had another one."""
    if "options" in keys:  # a backbone's own keywords
        return None
    return RENAMED.get(keys[-1]) or RENAMED.get(".".join(keys))


def migrated(text: str) -> str:
    """A params file of semipose 0.1 with today's keys; comments and layout stay."""
    lines = text.splitlines(keepends=True)

    def walk(node: Any, keys: list[str]) -> None:
        for key, value in node.items() if isinstance(node, CommentedMap) else ():
            if name := new_name([*keys, str(key)]):
                row, column = node.lc.key(key)
                lines[row] = lines[row][:column] + lines[row][column:].replace(str(key), name, 1)
            walk(value, [*keys, str(key)])

    walk(YAML().load(text), [])
    return "".join(lines)


def changes(tree: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What the entry `method.<name>` of a params tree says itself, by dotted key, its base left out."""
    flat: dict[str, Any] = {}

    def walk(node: Mapping[str, Any], prefix: str) -> None:
        for key, value in node.items():
            if isinstance(value, Mapping):
                walk(value, f"{prefix}{key}.")
            else:
                flat[f"{prefix}{key}"] = list(value) if isinstance(value, list) else value

    walk(tree["method"][name], "")
    flat.pop("base", None)
    return flat


def _merge_variants(tree: CommentedMap, layers: Layers) -> None:
    """Give each variant the keys of its base that it does not set itself, at any depth."""
    methods, model = tree.get("method"), tree.get("model")
    if not isinstance(methods, CommentedMap):
        return
    backbone = model.get("backbone") if isinstance(model, CommentedMap) else None
    for name, entry in methods.items():
        if not isinstance(entry, CommentedMap):
            raise InputError(f"method.{name} must be a mapping that begins with `base:` ({_where(layers, ['method', name])})")
        for own in _own_networks(entry):
            if own.get("backbone", backbone) != backbone:
                own.setdefault("options", CommentedMap())  # they belong to a backbone: another one begins without any
    for name, entry in methods.items():
        base = entry.get("base")
        if base != name and isinstance(methods.get(base), CommentedMap):
            _fill(entry, methods[base])
    for entry in methods.values():
        _fill_own(entry, tree)


def _fill_own(entry: CommentedMap, tree: CommentedMap) -> None:
    """Give what an entry has of its own the keys that it does not say itself, from the sections that hold for all."""

    def fill(own: Any, section: Any, keys: Iterable[str]) -> None:
        if isinstance(own, CommentedMap) and isinstance(section, CommentedMap):
            _fill(own, CommentedMap({key: section[key] for key in keys if key in section}))

    fill(entry.get("warmup"), tree.get("warmup"), Warmup.model_fields)
    augment = tree.get("augment")
    if isinstance(augment, CommentedMap):
        fill(entry.get("strong_view"), augment.get("strong"), StrongView.model_fields)
        fill(entry.get("strong_augment"), augment.get("strong_augment"), StrongAugment.model_fields)
        fill(entry.get("reference_bugs"), augment.get("reference_bugs"), ReferenceBugs.model_fields)
    for own in _own_networks(entry):
        fill(own, tree.get("model"), Network.model_fields)


def _own_networks(entry: CommentedMap) -> list[CommentedMap]:
    networks = entry.get("networks")
    return [own for own in networks.values() if isinstance(own, CommentedMap)] if isinstance(networks, CommentedMap) else []


def _fill(entry: CommentedMap, base: CommentedMap) -> None:
    """Keys that `entry` lacks, from `base`, at any depth; `options`, a backbone's own keywords, as a whole."""
    for key, value in base.items():
        if key not in entry:
            entry[key] = value
        elif key != "options" and isinstance(entry[key], CommentedMap) and isinstance(value, CommentedMap):
            _fill(entry[key], value)


def _plain(node: Any) -> Any:
    if isinstance(node, CommentedMap):
        return {key: _plain(value) for key, value in node.items()}
    if isinstance(node, CommentedSeq):
        return [_plain(value) for value in node]
    return float(node) if isinstance(node, float) else int(node) if type(node) is not bool and isinstance(node, int) else node


def _identity(problem: Any) -> tuple[Any, ...]:
    section, *rest = problem["loc"] or ("",)
    value = problem["msg"] if isinstance(problem["input"], dict) else repr(problem["input"])
    return section, *rest[1 if section == "method" else 0 :], problem["type"], value


def _message(tree: CommentedMap, problem: Any, layers: Layers) -> str:
    # pydantic puts the names of union members into the location; only parts that lead on in the tree are the key.
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
        remedy = f"`python -m pipeline.use --migrate {layers[0][0]}` rewrites the file"
        return f"{key} is now called {'.'.join([*keys[:-1], name])}: {remedy} ({where})"
    if problem["type"] == "missing":
        return f"{key} is missing ({where})"
    if problem["type"] == "extra_forbidden":
        return f"{key} is not a parameter{_whose(tree, keys)} ({where})"
    if problem["type"] == "union_tag_invalid":
        return f"{key}.base = {node['base']!r}: must be one of {', '.join(having('base'))} ({where})"
    text = problem["msg"].removeprefix("Value error, ")
    return f"{text} ({where})" if isinstance(node, CommentedMap) else f"{key} = {_plain(node)!r}: {text} ({where})"


def _where(layers: Layers, keys: Sequence[Any]) -> str:
    """File and line of a key, or of the nearest mapping about it that is written in a file: a variant does not hold its base's keys."""
    for depth in range(len(keys), 0, -1):
        for path, node in layers:
            line = None
            for key in keys[:depth]:
                if not _has(node, key):
                    break
                line = (node.lc.key(key) if isinstance(node, CommentedMap) else node.lc.item(key))[0] + 1
                node = node[key]
            else:
                return f"{path} line {line}"
    return str(layers[0][0])


def _has(node: Any, key: Any) -> bool:
    return key in node if isinstance(node, CommentedMap) else isinstance(node, CommentedSeq) and isinstance(key, int) and key < len(node)


def _whose(tree: CommentedMap, keys: list[str]) -> str:
    """Of an unknown key of an entry of `method`: of which method it is none, and of which it would be one."""
    if len(keys) < 3 or keys[0] != "method":
        return ""
    base, owners = tree["method"][keys[1]].get("base"), having(keys[2])
    return f" of {base}" + (f", but of {', '.join(owners)}" if owners and base not in owners else "")
