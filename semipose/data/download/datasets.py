"""Download the real data sets: where they are, and whether a folder has their layout."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from semipose.data.download.archives import unpack, unpacked
from semipose.data.download.fetch import checksums, fetch
from semipose.utils.errors import DOWNLOAD_AGAIN, InputError

if TYPE_CHECKING:
    from semipose.config.data import Custom


class RemoteArchive(NamedTuple):
    """One archive of a data set; md5: if it is published."""

    url: str
    md5: str | None = None

    @property
    def name(self) -> str:
        return PurePosixPath(urlsplit(self.url).path).name


COCO_HOST = "http://images.cocodataset.org"
MPII_HOST = "https://datasets.d2.mpi-inf.mpg.de/andriluka14cvpr"
DATASETS: dict[str, tuple[RemoteArchive, ...]] = {
    "coco": (
        RemoteArchive(f"{COCO_HOST}/annotations/annotations_trainval2017.zip", "f4bbac642086de4f52a3fdda2de5fa2c"),
        RemoteArchive(f"{COCO_HOST}/zips/val2017.zip", "442b8da7639aecaf257c1dceb8ba8c80"),
        RemoteArchive(f"{COCO_HOST}/zips/train2017.zip", "cced6f7f71b7629ddf16f17bbcfab6b2"),
    ),
    "unlabeled2017": (
        RemoteArchive(f"{COCO_HOST}/annotations/image_info_unlabeled2017.zip"),
        RemoteArchive(f"{COCO_HOST}/zips/unlabeled2017.zip"),
    ),
    # For the others no checksum is published.
    "lsp": (RemoteArchive("http://sam.johnson.io/research/lspet_dataset.zip"),),
    "mpii": (RemoteArchive(f"{MPII_HOST}/mpii_human_pose_v1_u12_2.zip"), RemoteArchive(f"{MPII_HOST}/mpii_human_pose_v1.tar.gz")),
}
BY_HAND = {
    "flic": "FLIC (Frames Labeled In Cinema) has no stable address: get FLIC.zip from its authors' page; its folder has "
    "examples.mat and images/",
    "aic": "AI Challenger, Human Skeletal System Keypoints Detection (2017), is behind share links: get its archives "
    "ai_challenger_keypoint_train_*.zip and ai_challenger_keypoint_validation_*.zip",
}
"""Sets that no program can download, and what the user has to get."""

COCO_LAYOUT = (
    "annotations/person_keypoints_train2017.json",
    "annotations/person_keypoints_val2017.json",
    "train2017/",
    "val2017/",
)
LAYOUTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "demo": (COCO_LAYOUT,),
    "coco": (COCO_LAYOUT,),
    "unlabeled2017": (("annotations/image_info_unlabeled2017.json", "unlabeled2017/"),),
    "lsp": (("joints.mat", "images/"),),
    "flic": (("examples.mat", "images/"),),
    "mpii": (  # as `sources.mpii` looks for them; the heads' boxes are optional there, so they are listed if they exist
        ("annot/train.json", "annot/valid.json", "annot/gt_valid.mat", "images/"),
        ("annot/train.json", "annot/validation.json", "annot/gt_validation.mat", "images/"),
        ("annotations/mpii_train.json", "annotations/mpii_val.json", "annotations/mpii_gt_val.mat", "images/"),
        ("annot/train.json", "annot/valid.json", "images/"),
        ("annot/train.json", "annot/validation.json", "images/"),
        ("annotations/mpii_train.json", "annotations/mpii_val.json", "images/"),
        ("mpii_human_pose_v1_u12_2/mpii_human_pose_v1_u12_1.mat", "images/"),
        ("mpii_human_pose_v1_u12_1.mat", "images/"),
    ),
    "aic": (
        (
            "ai_challenger_keypoint_train_*/keypoint_train_annotations_*.json",
            "ai_challenger_keypoint_train_*/keypoint_train_images_*/",
            "ai_challenger_keypoint_validation_*/keypoint_validation_annotations_*.json",
            "ai_challenger_keypoint_validation_*/keypoint_validation_images_*/",
        ),
    ),
}
"""What a data root contains, relative to it: all entries of one layout, the first that is complete.

