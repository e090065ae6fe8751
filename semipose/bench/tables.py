"""A measurement as tables: training by method, where a step's time goes, everything beside."""

from collections.abc import Mapping
from typing import Any

from semipose.tables import Cell, Column, Table

SHARES = ("network", "views", "targets", "method", "optimiser", "data", "transfer")


def tables(found: Mapping[str, Any]) -> list[Table]:
    """Of what `bench` returns."""
    methods: Mapping[str, Any] = found["methods"]
    where = (
        f"{found['device']}, {found['threads']} threads, torch {found['torch']}, {found['precision']}; {found['trunk']}, input "
        f"{found['input']}, {found['batch_size']} labelled and as many unlabelled people in a step"
    )
    how = (
        f"medians over {found['rounds']} rounds of {found['steps']} steps, all measured in turn; of floor: lowest and highest of the rounds"
    )
    training = Table(
        "training",
        "Training, pairs per second",
        [Column("method", text=True), *map(Column, ("floor", "step", "end to end", "of floor", "GFLOP per pair", "floor of matrix rate"))],
        [
            _row(
                name,
                *(f"{one[rate]:.1f}" for rate in ("floor", "step", "end_to_end")),
                f"{one['of_floor']:.2f} [{one['of_floor_spread'][0]:.2f}, {one['of_floor_spread'][1]:.2f}]",
                f"{one['gflop']:.2f}",
                f"{one['floor_of_matrix']:.0%}",
            )
            for name, one in methods.items()
        ],
        [
            where,
            how,
            "a pair: a labelled and an unlabelled person; floor: the method's forward and backward passes alone, on tensors on the device",
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
        **{f"cutting people out, {count} process(es), their start included": value for count, value in found["packing"].items()},
        "data road: a labelled, a weak and a strong view of a pair, no network": found["data_road"],
        "prediction, one pass": found["prediction"],
        **{f"decoding, OKS suppression and AP, in memory, {backend}": value for backend, value in found["scoring"].items()},
    }
    beside = Table(
        "beside",
        "Beside training, people (or pairs) per second",
        [Column("what", text=True), Column("rate")],
        [_row(what, f"{value:,.0f}") for what, value in rates.items()],
        [f"{found['people']} people; largest memory of the whole measurement: {found['peak_memory_mib']:,.0f} MiB"],
        [{"what": what, "rate": value} for what, value in rates.items()],
    )
    return [training, shares, beside]


def _row(*texts: str) -> list[Cell]:
    return list(map(Cell, texts))
