"""The README and the pages of docs/, as the tests run them."""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent


class Block(NamedTuple):
    """A block of code in a page; language: what stands behind its fence."""

    language: str
    text: str


def blocks(page: str) -> list[Block]:
    """All of a page, by its path in the project; those inside a list are moved to the left."""
    found = re.findall(r"^( *)```(\w*)\n(.*?)^\1```$", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return [Block(language, re.sub(f"^{indent}", "", text, flags=re.MULTILINE)) for indent, language, text in found]


def patch(folder: Path, block: str) -> None:
    """Do what a `diff` block shows: its first line names the file, the others are text that is there, `-` text that goes, `+` new."""
    name, *lines = block.rstrip("\n").split("\n")
    path = folder / name.removeprefix("# ")
    before, after = ("\n".join(line[1:] for line in lines if not line.startswith(sign)) for sign in "+-")
    text = path.read_text(encoding="utf-8")
    assert text.count(before) == 1, f"{path} has no or several places with\n{before}"
    path.write_text(text.replace(before, after), encoding="utf-8")
