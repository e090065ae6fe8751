"""Archives: unpacked whole and inside their folder, whatever they were made to do."""

import hashlib
import io
import stat
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from semipose.data.download import archives
from semipose.data.download.archives import unpack, unpacked
from semipose.utils.errors import InputError

BODY = np.random.default_rng(0).bytes(100_000)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def zip_of(path: Path, members: dict[str, bytes], links: dict[str, str] | None = None) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
        for name, target in (links or {}).items():
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
            archive.writestr(info, target)
    return path


def tar_of(path: Path, members: dict[str, bytes], special: list[tuple[str, bytes, str]] = ()) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for name, kind, target in special:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            archive.addfile(info)
    return path


GOOD = {"images/a.jpg": b"a", "images/deep/b.jpg": b"b", "joints.mat": b"joints"}


@pytest.mark.parametrize("name", ["set.zip", "set.tar", "set.tar.gz"])
def test_unpack_brings_every_file_and_leaves_no_rest(tmp_path, name):
    archive = (zip_of if name.endswith("zip") else tar_of)(tmp_path / name, GOOD)
    unpack(archive, tmp_path / "root")
    for path, data in GOOD.items():
        assert (tmp_path / "root" / path).read_bytes() == data
    assert names(tmp_path / "root") == [f".{name}.json", "images", "joints.mat"]
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    assert unpacked(name, tmp_path / "root") == {"bytes": archive.stat().st_size, "sha256": digest}


def test_archives_join_in_one_folder(tmp_path):
    unpack(zip_of(tmp_path / "a.zip", {"annotations/a.json": b"1", "train/1.jpg": b"1"}), tmp_path / "root")
    unpack(zip_of(tmp_path / "b.zip", {"annotations/b.json": b"2", "val/2.jpg": b"2"}), tmp_path / "root")
    assert names(tmp_path / "root/annotations") == ["a.json", "b.json"]
    assert unpacked("a.zip", tmp_path / "root")
    assert unpacked("b.zip", tmp_path / "root")


def test_unpack_again_only_where_the_archive_or_the_files_changed(tmp_path):
    archive, root = zip_of(tmp_path / "set.zip", GOOD), tmp_path / "root"
    unpack(archive, root)
    (root / "images/a.jpg").write_bytes(b"mine")
    unpack(archive, root)
    assert (root / "images/a.jpg").read_bytes() == b"mine"  # unpacked before: not touched
    (root / "images/deep/b.jpg").unlink()
    assert unpacked("set.zip", root) is None
    unpack(archive, root)
    assert (root / "images/a.jpg").read_bytes() == b"a"
    assert (root / "images/deep/b.jpg").exists()
    unpack(zip_of(tmp_path / "set.zip", {"images/a.jpg": b"new"}), root)
    assert (root / "images/a.jpg").read_bytes() == b"new"


EVIL = {
    "up.zip": lambda p: zip_of(p, GOOD | {"../evil": b"x"}),
    "inner_up.zip": lambda p: zip_of(p, GOOD | {"images/../../evil": b"x"}),
    "absolute.zip": lambda p: zip_of(p, GOOD | {str(p.parent / "evil"): b"x"}),
    "link.zip": lambda p: zip_of(p, GOOD, {"link": ".."}),
    "up.tar": lambda p: tar_of(p, GOOD | {"../evil": b"x"}),
    "absolute.tar.gz": lambda p: tar_of(p, GOOD | {str(p.parent / "evil"): b"x"}),
    "link.tar": lambda p: tar_of(p, GOOD, [("images/deep/link", tarfile.SYMTYPE, "../a.jpg")]),
    "link_up.tar": lambda p: tar_of(p, GOOD, [("images/link", tarfile.SYMTYPE, "../../evil")]),
    "link_absolute.tar": lambda p: tar_of(p, GOOD, [("link", tarfile.SYMTYPE, "/etc/passwd")]),
    "hardlink_up.tar": lambda p: tar_of(p, GOOD, [("images/link", tarfile.LNKTYPE, "../evil")]),
    "link_chain.tar": lambda p: tar_of(
        p, GOOD, [("images/deep/top", tarfile.SYMTYPE, "../.."), ("out", tarfile.SYMTYPE, "images/deep/top/..")]
    ),
    "below_link.tar": lambda p: tar_of(p, {"link/evil": b"x"}, [("link", tarfile.SYMTYPE, "images")]),
    "device.tar": lambda p: tar_of(p, GOOD, [("device", tarfile.CHRTYPE, "")]),
    "pipe.tar": lambda p: tar_of(p, GOOD, [("pipe", tarfile.FIFOTYPE, "")]),
}


@pytest.mark.parametrize("name", EVIL)
def test_unsafe_archives_are_refused_before_anything_is_written(tmp_path, name):
    archive = EVIL[name](tmp_path / name)
    (tmp_path / "root").mkdir()
    with pytest.raises(InputError, match=rf"{name}: its member .*nothing was unpacked"):
        unpack(archive, tmp_path / "root")
    assert names(tmp_path / "root") == []
    assert names(tmp_path) == sorted([name, "root"])


def test_damaged_archives_are_named_and_leave_nothing(tmp_path):
    whole = zip_of(tmp_path / "set.zip", {f"images/{i}.jpg": BODY[:5000] for i in range(20)}).read_bytes()
    packed = tar_of(tmp_path / "set.tar.gz", {f"images/{i}.jpg": BODY[i:50_000] for i in range(20)}).read_bytes()
    for name, data in (
        ("cut.zip", whole[:50_000]),
        ("bits.zip", whole.replace(BODY[2000:2010], b"0123456789")),
        ("cut.tar.gz", packed[: len(packed) // 2]),
        ("text.zip", b"not found"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match=rf"{name}.*damaged.*download it again"):
            unpack(tmp_path / name, tmp_path / "root")
        assert not (tmp_path / "root").exists() or names(tmp_path / "root") == []


def test_an_archive_larger_than_the_disk_is_refused(tmp_path, monkeypatch):
    usage = archives.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda _: usage._replace(free=5))
    with pytest.raises(InputError, match=r"set\.zip.*8 bytes needed.*make room there"):
        unpack(zip_of(tmp_path / "set.zip", GOOD), tmp_path / "root")
    assert names(tmp_path / "root") == []
