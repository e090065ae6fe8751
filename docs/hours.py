"""The hours of the published tables in docs/reproduce.md: `python docs/hours.py coco mpii` prints rows of these presets; it takes minutes.

No GPU has measured them. Until one has, the hours to expect are those at the GPU's peak times a factor, that of the estimate of `coco`:
6 to 12 hours, by bytes and kernel launches of a step, where 1.4 would be enough at the peak.
"""

import sys

from pipeline.estimate import costs_of, hours, short
from pipeline.use import preset_file
from semipose.config.load import load

PEAK = 790  # TFLOP/s of an H200 in large products of bfloat16
UNTIL_MEASURED = 4.2, 8.5


def row(preset: str) -> list[str]:
    """Runs, PFLOP, hours at the peak, hours at a tenth of it, and hours to expect until they are measured."""
    costs = costs_of(load(preset_file(preset)))
    pflop = sum(cost.pflop for cost in costs)
    at_peak = hours(pflop, PEAK)
    expected = " to ".join(f"{float(f'{factor * at_peak:.2g}'):,.0f}" for factor in UNTIL_MEASURED)
    return [f"{len(costs)}", short(pflop), short(at_peak), short(10 * at_peak), expected]


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(f"| `{name}` | {' | '.join(row(name))} |", flush=True)
