"""Stage `prepare`: the people of the data set, cut out once: crop packs, and the annotations that evaluation needs."""

import json
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.runtime import stage
from semipose.config.data import Data, Detections, Media, Unlabelled
from semipose.config.tree import Params
from semipose.data.checks.copies import Images, copies
from semipose.data.ground_truth import ground_truth, image_folder
from semipose.data.packing.writing import Recipe, cut_pack, place_pack
from semipose.data.people import People
from semipose.data.pixels import Exif
from semipose.data.sources import check_parts, read_people
from semipose.data.sources.aic import read_aic
from semipose.data.sources.detections import read_detections, read_images
from semipose.data.sources.media import loose_images, read_media
from semipose.pose.skeleton import Skeleton
from semipose.utils.files import write_text

PACKS = Path("data/packs")
FOUND = PACKS / ".unlabelled.media"  # people found in data.unlabelled.media, until their pack is in its place
PEOPLE = "people.json"


Pack = tuple[People, Path, Recipe]
"""People, the folder that their images' names are below, and how their crops are cut."""


def prepare() -> None:
    with stage.opened("prepare") as (this, tracker):
        p = this.params
        manifest = json.loads(Path("data/manifest.json").read_text(encoding="utf-8"))
        packs, truth = _people(p, manifest, this.root)
        searched = p.data.unlabelled is not None and p.data.unlabelled.media is not None
        if searched:
            images = {part: Images(people, folder, recipe.exif) for part, (people, folder, recipe) in packs.items()}
            for sentence in copies(images["unlabelled"], images, p.machine.workers):
                print(sentence)
        for part in {"unlabelled", "val_detected"} - set(packs):  # DVC wants every output to be there, and not empty
            write_text(PACKS / part / "nobody", f"params.yaml names nobody for the pack {part}\n")
        for part, (people, folder, recipe) in packs.items():
            started = time.monotonic()
            summary = cut_pack(people, folder, PACKS / part, recipe, p.data.max_broken, p.machine.workers)
            rate = len(people) / (time.monotonic() - started)
            counts = (dict.fromkeys(("near-duplicate", "blurred"), 0) if searched and part == "unlabelled" else {}) | people.dropped
            dropped = ", ".join(f"{count} {reason}" for reason, count in counts.items()) or "nobody"
            print(f"{part}: {summary['count']} people at {rate:.0f}/s; dropped: {dropped}; broken images: {len(summary['broken'])}")
            for what, count in people.understood.items():
                print(f"{part}: {count} {what}")
            if part == "val" and summary["broken"]:  # whom nobody can find is not to be found
                left = people.subset([k for k, image in enumerate(people.images) if image not in summary["broken"]])
                truth = ground_truth(manifest["source"], Path(manifest["root"]), left, p.data.custom)
            tracker.final({f"{part}/people": summary["count"], f"{part}/people_per_second": rate})
            whole = manifest["unlabelled"]["root"] if part == "unlabelled" else manifest["root"]
            tracker.dataset(part, part, whole, summary["digest"][:32], people=summary["count"])
        for part in packs:  # at the end: DVC removes the outputs of a stage that was killed before it begins again
            place_pack(PACKS / part)
        if searched:
            shutil.copyfile(FOUND / PEOPLE, PACKS / "unlabelled" / PEOPLE)
        shutil.rmtree(FOUND, ignore_errors=True)
        write_text(PACKS / "val.json", json.dumps(truth))


def _people(p: Params, manifest: dict[str, Any], repo: Path) -> tuple[dict[str, Pack], dict[str, Any]]:
    """Whom each pack is of: train, val, and if params.yaml names them, unlabelled and val_detected; and the ground truth of val."""
    source, root, data = manifest["source"], Path(manifest["root"]), p.data
    train, val = (
        read_people(source, root, part, data.validation_people, data.custom, data.flic.split, data.exif) for part in ("train", "val")
    )
    check_parts(source, train, val)
    truth = ground_truth(source, root, val, data.custom)
    crop, given = data.crop, data.unlabelled
    quality = crop.quality if crop.format == "jpeg" else None
    recipe = Recipe(crop.size, crop.padding, crop.extent, p.model.width / p.model.height, quality, data.exif)
    packs = {"train": (train, root, recipe), "val": (val, root, recipe)}
    if given and given.whole_images and (advice := loose_images(train)):
        print(f"train: {advice}")
    if given and given.media:
        # Nobody annotated these images, but boxes from a file may have been made before or after they were turned.
        exif = data.exif or (None if given.detections else "apply")
        _find_people(p, given.media, given.detections, Path(manifest["unlabelled"]["root"]), repo, exif)
        packs["unlabelled"] = (read_media(FOUND / PEOPLE, train.skeleton), FOUND, replace(recipe, exif=exif))
    elif given:
        other = Path(manifest["unlabelled"]["root"])
        packs["unlabelled"] = (_unlabelled(data, given, other, repo, train.skeleton), other, recipe)
    if data.detections:
        folder, boxes = image_folder(source, data.custom), data.detections
        found = read_detections(repo / boxes.file, root, truth["images"], folder, val.skeleton, boxes.score, data.exif)
        packs["val_detected"] = (found, root, recipe)
    return packs, truth


def _unlabelled(data: Data, given: Unlabelled, root: Path, repo: Path, skeleton: Skeleton) -> People:
    """People of another set, of whom training sees the crops alone."""
    if given.source == "flic":
        return read_people("flic", root, "train", films=data.flic.split, exif=data.exif)
    if given.detections is None:
        return read_aic(root, "train", data.exif, labelled=False)
    images = read_images(root / "annotations" / "image_info_unlabeled2017.json")
    return read_detections(repo / given.detections.file, root, images, "unlabeled2017", skeleton, given.detections.score, data.exif)


def _find_people(p: Params, media: Media, boxes: Detections | None, root: Path, repo: Path, exif: Exif | None) -> None:
    """Find people in folders of images and videos; FOUND gets them, and the pictures that show them."""
    import torch  # the processes that cut need none

    from semipose.inference.people import Search, find_people

    if media.detector and not media.weights:
        from semipose.inference.detector import MODELS

        print(f"unlabelled: torchvision downloads the detector's weights once, from {MODELS[media.detector][1].url}", flush=True)
    search = Search(
        root=root,
        media=media,
        boxes=repo / boxes.file if boxes else None,
        score=boxes.score if boxes else 0.0,
        weights=repo / media.weights if media.weights else None,
        exif=exif,
        side=max(p.model.height, p.model.width),
        max_broken=p.data.max_broken,
        device="cuda" if p.machine.accelerator != "cpu" and torch.cuda.is_available() else "cpu",
    )
    found = find_people(search, FOUND)
    for name, reason in found["broken"].items():
        print(f"unlabelled: {name} cannot be read and was left out: {reason}")
    for name, reason in found["cut_off"].items():
        print(f"unlabelled: {name}: {reason}")
    if found["others"]:
        print(f"unlabelled: {found['others']} files are neither images nor videos and were left out")


if __name__ == "__main__":
    stage.main(prepare, [])
