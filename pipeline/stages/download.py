"""Stage `download`: get images and annotations, and record where they are in data/manifest.json."""

import json
from pathlib import Path
from typing import Any

from pipeline.runtime import stage
from semipose.config.data import Custom, Unlabelled
from semipose.data.download.datasets import describe, describe_file, describe_media, download
from semipose.demo.dataset import render_set
from semipose.utils.files import write_json, write_text

MANIFEST = Path("data/manifest.json")
DRAWN = Path("data/drawn")


def bring() -> None:
    with stage.opened("download") as (this, tracker):
        data = this.params.data
        DRAWN.mkdir(parents=True, exist_ok=True)
        # DVC removes a stage's outputs before it runs, so earlier downloads are remembered in this folder.
        remembered = this.root / ".semipose" / "downloads.json"
        known: dict[str, dict[str, Any]] = json.loads(remembered.read_text(encoding="utf-8")) if remembered.exists() else {}
        # First what the user has to get by hand: downloads take hours.
        boxes = [describe_file(this.root / data.detections.file, "data.detections.file")] if data.detections else []
        beside = _beside(data.unlabelled, this.root) if data.unlabelled else []
        files: list[dict[str, Any]] = []
        if data.source == "demo":
            counts = {"train": data.demo.train_images, "val": data.demo.val_images}
            render_set(DRAWN, counts, data.demo.seed, processes=this.params.machine.workers)
            root = str(DRAWN)
        else:
            root, files = _bring(data.source, data.root, this.root, known, data.custom)
        manifest: dict[str, Any] = {"source": data.source, "root": root, "files": files + boxes}
        if data.unlabelled and data.unlabelled.media:
            other = str(this.root / str(data.unlabelled.root))
            more = describe_media(Path(other), data.unlabelled.media.folders)
        elif data.unlabelled:
            other, more = _bring(data.unlabelled.source, data.unlabelled.root, this.root, known)
        if data.unlabelled:
            manifest["unlabelled"] = {"source": data.unlabelled.source, "root": other, "files": more + beside}
        write_text(remembered, json.dumps(known))
        write_json(MANIFEST, manifest)
        tracker.file("manifest.json", MANIFEST)
        print(f"{data.source}: {root}")


def _beside(unlabelled: Unlabelled, repo: Path) -> list[dict[str, Any]]:
    """The files that the search for people reads beside images and videos."""
    boxes, media = unlabelled.detections, unlabelled.media
    files = [describe_file(repo / boxes.file, "data.unlabelled.detections.file")] if boxes else []
    if media and media.weights:
        files.append(describe_file(repo / media.weights, "data.unlabelled.media.weights", "the detector's file of torchvision"))
    return files


def _bring(
    source: str, root: str | None, repo: Path, known: dict[str, dict[str, Any]], custom: Custom | None = None
) -> tuple[str, list[dict[str, Any]]]:
    """Describe the user's own folder, or download the set.

    `known` remembers downloads by their address.

    Returns:
        The root of the set and a list of its files.
    """
    if root is not None:
        return str(repo / root), describe(source, repo / root, custom)
    folder = repo / "data" / source
    files = download(source, folder, known)
    known |= {file["url"]: file for file in files}
    return str(folder), files


if __name__ == "__main__":
    stage.main(bring, [])
