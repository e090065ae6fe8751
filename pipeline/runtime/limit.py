"""When a training ends early: at `machine.max_minutes`, or on SIGTERM."""

import signal
import time
from types import FrameType
from typing import Any, Self


class Limit:
    """Inside `with`, SIGTERM does not end the process: signal
    and time are checked between two steps.
    """

    def __init__(self, minutes: float | None) -> None:
        self.minutes, self.begun, self.asked = minutes, time.monotonic(), False
        self.before: Any = None

    def __enter__(self) -> Self:
        self.before = signal.signal(signal.SIGTERM, self._ask)
        return self

    def __exit__(self, *raised: object) -> None:
        signal.signal(signal.SIGTERM, self.before)

    def __call__(self) -> str | None:
        """The reason to stop now, or None."""
        if self.asked:
            return "stopped by SIGTERM"
        if self.minutes is not None and time.monotonic() - self.begun > 60 * self.minutes:
            return f"the {self.minutes:g} minutes of machine.max_minutes are over"
        return None

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
