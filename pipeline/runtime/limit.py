"""When a training ends before its work is done: at `machine.max_minutes`, or when the machine asks it to stop (SIGTERM)."""

import signal
import time
from types import FrameType
from typing import Any, Self


class Limit:
    """Within `with`, SIGTERM does not end the process: it is asked for between two steps, as is the time."""

    def __init__(self, minutes: float | None) -> None:
        self.minutes, self.begun, self.asked = minutes, time.monotonic(), False
        self.before: Any = None

    def __enter__(self) -> Self:
        self.before = signal.signal(signal.SIGTERM, self._ask)
        return self

    def __exit__(self, *raised: object) -> None:
        signal.signal(signal.SIGTERM, self.before)

    def __call__(self) -> str | None:
        """Why to stop now, or None."""
        if self.asked:
            return "stopped by SIGTERM"
        if self.minutes is not None and time.monotonic() - self.begun > 60 * self.minutes:
            return f"machine.max_minutes = {self.minutes:g} are over"
        return None

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
