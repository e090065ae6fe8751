"""Write docs/configuration.md, the reference of all parameters, from the models: `python docs/configuration.py`."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from semipose.config.methods import Entry, Known
from semipose.config.section import Section
from semipose.config.text import section_of
from semipose.config.tree import Params

PAGE = Path(__file__).with_suffix(".md")
LIMITS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<", "multiple_of": "multiple of"}
"""Attribute of a limit (annotated_types) -> its words."""
HEAD = """# Configuration

Every key of `params.yaml`, with its values and limits.
`python docs/configuration.py` writes this page from the models in `semipose/config/`.

`python -m pipeline.use NAME` writes a preset as the whole `params.yaml`.
The presets are in `pipeline/presets/`.
Each holds what differs from the one that it `extends`; `demo.yaml` holds every key.
To make your own, add a file there.
"""


def page() -> str:
    """The whole page, in Markdown."""
    lines = [HEAD]
    for key, field in Params.model_fields.items():
        lines += [f"\n## `{key}`\n", f"{field.description}\n"]
        if key == "method":
            lines += _methods()
        else:
            lines += _table(section_of(field.annotation))
    return "\n".join(lines) + "\n"


def _methods() -> Iterator[str]:
    yield "### Any entry\n\nNone of these keys is required; what is under them is as in the section that they name.\n"
    yield from _table(Entry, deep=False)
    for method in get_args(Known):
        name = get_args(method.model_fields["base"].annotation)[0]
        yield f"\n### `base: {name}`\n"
        yield from _table(method, leave=Entry.model_fields)


def _table(section: type[Section], leave: Iterable[str] = (), deep: bool = True) -> Iterator[str]:
    yield "| key | values | meaning |\n|---|---|---|"
    yield from _rows(section, "", leave, deep)


def _rows(section: type[Section], above: str, leave: Iterable[str] = (), deep: bool = True) -> Iterator[str]:
    for key, field in section.model_fields.items():
        if key in leave:
            continue
        inner = section_of(field.annotation)
        yield f"| `{above}{key}` | {_values(field.annotation, field.metadata)} | {' '.join((field.description or '').split())} |"
        if inner and deep:
            yield from _rows(inner, f"{above}{key}.")


def _values(annotation: Any, limits: Any = ()) -> str:
    """What a key may be, in words."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if section_of(annotation):
        return "section" + (", or `null`" if NoneType in inner else "")
    if annotation is NoneType:
        return "`null`"
    if origin is Literal:
        return " · ".join(f"`{value}`" for value in inner)
    if origin is list:
        return f"list of {_values(inner[0])}"
    if origin is dict:
        return f"map by name: {_values(inner[1])}" if inner[1] is not Any else "map"
    if hasattr(annotation, "__metadata__"):  # Annotated
        return _values(inner[0], inner[1:])
    if inner:  # a union
        return ", or ".join(_values(one) for one in inner)
    word = {int: "integer", float: "number", str: "text", bool: "`true` · `false`"}[annotation]
    return word + ", ".join(f" {limit}" for limit in _limits(limits))


def _limits(limits: Any) -> Iterator[str]:
    for limit in limits:
        for one in getattr(limit, "metadata", [limit]):
            yield from (f"{words} {getattr(one, name)}" for name, words in LIMITS.items() if hasattr(one, name))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
