"""What a search for people has found so far: a journal with a line for each file, by which a search that was killed goes on."""

import base64
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from semipose.data.alike import THUMB, Thumbnail
from semipose.utils.files import naming


def record() -> dict[str, Any]:
    """Of one file, before it is searched."""
    return {"people": [], "thumbs": [], "left_out": Counter(), "broken": {}, "cut_off": {}, "pictures": 0}


class Found:
    """All records of the journal, in the order of the files. A line that was being written when the search was killed goes."""

    def __init__(self, journal: Path) -> None:
        self.journal = journal
        self.people: list[dict[str, Any]] = []
        self.left_out: Counter[str] = Counter()
        self.broken: dict[str, str] = {}
        self.cut_off: dict[str, str] = {}
        self.files = self.pictures = 0
        whole = 0
        if journal.exists():
            with journal.open("rb+") as file:
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    self._take(json.loads(line))
                    whole += len(line)
                file.truncate(whole)

    def add(self, made: dict[str, Any]) -> None:
        with naming(self.journal), self.journal.open("ab") as file:
            file.write(json.dumps(made).encode() + b"\n")
        self._take(made)

    def thumbs(self) -> Iterator[Thumbnail]:
        """Of all people, from the journal."""
        if self.journal.exists():
            with self.journal.open("rb") as file:
                for line in file:
                    for thumb in json.loads(line)["thumbs"]:
                        yield np.frombuffer(base64.b64decode(thumb), np.uint8).reshape(THUMB, THUMB)

    def _take(self, made: dict[str, Any]) -> None:
        self.people += made["people"]
        self.left_out += Counter(made["left_out"])
        self.broken |= made["broken"]
        self.cut_off |= made["cut_off"]
        self.pictures += made["pictures"]
        self.files += 1


def encoded(thumb: Thumbnail) -> str:
    """For a record."""
    return base64.b64encode(thumb.tobytes()).decode()
