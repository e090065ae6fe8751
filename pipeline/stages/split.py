"""Stage `split`: who is labelled, for every budget at once."""

import json
from pathlib import Path

from pipeline.runtime import stage
from semipose.data.people import People
from semipose.data.splits import make_splits


def split() -> None:
    with stage.opened("split", "split", {}) as (this, tracker):
        people = People.load(Path("data/packs/train/people.npz"))
        p = this.params.split
        for name, record in make_splits(people, p.budgets, p.selection, p.seed, p.unlabelled).items():
            stage.write(Path("data/split") / f"{name}.json", json.dumps(record) + "\n")
            counts = record["counts"]
            print(f"{name}: {counts['labelled']} labelled, {counts['unlabelled']} unlabelled of {counts['pool']} people")
            tracker.final({f"{name}/labelled": counts["labelled"], f"{name}/unlabelled": counts["unlabelled"]})


if __name__ == "__main__":
    stage.main(split, [])
