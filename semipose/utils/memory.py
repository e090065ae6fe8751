"""A full device memory as one plain message."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from semipose.utils.errors import InputError

FULL = re.compile(r"out of memory|alloc(ation)?_failed|FIND was unable to find an engine", re.IGNORECASE)
"""In errors of torch, NCCL and the reducer; of cuBLAS and cuDNN; of cuDNN's search, which tries only what has room."""


@contextmanager
def enough_memory(advice: str) -> Iterator[None]:
    """Turn the errors of a full device memory inside the block into one message.

    The error is not always torch.OutOfMemoryError: cuDNN, NCCL and
    the gradients' reducer raise RuntimeErrors.

    Args:
        advice: What to do about it.

    Raises:
        InputError: The device's memory ran out.
    """
    try:
        yield
    except RuntimeError as error:
        if not FULL.search(str(error)):
            raise
        raise InputError(f"the device's memory is full: {advice} ({str(error).splitlines()[0][:150]})") from None
