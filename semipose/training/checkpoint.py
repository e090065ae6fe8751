"""The state of a running training on disk: the last one that is whole, of two."""

import hashlib
import io
import pickle
import sys
from pathlib import Path
from typing import Any

import torch

from semipose.utils.files import replacing

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
    """The folder's checkpoint, the one before where that is damaged, or None where none is whole; standard error says which are damaged.
    A damaged one that has a whole one behind it is removed, or the next ``save`` would put it in that one's place.

    Tensors and plain values only: no code runs from it.
    """
    paths = [path for name in NAMES if (path := folder / name).exists()]
    damaged = []
    for path in paths:
        state = _read(path)
        if state is not None:
            break
        damaged.append(str(path))
    if damaged:
        how = "starts anew" if len(damaged) == len(paths) else "goes on from the checkpoint before it"
        if how != "starts anew":
            (folder / NAMES[0]).unlink(missing_ok=True)
        sys.stderr.write(f"semipose: {' and '.join(damaged)} {'are' if damaged[1:] else 'is'} damaged: the training {how}\n")
    return state if paths else None


def _read(path: Path) -> dict[str, Any] | None:
    """The state in a checkpoint; None where it is damaged, or holds anything else than tensors and plain values."""
    try:
        content = path.read_bytes()
    except OSError:  # of a damaged disk; or another process of this training has removed it
        return None
    if hashlib.sha256(content[DIGEST:]).digest() != content[:DIGEST]:
        return None
    try:
        state: dict[str, Any] = torch.load(io.BytesIO(content[DIGEST:]), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError):  # of another release of torch, or of a stranger
        return None
    return state
