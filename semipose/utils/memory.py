"""A full device memory as one plain message."""

from collections.abc import Iterator
from contextlib import contextmanager

from semipose.utils.errors import InputError


@contextmanager
def enough_memory(advice: str) -> Iterator[None]:
    """Raise InputError with this advice if the device's memory runs out inside the block.

    The error is not always torch.OutOfMemoryError: cuDNN, NCCL and
    the gradients' reducer raise RuntimeErrors.
    """
    try:
        yield
    except RuntimeError as error:
        if "out of memory" not in str(error).lower():
            raise
        raise InputError(f"the device's memory is full: {advice} ({str(error).splitlines()[0][:150]})") from None
