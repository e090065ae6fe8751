"""A full device memory as one plain message."""

from collections.abc import Iterator
from contextlib import contextmanager

from semipose.utils.errors import InputError


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
        if "out of memory" not in str(error).lower():
            raise
        raise InputError(f"the device's memory is full: {advice} ({str(error).splitlines()[0][:150]})") from None
