"""Stage `split`: which people are labelled, for every budget and seed at once."""

import json
from pathlib import Path

from pipeline.runtime import stage
from semipose.data.people import People
from semipose.data.splits import make_splits, split_file
from semipose.utils.files import write_text


def split() -> None:
    with stage.opened("split", "split", {}) as (this, tracker):
        people = People.load(Path("data/packs/train/people.npz"))
        p = this.params.split
        for seed in this.params.sweep.seeds:
            own = (p.seed, seed) if p.per_seed else p.seed
            for name, record in make_splits(people, p.budgets, p.selection, own, p.unlabelled).items():
                write_text(split_file(name, seed), json.dumps(record) + "\n")
                counts = record["counts"]
                print(f"{name}, seed {seed}: {counts['labelled']} labelled, {counts['unlabelled']} unlabelled of {counts['pool']} people")
                tracker.final({f"{name}/labelled": counts["labelled"], f"{name}/unlabelled": counts["unlabelled"]})


if __name__ == "__main__":
    stage.main(split, [])
