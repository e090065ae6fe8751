"""The state of a running training on disk: whole, or the one before."""

from pathlib import Path
from typing import Any

import torch

from semipose.errors import InputError
from semipose.files import replacing


def save(folder: Path, state: dict[str, Any]) -> None:
    """Write the state as the folder's checkpoint."""
    with replacing(folder / "checkpoint.pt") as temporary:
        torch.save(state, temporary)


def load(folder: Path) -> dict[str, Any] | None:
    """The folder's checkpoint, or None where there is none. Tensors and plain values only: no code runs from it."""
    path = folder / "checkpoint.pt"
    if not path.exists():
        return None
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # zip, pickle and value errors: torch names no common one
        raise InputError(f"{path} is damaged ({type(error).__name__}): remove its folder, and the stage starts anew") from None
