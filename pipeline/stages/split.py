"""Stage `split`: which people are labelled, for every budget and seed at once."""

import json
from pathlib import Path

from pipeline.runtime import stage
from semipose.data.people import People
from semipose.data.splits import make_splits, split_file
from semipose.utils.files import write_text


def split() -> None:
    with stage.opened("split") as (this, tracker):
        people = People.load(Path("data/packs/train/people.npz"))
        p = this.params.split
        others = this.params.data.unlabelled is not None  # training takes those
        for seed in this.params.sweep.seeds:
            own = (p.seed, seed) if p.per_seed else p.seed
            for name, record in make_splits(people, p.budgets, p.selection, own, p.unlabelled).items():
                write_text(split_file(name, seed), json.dumps(record) + "\n")
                counts = record["counts"]
                kinds = ("labelled",) if others else ("labelled", "unlabelled")
                said = ", ".join(f"{counts[kind]} {kind}" for kind in kinds)
                print(f"{name}, seed {seed}: {said} of {counts['pool']} people{'; unlabelled: those of data.unlabelled' * others}")
                tracker.final({f"{name}/{kind}": counts[kind] for kind in kinds})


if __name__ == "__main__":
    stage.main(split, [])
