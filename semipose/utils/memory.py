"""When a GPU's memory is too small: which batch would have fitted, found out by trying."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from traceback import clear_frames

import torch

from semipose.utils.errors import InputError


@contextmanager
def enough_memory(size: int, attempt: Callable[[int], object], advice: Callable[[int], str], fewest: int = 1) -> Iterator[None]:
    """Work on `size` people at once. Where a GPU's memory runs out, raises InputError with the largest number of people for which
    `attempt(number)`, the same work on so many, goes through (tried, not reckoned), and what `advice(number)` says to do; where that is
    less than the `fewest` that the work can be done with, there is nothing to advise."""
    try:
        yield
        return
    except torch.OutOfMemoryError as error:
        clear_frames(error.__traceback__)  # they hold the tensors of the work that failed
        reason = str(error).splitlines()[0][:150]
    most = largest(lambda number: fits(lambda: attempt(number)), size, fewest)
    if most < fewest:
        few = "one person fits" if fewest == 1 else f"{fewest} people at once fit"
        raise InputError(f"not even {few} into the GPU's memory: take a smaller network, or end what else runs there ({reason})")
    raise InputError(f"{size} people at once do not fit into the GPU's memory, {most} do: {advice(most)} ({reason})")


def largest(fit: Callable[[int], bool], size: int, fewest: int = 1) -> int:
    """The largest number below `size` that fits, `fewest` - 1 where none does; a smaller one than one that fits does as well."""
    low, high = fewest - 1, size
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fit(middle) else (low, middle)
    return low


def fits(work: Callable[[], object]) -> bool:
    """Whether the work goes through the GPU's memory."""
    try:
        work()
        return True
    except torch.OutOfMemoryError as error:
        clear_frames(error.__traceback__)
        return False
    finally:
        torch.cuda.empty_cache()  # does nothing where there is no GPU in use
