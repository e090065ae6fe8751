"""What the measurements are meant to reach: shares of the machine's own limit, and multiples of the public PoseDual code's figures."""

from collections.abc import Mapping
from typing import Any

from semipose.tables import Cell, Column, Table

# The public PoseDual code, one process and thread of a CPU without AMX, people of LSPET (240 px) and of 640 px images.
PEER_PAIRS = 307  # a second: read, cut and augmented, from images of 240 px; 269 at its slowest
PEER_PAIRS_LARGE = 142  # from images of 640 px
PEER_SCORING = 2000 / (0.305 + 0.181)  # people a second from heatmaps to AP, 2,000 in 305 + 181 ms

OF_FLOOR = {"CPU": 0.95, "GPU": 0.85}
OF_MATRIX = 0.4  # on a GPU
LOADERS = 16  # processes that would read for a GPU


def goals(found: Mapping[str, Any]) -> Table:
    """Each goal beside what `bench` found; those of the other kind of device are named as not measured."""
    here = "CPU" if found["device"] == "CPU" else "GPU"
    rows = []

    def row(what: str, asked: float, reached: float | None, digits: int) -> None:
        met = "not measured" if reached is None else "yes" if round(reached, digits) >= asked else "no"
        rows.append((what, f"{asked:,.{digits}f}", "–" if reached is None else f"{reached:,.{digits}f}", met))

    for device, share in OF_FLOOR.items():
        for name, one in found["methods"].items():
            row(f"{device}: {name} end to end, share of its floor", share, one["of_floor"] if device == here else None, 2)
    for name, one in found["methods"].items():
        row(f"GPU: {name}'s floor, share of the matrix rate", OF_MATRIX, one["floor_of_matrix"] if here == "GPU" else None, 2)
        what, peers = f"GPU: {name} end to end, pairs/s: what {LOADERS} of the peer's loaders bring", LOADERS * PEER_PAIRS_LARGE
        row(what, peers, one["end_to_end"] if here == "GPU" else None, 0)
    row("data road, pairs/s: 2.4 times the peer's", 2.4 * PEER_PAIRS, found["data_road"], 0)
    row("cutting out by one process, people/s: 3 times the peer's", 3 * 2 * PEER_PAIRS, found["cutting"], 0)
    for backend, rate in found["scoring"].items():
        row(f"from heatmaps to AP, {backend}, people/s: twice the peer's", 2 * PEER_SCORING, rate, 0)
    return Table(
        "goals",
        "Against what is asked",
        [Column("what", text=True), Column("asked"), Column("measured"), Column("reached", text=True)],
        [list(map(Cell, one)) for one in rows],
        [
            "the peer: the public PoseDual code in one process on another CPU; what reads, cuts and augments images afresh in each step "
            f"makes 269 to {PEER_PAIRS} pairs/s from images of 240 px (a pair is two people) and {PEER_PAIRS_LARGE} from images of 640 px"
        ],
        [dict(zip(("what", "asked", "measured", "reached"), one, strict=True)) for one in rows],
    )
