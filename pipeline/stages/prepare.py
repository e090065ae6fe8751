"""Stage `prepare`: the people of the data set, cut out once: crop packs, and the annotations that evaluation needs."""

import json
import time
from pathlib import Path

from pipeline.runtime import stage
from semipose.config.data import Data
from semipose.data.ground_truth import ground_truth, image_folder
from semipose.data.packing.writing import Recipe, cut_pack, place_pack
from semipose.data.people import People
from semipose.data.sources import check_parts, read_people
from semipose.data.sources.aic import read_aic
from semipose.data.sources.detections import read_detections, read_images
from semipose.pose.skeleton import Skeleton
from semipose.utils.files import write_text

PACKS = Path("data/packs")


def prepare() -> None:
    with stage.opened("prepare", "prepare", {}) as (this, tracker):
        p = this.params
        manifest = json.loads(Path("data/manifest.json").read_text(encoding="utf-8"))
        source, root = manifest["source"], Path(manifest["root"])
        train, val = (
            read_people(source, root, part, p.data.validation_people, p.data.custom, p.data.flic.split, p.data.exif)
            for part in ("train", "val")
        )
        check_parts(train, val)
        truth = ground_truth(source, root, "val", val, p.data.custom)
        packs = {"train": (train, root), "val": (val, root)}
        if p.data.unlabelled:
            other = Path(manifest["unlabelled"]["root"])
            packs["unlabelled"] = (_unlabelled(p.data, other, this.root, train.skeleton), other)
        if p.data.detections:
            folder, boxes = image_folder(source, "val", p.data.custom), p.data.detections
            found = read_detections(this.root / boxes.file, root, truth["images"], folder, val.skeleton, boxes.score, p.data.exif)
            packs["val_detected"] = (found, root)
        for part in {"unlabelled", "val_detected"} - set(packs):  # DVC wants every output to be there, and not empty
            write_text(PACKS / part / "nobody", f"params.yaml names nobody for the pack {part}\n")
        crop = p.data.crop
        quality = crop.quality if crop.format == "jpeg" else None
        recipe = Recipe(crop.size, crop.padding, crop.extent, p.model.width / p.model.height, quality, p.data.exif)
        for part, (people, where) in packs.items():
            started = time.monotonic()
            summary = cut_pack(people, where, PACKS / part, recipe, p.data.max_broken, p.machine.workers)
            rate = len(people) / (time.monotonic() - started)
            dropped = ", ".join(f"{count} {reason}" for reason, count in people.dropped.items()) or "nobody"
            print(f"{part}: {summary['count']} people at {rate:.0f}/s; dropped: {dropped}; broken images: {len(summary['broken'])}")
            for what, count in people.understood.items():
                print(f"{part}: {count} {what}")
            if part == "val" and summary["broken"]:  # whom nobody can find is not to be found
                left = val.subset([k for k, image in enumerate(val.images) if image not in summary["broken"]])
                truth = ground_truth(source, root, "val", left, p.data.custom)
            tracker.final({f"{part}/people": summary["count"], f"{part}/people_per_second": rate})
            tracker.dataset(part, part, str(where), summary["digest"][:32], people=summary["count"])
        for part in packs:  # at the end: DVC removes the outputs of a stage that was killed before it begins again
            place_pack(PACKS / part)
        write_text(PACKS / "val.json", json.dumps(truth))


def _unlabelled(data: Data, root: Path, repo: Path, skeleton: Skeleton) -> People:
    """People of another set, of whom training sees the crops alone."""
    p = data.unlabelled
    assert p
    if p.source == "flic":
        return read_people("flic", root, "train", films=data.flic.split, exif=data.exif)
    if p.detections is None:
        return read_aic(root, "train", data.exif, labelled=False)
    images = read_images(root / "annotations" / "image_info_unlabeled2017.json")
    return read_detections(repo / p.detections.file, root, images, "unlabeled2017", skeleton, p.detections.score, data.exif)


if __name__ == "__main__":
    stage.main(prepare, [])
