"""Stage `prepare`: the people of the data set, cut out once: crop packs, and the annotations that evaluation needs."""

import json
import time
from pathlib import Path

from pipeline import stage
from semipose.crops import write_pack
from semipose.files import replacing
from semipose.ground_truth import ground_truth
from semipose.sources import read_people

PACKS = Path("data/packs")


def prepare() -> None:
    with stage.opened("prepare", "prepare", {}) as (this, tracker):
        p = this.params
        manifest = json.loads(Path("data/manifest.json").read_text(encoding="utf-8"))
        source, root, crop = manifest["source"], Path(manifest["root"]), p.data.crop
        for part in ("train", "val"):
            people = read_people(source, root, part, p.data.validation_people)
            started = time.monotonic()
            summary = write_pack(
                people,
                root,
                PACKS / part,
                size=crop.size,
                padding=crop.padding,
                extent=crop.extent,
                aspect=p.model.width / p.model.height,
                max_broken=p.data.max_broken,
                processes=p.machine.workers,
            )
            rate = len(people) / (time.monotonic() - started)
            dropped = ", ".join(f"{count} {reason}" for reason, count in people.dropped.items()) or "nobody"
            print(f"{part}: {summary['count']} people at {rate:.0f}/s; dropped: {dropped}; broken images: {len(summary['broken'])}")
            tracker.final({f"{part}/people": summary["count"], f"{part}/people_per_second": rate})
            tracker.dataset(part, part, str(root), summary["digest"][:32], people=summary["count"])
        with replacing(PACKS / "val.json") as temporary:
            temporary.write_text(json.dumps(ground_truth(source, root, "val", people)), encoding="utf-8")


if __name__ == "__main__":
    stage.main(prepare, [])
