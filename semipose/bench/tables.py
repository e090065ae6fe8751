"""A measurement as tables: training by method, where a step's time goes, everything beside."""

from collections.abc import Mapping
from typing import Any

from semipose.bench.packs import projected
from semipose.reporting.tables import Cell, Column, Table

PROJECTIONS = ("disk, GB", "writing, min", "tables in memory, MB", "opening, s")
PROJECTED = (150_000 + 123_000, 10_000_000)  # COCO's people and one for each unlabelled image; and what may come
RATES = ("floor", "step", "end to end", "of floor", "GFLOP per pair", "floor of matrix rate", "peak memory, MiB")
SHARES = ("network", "views", "targets", "method", "optimiser", "data", "transfer")


def tables(found: Mapping[str, Any]) -> list[Table]:
    """Of what `bench` returns."""
    methods: Mapping[str, Any] = found["methods"]
    where = (
        f"{found['device']}, {found['threads']} threads, torch {found['torch']}, {found['precision']}; {found['backbone']}, input "
        f"{found['input']}, {found['batch_size']} labelled and as many unlabelled people in a step"
    )
    how = (
        f"medians over {found['rounds']} rounds of {found['steps']} steps, all measured in turn; of floor: lowest and highest of the rounds"
    )
    training = Table(
        "training",
        "Training, pairs per second",
        [Column("method", text=True), *map(Column, RATES)],
        [
            _row(
                name,
                *(f"{one[rate]:.1f}" for rate in ("floor", "step", "end_to_end")),
                f"{one['of_floor']:.2f} [{one['of_floor_spread'][0]:.2f}, {one['of_floor_spread'][1]:.2f}]",
                f"{one['gflop']:.2f}",
                f"{one['floor_of_matrix']:.0%}",
                f"{one['peak_memory_mib']:,.0f}",
            )
            for name, one in methods.items()
        ],
        [
            where,
            how,
            "a pair: a labelled and an unlabelled person; floor: the method's forward and backward passes alone, on tensors on the device",
            "peak memory: of the device (CPU: of the process) while the method trains; the other methods' networks lie there too",
            f"matrix rate: {found['matrix_gflops']:.0f} GFLOP/s in a large product of the same precision",
        ],
        [{"method": name, **one} for name, one in methods.items()],
    )
    shares = Table(
        "shares",
        "Where a step's time goes",
        [Column("method", text=True), *map(Column, SHARES)],
        [_row(name, *(f"{one['shares'].get(part, 0):.1%}" for part in SHARES)) for name, one in methods.items()],
        ["method: what it does itself, such as masks, mixing and losses; data: reading the crop pack"],
        [{"method": name, **one["shares"]} for name, one in methods.items()],
    )
    rates = {
        f"cutting people out, crops of {found['crop']} px, per second of one process's own time": found["cutting"],
        **{f"and writing the pack, {n} process(es), their start and the disk included": rate for n, rate in found["packing"].items()},
        "data road: a pair's labelled view with its targets and its weak view, no network": found["data_road"],
        "and its strong view": found["three_views"],
        "prediction, one pass": found["prediction"],
        **{f"decoding, OKS suppression and AP, in memory, {backend}": value for backend, value in found["scoring"].items()},
    }
    if found["report"]:
        rates["main table of this project's own cells, in four formats, cells"] = found["report"]
    beside = Table(
        "beside",
        "Beside training, people (or pairs) per second",
        [Column("what", text=True), Column("rate")],
        [_row(what, f"{value:,.0f}") for what, value in rates.items()],
        [f"{found['people']} people"],
        [{"what": what, "rate": value} for what, value in rates.items()],
    )
    return [training, shares, beside]


def _row(*texts: str) -> list[Cell]:
    return list(map(Cell, texts))


def scale_tables(found: dict[str, Any]) -> list[Table]:
    """Of what `scale` returns."""
    kinds = {"raw": "raw", "jpeg": f"JPEG, quality {found['quality']}"}
    first = found["format"]["raw"]["writing"]
    heads = [
        "bytes per person",
        "cutting by one process, people/s",
        "writing, people/s",
        *(f"memory of {one['people']:,}, MB" for one in first),
    ]
    heads += ["reading in order, people/s", "in any order", "in any order, from disk", "own memory, MB"]
    measured = Table(
        "packs",
        f"Packs of {found['people']:,} people, crops of {found['size']} px",
        [Column("format", text=True), *map(Column, heads)],
        [
            [
                Cell(kinds[name]),
                Cell(f"{one['disk']:,.0f}"),
                Cell(f"{one['cutting']:,.0f}"),
                Cell(f"{one['writing'][-1]['rate']:,.0f}"),
                *(Cell(f"{part['memory'] / 1e6:,.0f}") for part in one["writing"]),
                *(Cell(f"{one[order]:,.0f}") for order in ("in order", "in any order", "from disk")),
                Cell(f"{one['own memory'] / 1e6:,.0f}"),
            ]
            for name, one in found["format"].items()
        ],
        [
            "cutting: per second of the process's own time, from an image's file to the crop's digest; it does not wait for the disk",
            f"written by {found['processes']} processes, memory: the most that they and their parent had for themselves at any time",
            "read by one thread, 64 at a time; own memory: what reading left, pages of the file not counted",
            f"JPEG: values differ from raw by {found['difference']:.2f} of 255 in the mean",
        ],
        [{"format": name} | one for name, one in found["format"].items()],
    )
    ahead = {(people, name): projected(found, name, people) for people in PROJECTED for name in kinds}
    projection = Table(
        "projection",
        "In proportion",
        [
            Column("people", text=True),
            Column("format", text=True),
            *map(Column, PROJECTIONS),
        ],
        [
            [
                Cell(f"{people:,}"),
                Cell(kinds[name]),
                Cell(f"{one['disk'] / 1e9:,.1f}"),
                Cell(f"{one['writing'] / 60:,.1f}"),
                Cell(f"{one['memory'] / 1e6:,.0f}"),
                Cell(f"{one['opening']:.1f}"),
            ]
            for (people, name), one in ahead.items()
        ],
        [
            "measured, a pack of {people:,}: opened in {opening:.2f} s, split in {split:.2f} s, first batch in {first batch:.2f} s".format(
                **found["start"]
            )
        ],
        [{"people": people, "format": name} | one for (people, name), one in ahead.items()],
    )
    return [measured, projection]
