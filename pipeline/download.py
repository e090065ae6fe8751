"""Stage `download`: the images and annotations are there, and data/manifest.json says where and which."""

import json
from pathlib import Path
from typing import Any

from pipeline import stage
from semipose.download import check_layout, describe, download
from semipose.files import replacing
from semipose.sources.demo import draw_set

MANIFEST = Path("data/manifest.json")
DRAWN = Path("data/drawn")


def bring() -> None:
    with stage.opened("download", "download", {}) as (this, tracker):
        data = this.params.data
        DRAWN.mkdir(parents=True, exist_ok=True)
        # The folder of record: DVC removes a stage's outputs before it runs, so what earlier downloads were is remembered here.
        remembered = this.root / ".semipose" / "downloads.json"
        known: dict[str, dict[str, Any]] = json.loads(remembered.read_text(encoding="utf-8")) if remembered.exists() else {}
        files: list[dict[str, Any]] = []
        if data.source == "demo":
            counts = {"train": data.demo.train_images, "val": data.demo.val_images}
            draw_set(DRAWN, counts, data.demo.seed, processes=this.params.machine.workers)
            root = str(DRAWN)
        elif data.root is not None:
            root = str(this.root / data.root)
            check_layout(data.source, Path(root))
            files = describe(data.source, Path(root))
        else:
            root = str(this.root / "data" / data.source)
            files = download(data.source, Path(root), known)
            with replacing(remembered) as temporary:
                temporary.write_text(json.dumps(known | {file["url"]: file for file in files}), encoding="utf-8")
        manifest = {"source": data.source, "root": root, "files": files}
        with replacing(MANIFEST) as temporary:
            temporary.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        tracker.file("manifest.json", MANIFEST)
        print(f"{data.source}: {root}")


if __name__ == "__main__":
    stage.main(bring, [])