A slash at the end marks a folder with images, a star stands for anything, such as a date.
"""


def download(source: str, root: Path, known: dict[str, dict[str, Any]] | None = None) -> list[dict[str, Any]]:
    """Download and unpack a data set into `root`, and check its layout.

    Archives collect in `root`/archives and are removed when they are unpacked.
    What was unpacked before is not downloaded again.
    For a source in BY_HAND there are no records; the user's files in `root` are checked.

    Args:
        source: A data set, as `data.source` or `data.unlabelled.source` names it.
        root: Folder of the data set.
        known: Records of an earlier download by their url;
            every archive must be the same file again.

    Returns:
        One record {"url", "bytes", "sha256"} per archive.

    Raises:
        InputError: As `fetch`, `unpack` and `check_layout`.
    """
    records = []
    for remote in DATASETS.get(source, ()):
        sha256 = (known or {}).get(remote.url, {}).get("sha256")
        record = unpacked(remote.name, root)
        if record is None or sha256 not in (None, record["sha256"]):
            archive = root / "archives" / remote.name
            record = fetch(remote.url, archive, sha256, remote.md5)
            unpack(archive, root, record["sha256"])
            archive.unlink()
        records.append({"url": remote.url, "bytes": record["bytes"], "sha256": record["sha256"]})
    check_layout(source, root)
    return records


def layouts(source: str, custom: "Custom | None" = None) -> tuple[tuple[str, ...], ...]:
    """What a data root of this source may contain."""
    if custom is not None:
        return ((custom.train.annotations, custom.val.annotations, f"{custom.train.images}/", f"{custom.val.images}/"),)
    return LAYOUTS[source]


def check_layout(source: str, root: Path, custom: "Custom | None" = None) -> None:
    """Check that a data root is complete.

    Args:
        source: A key of LAYOUTS, or "custom".
        root: The data root.
        custom: For the user's own set: its files and folders, instead of those in LAYOUTS.

    Raises:
        InputError: Names everything that is missing, and how to get it.
    """
    for entry in layouts(source, custom)[0] if custom is not None else ():
        if Path(entry).is_absolute():
            raise InputError(
                f"data.custom: {entry} must be relative to data.root, {root}; put it below, or set data.root to a folder above it"
            )
    lacking = [[entry for entry in layout if not is_there(root, entry)] for layout in layouts(source, custom)]
    if all(lacking):
        found = "lacks" if root.is_dir() else "is not there; it lacks"
        nearest = min(lacking, key=len)
        remedy = f"set data.root in params.yaml to the folder that has it, or to null and {DOWNLOAD_AGAIN}"
        if custom is not None and not root.is_dir():
            remedy = "set data.root in params.yaml to the folder of your set"
        elif custom is not None:
            remedy = "correct data.custom in params.yaml: its paths are relative to data.root"
        if source in BY_HAND:
            remedy = f"{BY_HAND[source]}, and unpack them there, or set data.root in params.yaml to the folder where they are unpacked"
        raise InputError(f"data.root: {root} {found} {', '.join(nearest)} of source {source}; {remedy}")


def describe(source: str, root: Path, custom: "Custom | None" = None) -> list[dict[str, Any]]:
    """Describe the user's own data root.

    Changed annotations and new, missing or changed images give another record.

    Args:
        source: As for `check_layout`.
        root: The data root.
        custom: As for `check_layout`.

    Returns:
        {"path", "bytes", "sha256"} for each file of the layout; {"path", "files", "stock"} for each
        folder: number of files, and a digest of names, sizes and modification times.

    Raises:
        InputError: As `check_layout`.
    """
    check_layout(source, root, custom)
    layout = next(layout for layout in layouts(source, custom) if all(is_there(root, entry) for entry in layout))
    records: list[dict[str, Any]] = []
    for entry in layout:
        if entry.endswith("/"):
            records.append({"path": entry} | _stock(root, _paths(root, entry)))
        else:
            records += [_described(path, path.relative_to(root).as_posix()) for path in sorted(_paths(root, entry))]
    return records


def describe_media(root: Path, folders: Sequence[str]) -> list[dict[str, Any]]:
    """Describe folders below `root` with the folders in them, as `describe` does folders of images.

    Returns:
        {"path", "files", "stock"} of each.

    Raises:
        InputError: One is missing.
    """
    if missing := [folder for folder in folders if not (root / folder).is_dir()]:
        raise InputError(
            f"data.unlabelled.media.folders: {root / missing[0]} is no folder; give folders of images and videos below data.unlabelled.root"
        )
    return [{"path": f"{folder}/"} | _stock(root, (root / folder).rglob("*")) for folder in folders]


def describe_file(path: Path, needed_by: str, what: str = "a JSON in the format of COCO's detection results") -> dict[str, Any]:
    """Describe one of the user's files.

    Args:
        path: The file.
        needed_by: The parameter that names it, for the message.
        what: What the file must be, for the message.

    Returns:
        {"path", "bytes", "sha256"}.

    Raises:
        InputError: It is missing; the message names the parameter.
    """
    if not path.is_file():
        raise InputError(f"{needed_by}: {path} is missing; put {what} there")
    return _described(path, str(path))


def _described(path: Path, name: str) -> dict[str, Any]:
    found = checksums(path)
    return {"path": name, "bytes": found["bytes"], "sha256": found["sha256"]}


def _stock(root: Path, paths: Iterable[Path]) -> dict[str, Any]:
    """Number of files among the paths, and a digest that shows changes without reading the files."""
    files = [path for path in sorted(paths) if path.is_file()]
    lines = (f"{path.relative_to(root).as_posix()} {path.stat().st_size} {path.stat().st_mtime_ns}\n" for path in files)
    return {"files": len(files), "stock": hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()[:32]}


def is_there(root: Path, entry: str) -> bool:
    """Whether a data root contains an entry of a layout."""
    return any(path.is_file() for path in _paths(root, entry))


def _paths(root: Path, entry: str) -> Iterable[Path]:
    """What is in the folder of an entry, or its file; a name of neither is a pattern."""
    if entry.endswith("/"):
        return (root / entry).rglob("*") if (root / entry).is_dir() else root.glob(f"{entry}**/*")
    return [root / entry] if (root / entry).is_file() else root.glob(entry)
