"""A whole params file as text: the values of a preset, with the models' descriptions as comments."""

import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic.fields import FieldInfo
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from semipose.config.load import Layers, overlaid, places, read_layers
from semipose.config.section import Section
from semipose.config.tree import Params

COLUMN, WIDTH, ABOVE = 31, 120, 96  # of a comment beside a value, of the longest such line, of comments above a value
HEAD = """# semipose: every parameter of the pipeline. `dvc repro` reruns exactly what a change touches; only `machine` reruns nothing.
# Written by `python -m pipeline.use {name}`. All keys and their limits: docs/configuration.md.
"""
Keys = tuple[str, ...]


def whole_text(path: Path) -> str:
    """Write out the params file of a preset, with everything it extends and a comment on each key.

    Raises:
        InputError: The preset cannot be read.
    """
    layers = read_layers(path)
    comments = dict(_own_comments(layers))
    lines = []
    for key, value in overlaid(layers).items():
        lines += ["", *_lines((key,), value, Params.model_fields[key], comments)]
    return HEAD.format(name=path.stem) + "\n".join(lines) + "\n"


def section_of(annotation: Any, value: Any = None) -> type[Section] | None:
    """The section of an annotation, if any; of several methods,
    the one whose `base` is `value["base"]`.
    """
    if isinstance(annotation, type):
        return annotation if issubclass(annotation, Section) else None
    found = [one for part in get_args(annotation) if (one := section_of(part, value))]
    if len(found) > 1:
        return next(one for one in found if value["base"] in get_args(one.model_fields["base"].annotation))
    return found[0] if found else None


def _lines(keys: Keys, value: Any, field: FieldInfo | None, comments: Mapping[Keys, str]) -> Iterator[str]:
    """The lines of a key (the last of `keys`) and of everything below it.

    Args:
        keys: The key, after those above it.
        value: Its value.
        field: Type and description of the key; None: no comments.
        comments: Comments that replace the descriptions, by key.
    """
    margin = "  " * (len(keys) - 1)
    comment = comments.get(keys) or (field.description if field else None)
    nested = isinstance(value, (list, Mapping)) and len(value) > 0
    line = f"{margin}{keys[-1]}:" + ("" if nested else f" {_scalar(value)}")
    beside = f"{line:<{COLUMN - 1}} # {comment}" if comment else line
    if len(beside) > WIDTH:
        mark = f"{margin}# "
        yield from textwrap.wrap(comment or "", ABOVE, initial_indent=mark, subsequent_indent=mark, break_on_hyphens=False)
    yield line if len(beside) > WIDTH else beside
    if isinstance(value, list):
        yield from _items(value, margin + "  ")
    elif nested:
        for key, inner in value.items():
            yield from _lines((*keys, str(key)), inner, _field(keys, key, value, field), comments)


def _field(keys: Keys, key: str, value: Mapping[str, Any], field: FieldInfo | None) -> FieldInfo | None:
    """Type and description of `key` in `value`, a mapping of type `field` under `keys`."""
    if field is None or get_origin(field.annotation) is dict:
        variant = keys == ("method",) and value[key]["base"] != key  # an entry with a base: its keys have comments there
        return None if field is None or variant else FieldInfo(annotation=get_args(field.annotation)[1])
    section = section_of(field.annotation, value)
    return section.model_fields.get(key) if section else None


def _items(values: list[Any], margin: str) -> Iterator[str]:
    for value in values:
        if isinstance(value, list) and value:
            yield f"{margin}-"
            yield from _items(value, margin + "  ")
        else:
            yield f"{margin}- {_scalar(value)}"


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        try:
            plain = YAML(typ="safe").load(f"- {value}") == [value]
        except YAMLError:
            plain = False
        return value if plain else json.dumps(value, ensure_ascii=False)
    return json.dumps(value)


def _own_comments(layers: Layers) -> Iterator[tuple[Keys, str]]:
    """The comments that presets write beside their own keys; the last layer wins."""

    for path, tree in reversed(layers):
        lines = path.read_text(encoding="utf-8").splitlines()
        for keys, row, column in places(tree):
            found = re.search(r"\s# (.*)$", lines[row])
            if found and not lines[row][:column].strip():  # not the comment of a mapping that is in one line with its keys
                yield keys, found[1]
