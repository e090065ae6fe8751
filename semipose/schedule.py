"""Learning rate by optimiser step."""

from collections.abc import Sequence


def learning_rate(step: int, steps: int, base: float, decay_at: Sequence[float], decay: float) -> float:
    """Rate of a step (counted from 0): base, times `decay` for each fraction of `steps` that lies behind. Counts optimiser
    steps, so it does not depend on which loader an epoch is measured by."""
    return base * decay ** sum(step >= fraction * steps for fraction in decay_at)
