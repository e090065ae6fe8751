"""When a training ends early: at `machine.max_minutes`, or on SIGTERM."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def limited(minutes: float | None) -> Iterator[Callable[[], str | None]]:
    """Inside `with`, SIGTERM does not end the process: signal and time are checked between two steps.

    Yields:
        A function that gives the reason to stop now, or None.
    """
    begun = time.monotonic()
    signals: list[int] = []  # that have come
    before = signal.signal(signal.SIGTERM, lambda number, frame: signals.append(number))

    def reason() -> str | None:
        if signals:
            return "stopped by SIGTERM"
        if minutes is not None and time.monotonic() - begun > 60 * minutes:
            return f"the {minutes:g} minutes of machine.max_minutes are over"
        return None

    try:
        yield reason
    finally:
        signal.signal(signal.SIGTERM, before)
