"""A measurement as tables: training by method, the parts of a step's time, and other work."""

from collections.abc import Mapping, Sequence
from typing import Any

from semipose.bench.packs import projected
from semipose.reporting.cells import Cell
from semipose.reporting.tables import Column, Table

PROJECTED = (150_000 + 123_000, 10_000_000)  # COCO's people and one for each unlabelled image; and a larger set
TEXTS = ("format", "method", "people", "what")  # headings of columns of words; the others are numbers
SHARES = ("network", "views", "targets", "method", "optimiser", "data", "transfer")


def tables(found: Mapping[str, Any]) -> list[Table]:
    """Tables of what `bench` returns."""
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
        "peak memory: of the device (CPU: of the process) while the method trains; it includes the other methods' networks",
        f"matrix rate: {found['matrix_gflops']:.0f} GFLOP/s in a large product of the same precision",
    ]
    shares = [[Cell(name), *(Cell(f"{one['shares'].get(part, 0):.1%}") for part in SHARES)] for name, one in methods.items()]
    told = ["method: the method's own work, such as masks, mixing and losses; data: reading the crop pack"]
    rates = {
        f"people cut out, crops of {found['crop']} px, one process, per second of its CPU time": found["cutting"],
        **{f"the same with writing the pack, {n} process(es), start and disk included": rate for n, rate in found["packing"].items()},
        "pairs from the crop pack: labelled view, targets and weak view, no network": found["data_road"],
        "the same with the strong view": found["three_views"],
        "prediction, one pass": found["prediction"],
        **{f"decoding, OKS suppression and AP, in memory, {backend}": value for backend, value in found["scoring"].items()},
    }
    beside = [{"what": what, "rate": f"{value:,.0f}"} for what, value in rates.items()]
    return [
        _table("training", "Training, pairs per second", training, notes),
        Table("shares", "Where a step's time goes", [Column("method", text=True), *map(Column, SHARES)], shares, told, []),
        _table("beside", "Other work, people (or pairs) per second", beside, [f"{found['people']} people"]),
    ]


def scale_tables(found: dict[str, Any]) -> list[Table]:
    """Tables of what `scale` returns."""
    kinds = {"raw": "raw", "jpeg": f"JPEG, quality {found['quality']}"}
    measured = [
        {
            "format": kinds[name],
            "bytes per person": f"{one['disk']:,.0f}",
            "cutting by one process, people/s": f"{one['cutting']:,.0f}",
            "writing, people/s": f"{one['writing'][-1]['rate']:,.0f}",
            **{f"memory of {part['people']:,}, MB": f"{part['memory'] / 1e6:,.0f}" for part in one["writing"]},
            "reading in order, people/s": f"{one['in order']:,.0f}",
            "in any order": f"{one['in any order']:,.0f}",
            "in any order, from disk": f"{one['from disk']:,.0f}",
            "own memory, MB": f"{one['own memory'] / 1e6:,.0f}",
        }
        for name, one in found["format"].items()
    ]
    notes = [
        "cutting: per second of the process's CPU time, from the image file to the crop's digest, without waiting for the disk",
        f"written by {found['processes']} processes; memory: the largest sum of theirs and their parent's",
        "read by one thread, 64 at a time; own memory: memory left after reading, pages of the file not counted",
        f"JPEG: values differ from raw by {found['difference']:.2f} of 255 in the mean",
    ]
    ahead = {(people, name): projected(found, name, people) for people in PROJECTED for name in kinds}
    projection = [
        {
            "people": f"{people:,}",
            "format": kinds[name],
            "disk, GB": f"{one['disk'] / 1e9:,.1f}",
            "writing, min": f"{one['writing'] / 60:,.1f}",
            "tables in memory, MB": f"{one['memory'] / 1e6:,.0f}",
            "opening, s": f"{one['opening']:.1f}",
        }
        for (people, name), one in ahead.items()
    ]
    start = "measured, a pack of {people:,}: opened in {opening:.2f} s, split in {split:.2f} s, first batch in {first batch:.2f} s"
    return [
        _table("packs", f"Packs of {found['people']:,} people, crops of {found['size']} px", measured, notes),
        _table("projection", "In proportion", projection, [start.format(**found["start"])]),
    ]


def _table(name: str, caption: str, rows: Sequence[Mapping[str, str]], notes: list[str]) -> Table:
    """A table with headings from the rows' keys; without records,
    because the numbers are in the measurement's JSON.
    """
    columns = [Column(heading, text=heading in TEXTS) for heading in rows[0]]
    return Table(name, caption, columns, [list(map(Cell, row.values())) for row in rows], notes, [])
