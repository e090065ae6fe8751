"""Which people are labelled and which are unlabelled: sampled
once, recorded by id, verified when read.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter
from typing_extensions import TypedDict

from semipose.data.people import People
from semipose.utils.errors import SPLIT_AGAIN, InputError
from semipose.utils.validation import read_valid


class Record(TypedDict):
    """The fields of a record that are read; it has more, for human readers."""

    labelled: list[Annotated[int, Field(ge=-(2**63), lt=2**63)]]
    unlabelled: Literal["all", "rest"]
    digest: str
    pool_digest: str


RECORD = TypeAdapter(Record)


@dataclass(frozen=True, eq=False)
class Split:
    """Positions in the annotation table (int64, ascending): labelled [L] and unlabelled [U]."""

    labelled: NDArray[np.int64]
    unlabelled: NDArray[np.int64]


def split_file(budget: str, seed: int) -> Path:
    """The file with the record of a budget and a seed of the sweep."""
    return Path("data/split") / f"{budget}-s{seed}.json"


def make_splits(
    people: People, budgets: Mapping[str, int | str], selection: str, seed: int | tuple[int, int], unlabelled: str
) -> dict[str, dict[str, Any]]:
    """Make one JSON-able record per budget, by its name.

    A smaller budget is part of every larger one.

    Args:
        people: The N people to split.
        budgets: For each name, a number of people (1 to N), or "all".
        selection: "first" takes the first n people of the table (as the released code; counted in
            people, not images), "random" the first n of one permutation from `seed`.
        seed: Seed of the permutation.
        unlabelled: "all" is everybody, labelled people included (as the released code); "rest" is
            everybody else.

    Raises:
        InputError: Names the parameter, its value and its limit.
    """
    pool = len(people)
    order = np.arange(pool) if selection == "first" else np.random.default_rng(seed).permutation(pool)
    records = {}
    for name, number in budgets.items():
        budget = pool if number == "all" else int(number)
        if not 1 <= budget <= pool:
            raise InputError(f"split.budgets.{name}: {budget} of {pool} training people; choose 1 to {pool}")
        split = _split(np.sort(order[:budget]), pool, unlabelled)
        if not len(split.unlabelled):
            raise InputError(
                f"split.budgets.{name}: with {budget} of {pool} people labelled, split.unlabelled: rest has no people; "
                f"choose fewer than {pool}, or split.unlabelled: all"
            )
        records[name] = {
            "budget": name,
            "selection": selection,
            "seed": seed,
            "unlabelled": unlabelled,
            "counts": {"pool": pool, "labelled": len(split.labelled), "unlabelled": len(split.unlabelled)},
            "first_image": people.images[split.labelled[0]],
            "last_image": people.images[split.labelled[-1]],
            "pool_digest": _digest(people.ids),
            "digest": _digest(people.ids[split.labelled], people.ids[split.unlabelled]),
            "labelled": people.ids[split.labelled].tolist(),
        }
    return records


def read_split(path: Path | str, people: People) -> Split:
    """Read a record of `make_splits` that was written as JSON.

    Returns:
        The positions of its people in `people`.

    Raises:
        InputError: The file is missing or damaged, or was made from other person annotations.
    """
    record = read_valid(RECORD, Path(path), str(path), SPLIT_AGAIN)
    ids = np.array(record["labelled"], dtype=np.int64)
    if record["pool_digest"] != _digest(people.ids):
        raise InputError(f"{path}: `pool_digest` belongs to other person annotations; {SPLIT_AGAIN}")
    split = _split(np.flatnonzero(np.isin(people.ids, ids)), len(people), record["unlabelled"])
    if record["digest"] != _digest(ids, people.ids[split.unlabelled]):
        raise InputError(f"{path}: `labelled` or `unlabelled` was changed and does not fit `digest`; {SPLIT_AGAIN}")
    return split


def _split(labelled: NDArray[np.int64], pool: int, unlabelled: str) -> Split:
    everybody = np.arange(pool)
    return Split(labelled, everybody if unlabelled == "all" else np.setdiff1d(everybody, labelled))


def _digest(*ids: NDArray[np.int64]) -> str:
    """SHA-256 over lists of ids: their lengths and values, each as a little-endian 64-bit integer."""
    digest = hashlib.sha256()
    for part in ids:
        digest.update(np.array([len(part)], dtype="<i8").tobytes())
        digest.update(part.astype("<i8").tobytes())
    return digest.hexdigest()
