"""The targets of docs/benchmark.md beside what was measured: `python docs/goals.py bench.json` prints the table.

Targets are shares of the machine's own limit, and multiples of what the public PoseDual code does.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from semipose.reporting.cells import Cell
from semipose.reporting.tables import Column, Table
from semipose.reporting.typeset import to_markdown

ASKED = ("resnet18", "256x192")  # backbone and input of the targets
# The public PoseDual code in one process and thread of another CPU, views of 256 x 192.
POSEDUAL_PAIRS = 307  # per second: read, cut out and augmented, from images of 240 px as LSPET has them; 269 at its slowest
POSEDUAL_PAIRS_LARGE = 142  # from images of 640 px
POSEDUAL_SCORING = 2000 / (0.305 + 0.181)  # people per second from heatmaps to AP, 2,000 in 305 + 181 ms

OF_FLOOR = {"CPU": 0.95, "GPU": 0.85}
OF_MATRIX = 0.2  # on a GPU, where launching small kernels takes time
OF_MATRIX_FUSED = 0.4  # compiled, or with steps as CUDA graphs
LOADERS = 16  # processes that would load for one GPU


def goals(found: Mapping[str, Any]) -> Table | None:
    """Compare each target with what `semipose bench` found; targets of the other kind of device are "not measured".

    Returns:
        The table, or None if another network was measured than the one that the targets are for.
    """
    if (found["backbone"], found["input"]) != ASKED:
        return None
    here = "CPU" if found["device"] == "CPU" else "GPU"
    posedual = POSEDUAL_PAIRS if found["image_px"] < 400 else POSEDUAL_PAIRS_LARGE
    of_matrix = OF_MATRIX_FUSED if found.get("graphs") or found.get("compile", "none") != "none" else OF_MATRIX
    rows = []

    def row(what: str, asked: float, reached: float | None, digits: int) -> None:
        wanted, got = round(asked, digits), None if reached is None else round(reached, digits)
        met = "not measured" if got is None else "yes" if got >= wanted else "no"
        rows.append((what, f"{asked:,.{digits}f}", "–" if reached is None else f"{reached:,.{digits}f}", met))

    for device, share in OF_FLOOR.items():
        for name, one in found["methods"].items():
            row(f"{device}: {name} end to end, share of its floor", share, one["of_floor"] if device == here else None, 3)
    for name, one in found["methods"].items():
        row(f"GPU: {name}'s floor, share of the matrix rate", of_matrix, one["floor_of_matrix"] if here == "GPU" else None, 3)
        what = f"GPU: {name} end to end, pairs/s: the output of {LOADERS} loaders of PoseDual's code"
        row(what, LOADERS * POSEDUAL_PAIRS_LARGE, one["end_to_end"] if here == "GPU" else None, 0)
    row("pairs from the crop pack, pairs/s: 2.4 times PoseDual's code", 2.4 * posedual, found["data_road"], 0)
    row("cutting out by one process, people/s: 3 times PoseDual's code", 3 * 2 * posedual, found["cutting"], 0)
    for backend, rate in found["scoring"].items():
        row(f"from heatmaps to AP, {backend}, people/s: twice PoseDual's code", 2 * POSEDUAL_SCORING, rate, 0)
    return Table(
        "goals",
        "Targets",
        [Column("what", text=True), Column("target"), Column("measured"), Column("reached", text=True)],
        [list(map(Cell, one)) for one in rows],
        [
            "PoseDual's public code was measured in one process on another CPU",
            "its loader reads, cuts out and augments again in each step: "
            f"269 to {POSEDUAL_PAIRS} pairs/s (twice as many people) from images of 240 px, "
            f"{POSEDUAL_PAIRS_LARGE} from images of 640 px; here the images have {found['image_px']} px",
        ],
        [dict(zip(("what", "target", "measured", "reached"), one, strict=True)) for one in rows],
    )


if __name__ == "__main__":
    table = goals(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    print(to_markdown(table) if table else f"the targets are for {' at '.join(ASKED)}")
