"""Stage `download`: get images and annotations, and record where they are in data/manifest.json."""

import json
from pathlib import Path
from typing import Any

from pipeline.runtime import stage
from semipose.config.data import Custom
from semipose.data.download.datasets import describe, describe_file, download
from semipose.demo.dataset import render_set
from semipose.utils.files import write_text

MANIFEST = Path("data/manifest.json")
DRAWN = Path("data/drawn")


def bring() -> None:
    with stage.opened("download", "download", {}) as (this, tracker):
        data = this.params.data
        DRAWN.mkdir(parents=True, exist_ok=True)
        # DVC removes a stage's outputs before it runs, so earlier downloads are remembered in this folder.
        remembered = this.root / ".semipose" / "downloads.json"
        known: dict[str, dict[str, Any]] = json.loads(remembered.read_text(encoding="utf-8")) if remembered.exists() else {}
        # First what the user has to get by hand: downloads take hours.
        boxes = {"data.detections.file": data.detections}
        boxes["data.unlabelled.detections.file"] = data.unlabelled.detections if data.unlabelled else None
        described = {key: [describe_file(this.root / one.file, key)] if one else [] for key, one in boxes.items()}
        files: list[dict[str, Any]] = []
        if data.source == "demo":
            counts = {"train": data.demo.train_images, "val": data.demo.val_images}
            render_set(DRAWN, counts, data.demo.seed, processes=this.params.machine.workers)
            root = str(DRAWN)
        else:
            root, files = _bring(data.source, data.root, this.root, known, data.custom)
        manifest: dict[str, Any] = {"source": data.source, "root": root, "files": files + described["data.detections.file"]}
        if data.unlabelled:
            other, more = _bring(data.unlabelled.source, data.unlabelled.root, this.root, known)
            more += described["data.unlabelled.detections.file"]
            manifest["unlabelled"] = {"source": data.unlabelled.source, "root": other, "files": more}
        write_text(remembered, json.dumps(known))
        write_text(MANIFEST, json.dumps(manifest, indent=1) + "\n")
        tracker.file("manifest.json", MANIFEST)
        print(f"{data.source}: {root}")


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
