"""Bringing the real data sets: where they come from, and whether a folder has their layout."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from semipose.archives import unpack, unpacked
from semipose.errors import InputError
from semipose.fetch import checksums, fetch

__all__ = ["DATASETS", "LAYOUTS", "RemoteArchive", "check_layout", "describe", "download", "fetch", "unpack"]


@dataclass(frozen=True)
class RemoteArchive:
    """One archive of a data set. md5: where it is published. folder: where to unpack, relative to the data root."""

    url: str
    md5: str | None = None
    folder: str = "."

    @property
    def name(self) -> str:
        return PurePosixPath(urlsplit(self.url).path).name


COCO_HOST = "http://images.cocodataset.org"
DATASETS: dict[str, tuple[RemoteArchive, ...]] = {
    "coco": (
        RemoteArchive(f"{COCO_HOST}/annotations/annotations_trainval2017.zip", "f4bbac642086de4f52a3fdda2de5fa2c"),
        RemoteArchive(f"{COCO_HOST}/zips/val2017.zip", "442b8da7639aecaf257c1dceb8ba8c80"),
        RemoteArchive(f"{COCO_HOST}/zips/train2017.zip", "cced6f7f71b7629ddf16f17bbcfab6b2"),
    ),
    "lsp": (RemoteArchive("http://sam.johnson.io/research/lspet_dataset.zip"),),  # no checksum is published
}

COCO_LAYOUT = (
    "annotations/person_keypoints_train2017.json",
    "annotations/person_keypoints_val2017.json",
    "train2017/",
    "val2017/",
)
LAYOUTS = {"demo": COCO_LAYOUT, "coco": COCO_LAYOUT, "lsp": ("joints.mat", "images/")}
"""What a data root holds, relative to it; a slash at the end: a folder with images."""


def download(source: str, root: Path, known: dict[str, dict[str, Any]] | None = None, progress: bool = True) -> list[dict[str, Any]]:
    """Bring and unpack a data set into `root`; return one record {"url", "bytes", "sha256"} per archive.

    known: records of an earlier download by their url; every archive has to be the same file again. Archives gather in
    `root`/archives and are removed once they are unpacked; what was unpacked before is not brought again. At the end
    the layout is checked. Raises InputError as `fetch`, `unpack` and `check_layout` do, or where `source` has no
    address.
    """
    if source not in DATASETS:
        raise InputError(f"data.source: {source!r} has no address to download from; choose one of {', '.join(DATASETS)}")
    records = []
    for remote in DATASETS[source]:
        folder, expected = Path(root) / remote.folder, (known or {}).get(remote.url, {})
        sha256 = expected.get("sha256")
        record = unpacked(remote.name, folder)
        if record is None or sha256 not in (None, record["sha256"]):
            archive = Path(root) / "archives" / remote.name
            record = fetch(remote.url, archive, sha256, remote.md5, expected.get("bytes"), progress)
            unpack(archive, folder, record["sha256"])
            archive.unlink()
        records.append({"url": remote.url, "bytes": record["bytes"], "sha256": record["sha256"]})
    check_layout(source, root)
    return records


def check_layout(source: str, root: Path) -> None:
    """Raise one InputError that names all that the data root lacks, and what brings it."""
    if source not in LAYOUTS:
        raise InputError(f"data.source: {source!r} is unknown; choose one of {', '.join(LAYOUTS)}")
    root = Path(root)
    missing = [entry for entry in LAYOUTS[source] if not _is_there(root / entry, entry.endswith("/"))]
    if missing:
        found = "lacks" if root.is_dir() else "is not there; it lacks"
        raise InputError(
            f"data.root: {root} {found} {', '.join(missing)} of source {source}; run `dvc repro download` with "
            f"data.root: null to bring it, or set data.root in params.yaml to the folder that has it"
        )


def describe(source: str, root: Path) -> list[dict[str, Any]]:
    """What a data root of the user's own holds: {"path", "bytes", "sha256"} of each file of the layout, {"path", "files"} of each
    folder. Annotations that change, or images that are added or go, so give another record."""
    records: list[dict[str, Any]] = []
    for entry in LAYOUTS[source]:
        path = Path(root) / entry
        if entry.endswith("/"):
            records.append({"path": entry, "files": sum(1 for _ in path.glob("*.jpg"))})
        else:
            records.append({"path": entry, "bytes": path.stat().st_size, "sha256": checksums(path)["sha256"]})
    return records


def _is_there(path: Path, folder: bool) -> bool:
    return any(path.glob("*.jpg")) if folder else path.is_file()
