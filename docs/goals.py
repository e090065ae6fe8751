"""The targets of docs/benchmark.md beside what was measured: `python docs/goals.py bench.json` prints the table.

They are shares of the machine's own limit, and multiples of the figures of the public PoseDual code.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from semipose.reporting.tables import Cell, Column, Table
from semipose.reporting.typeset import to_markdown

ASKED = ("resnet18", "256x192")  # the network that the targets are about
# The public PoseDual code in one process and thread of another CPU, views of 256 x 192.
PEER_PAIRS = 307  # a second: read, cut and augmented, from images of 240 px as LSPET has them; 269 at its slowest
PEER_PAIRS_LARGE = 142  # from images of 640 px
PEER_SCORING = 2000 / (0.305 + 0.181)  # people a second from heatmaps to AP, 2,000 in 305 + 181 ms

OF_FLOOR = {"CPU": 0.95, "GPU": 0.85}
OF_MATRIX = 0.2  # on a GPU, whose small kernels are launched one by one
OF_MATRIX_COMPILED = 0.4
LOADERS = 16  # processes that would read for a GPU


def goals(found: Mapping[str, Any]) -> Table | None:
    """Each target beside what `semipose bench` found; those of the other kind of device are named as not measured.

    None if another network was measured than the targets are about.
    """
    if (found["backbone"], found["input"]) != ASKED:
        return None
    here = "CPU" if found["device"] == "CPU" else "GPU"
    peer = PEER_PAIRS if found["image_px"] < 400 else PEER_PAIRS_LARGE
    of_matrix = OF_MATRIX if found.get("compile", "none") == "none" else OF_MATRIX_COMPILED
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
        what, peers = f"GPU: {name} end to end, pairs/s: what {LOADERS} of the peer's loaders bring", LOADERS * PEER_PAIRS_LARGE
        row(what, peers, one["end_to_end"] if here == "GPU" else None, 0)
    row("data road, pairs/s: 2.4 times the peer's", 2.4 * peer, found["data_road"], 0)
    row("cutting out by one process, people/s: 3 times the peer's", 3 * 2 * peer, found["cutting"], 0)
    for backend, rate in found["scoring"].items():
        row(f"from heatmaps to AP, {backend}, people/s: twice the peer's", 2 * PEER_SCORING, rate, 0)
    return Table(
        "goals",
        "Against what is asked",
        [Column("what", text=True), Column("asked"), Column("measured"), Column("reached", text=True)],
        [list(map(Cell, one)) for one in rows],
        [
            "the peer: the public PoseDual code in one process of another CPU, whose loader reads, cuts and augments anew in each step: "
            f"269 to {PEER_PAIRS} pairs/s (twice as many people) from images of 240 px, {PEER_PAIRS_LARGE} from images of 640 px; here the "
            f"images have {found['image_px']} px"
        ],
        [dict(zip(("what", "asked", "measured", "reached"), one, strict=True)) for one in rows],
    )


if __name__ == "__main__":
    table = goals(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    print(to_markdown(table) if table else f"the targets are about {' at '.join(ASKED)}")
