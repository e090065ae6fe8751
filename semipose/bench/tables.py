"""A measurement as tables: training by method, where a step's time goes, everything beside."""

from collections.abc import Mapping, Sequence
from typing import Any

from semipose.reporting.tables import Cell, Column, Table

TEXTS = ("method", "what")  # headings of columns of words; the others hold numbers
SHARES = ("network", "views", "targets", "method", "optimiser", "data", "transfer")


def tables(found: Mapping[str, Any]) -> list[Table]:
    """Of what `bench` returns."""
    methods: Mapping[str, Any] = found["methods"]
    training = [
        {
            "method": name,
            "floor": f"{one['floor']:.1f}",
            "step": f"{one['step']:.1f}",
            "end to end": f"{one['end_to_end']:.1f}",
            "of floor": f"{one['of_floor']:.2f} [{one['of_floor_spread'][0]:.2f}, {one['of_floor_spread'][1]:.2f}]",
            "GFLOP per pair": f"{one['gflop']:.2f}",
            "floor of matrix rate": f"{one['floor_of_matrix']:.0%}",
            "peak memory, MiB": f"{one['peak_memory_mib']:,.0f}",
        }
        for name, one in methods.items()
    ]
    notes = [
        f"{found['device']}, {found['threads']} threads, torch {found['torch']}, {found['precision']}; {found['backbone']}, input "
        f"{found['input']}, {found['batch_size']} labelled and as many unlabelled people in a step",
        f"medians over {found['rounds']} rounds of {found['steps']} steps, all measured in turn; "
        "of floor: lowest and highest of the rounds",
        "a pair: a labelled and an unlabelled person; floor: the method's forward and backward passes alone, on tensors on the device",
        "peak memory: of the device (CPU: of the process) while the method trains; the other methods' networks lie there too",
        f"matrix rate: {found['matrix_gflops']:.0f} GFLOP/s in a large product of the same precision",
    ]
    shares = [[Cell(name), *(Cell(f"{one['shares'].get(part, 0):.1%}") for part in SHARES)] for name, one in methods.items()]
    told = ["method: what it does itself, such as masks, mixing and losses; data: reading the crop pack"]
    rates = {
        f"cutting people out, crops of {found['crop']} px, per second of one process's own time": found["cutting"],
        **{f"and writing the pack, {n} process(es), their start and the disk included": rate for n, rate in found["packing"].items()},
        "data road: a pair's labelled view with its targets and its weak view, no network": found["data_road"],
        "and its strong view": found["three_views"],
        "prediction, one pass": found["prediction"],
        **{f"decoding, OKS suppression and AP, in memory, {backend}": value for backend, value in found["scoring"].items()},
    }
    beside = [{"what": what, "rate": f"{value:,.0f}"} for what, value in rates.items()]
    return [
        _table("training", "Training, pairs per second", training, notes),
        Table("shares", "Where a step's time goes", [Column("method", text=True), *map(Column, SHARES)], shares, told, []),
        _table("beside", "Beside training, people (or pairs) per second", beside, [f"{found['people']} people"]),
    ]


def _table(name: str, caption: str, rows: Sequence[Mapping[str, str]], notes: list[str]) -> Table:
    """Rows by the headings of their columns; without records, since the numbers themselves are in the measurement's JSON."""
    columns = [Column(heading, text=heading in TEXTS) for heading in rows[0]]
    return Table(name, caption, columns, [list(map(Cell, row.values())) for row in rows], notes, [])
