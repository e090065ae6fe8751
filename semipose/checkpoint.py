"""The state of a running training on disk: the last one that is whole, of two."""

import hashlib
import io
import sys
from pathlib import Path
from typing import Any

import torch

from semipose.files import replacing

NAMES = ("checkpoint.pt", "checkpoint_before.pt")
DIGEST = hashlib.sha256().digest_size


def save(folder: Path, state: dict[str, Any]) -> None:
    """Write the state as the folder's checkpoint; the one that was there becomes the one before."""
    content = io.BytesIO()
    torch.save(state, content)
    last, before = (folder / name for name in NAMES)
    with replacing(last) as temporary:
        with temporary.open("wb") as file:
            file.write(hashlib.sha256(content.getbuffer()).digest())
            file.write(content.getbuffer())
        if last.exists():
            last.replace(before)


def load(folder: Path) -> dict[str, Any] | None:
    """The folder's checkpoint, the one before where that is damaged (standard error says so), or None where there is none.

    Tensors and plain values only: no code runs from it.
    """
    for path in (folder / name for name in NAMES):
        if not path.exists():
            continue
        content = path.read_bytes()
        if hashlib.sha256(content[DIGEST:]).digest() == content[:DIGEST]:
            state: dict[str, Any] = torch.load(io.BytesIO(content[DIGEST:]), map_location="cpu", weights_only=True)
            return state
        sys.stderr.write(f"semipose: {path} is damaged: the training goes on from the checkpoint before it, or starts anew\n")
    return None
