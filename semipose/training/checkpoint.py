"""The state of a running training on disk: the last one that is whole, of two."""

import hashlib
import io
import pickle
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from semipose.utils.files import replacing

NAMES = ("checkpoint.pt", "checkpoint_before.pt")
DIGEST = hashlib.sha256().digest_size
SHARE = 30  # checkpoints take at most this fraction (1 / SHARE) of a training's time


class Writer:
    """Writes a folder's checkpoints with a thread, beside the training.

    The training waits only for the copy to the host's memory.
    """

    def __init__(self, folder: Path, every: float) -> None:
        """Start the thread.

        Args:
            folder: Folder of the checkpoints.
            every: Seconds between checkpoints, more if they would take over a thirtieth of the
                time; 0: whenever asked.
        """
        self.folder, self.every = folder, every
        self.pool = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self.written: Future[None] | None = None
        self.begun, self.took = time.monotonic(), 0.0

    @property
    def due(self) -> bool:
        """Whether the last checkpoint (or the beginning) is long enough ago.

        Raises:
            Exception: What went wrong with the last checkpoint, if it was not written.
        """
        if self.written and self.written.done():
            self.written.result()
        return not self.every or time.monotonic() - self.begun > max(self.every, SHARE * self.took)

    def begin(self, state: dict[str, Any]) -> None:
        """Copy the state, and begin to write it once the last one is written.

        Raises:
            Exception: What went wrong with the last one.
        """
        self.wait()
        self.begun = time.monotonic()
        self.written = self.pool.submit(self._write, _copied(state))

    def wait(self) -> None:
        """Wait until all is written.

        Raises:
            Exception: What went wrong.
        """
        if self.written:
            self.written.result()

    def close(self) -> None:
        """Let what was begun come to its end."""
        self.pool.shutdown()

    def _write(self, state: dict[str, Any]) -> None:
        save(self.folder, state)
        self.took = time.monotonic() - self.begun


def _copied(value: Any) -> Any:
    """A copy on the host: training continues in the given tensors."""
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return type(value)((key, _copied(one)) for key, one in value.items())
    return [_copied(one) for one in value] if isinstance(value, list) else value


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
    """Read a folder's last whole checkpoint.

    If the newest one is damaged, the one before is read; standard error says which are damaged.
    A damaged one that has a whole one behind it is removed, or the next `save` would put it in that
    one's place.
    Only tensors and plain values are read: no code runs from a checkpoint.

    Returns:
        The state; None if there is no checkpoint, or none is whole.
    """
    paths = [path for name in NAMES if (path := folder / name).exists()]
    damaged = []
    for path in paths:
        state = _read(path)
        if state is not None:
            break
        damaged.append(str(path))
    if damaged:
        how = "starts over" if len(damaged) == len(paths) else "continues from the checkpoint before it"
        if how != "starts over":
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
