"""Downloads against an HTTP server on this machine that behaves as badly as it is told to."""

import contextlib
import hashlib
import io
import os
import resource
import signal
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from semipose.data.download import datasets, fetch
from semipose.data.download.datasets import DATASETS, RemoteArchive, check_layout, describe
from semipose.utils.errors import InputError

BODY = np.random.default_rng(0).bytes(1_000_000)
SHA256, MD5 = hashlib.sha256(BODY).hexdigest(), hashlib.md5(BODY).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves `files` by path. ranges: answers Range; cuts: bytes after which each next answer is cut; statuses: what
    the next answers are instead. `asked` gathers (path, Range header, bytes sent)."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.etag, self.ranges = {"/file.bin": BODY}, '"one"', True
        self.cuts, self.statuses, self.asked = [], [], []

    def url(self, path="/file.bin"):
        return f"http://127.0.0.1:{self.server_port}{path}"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        server, asked = self.server, self.headers.get("Range")
        if server.statuses or self.path not in server.files:
            server.asked.append((self.path, asked, 0))
            return self.send_error(server.statuses.pop(0) if server.statuses else 404)
        body = server.files[self.path]
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and server.ranges else 0
        if self.headers.get("If-Range") != server.etag:
            start = 0
        if start and start >= len(body):
            server.asked.append((self.path, asked, 0))
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(body)}")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        if server.etag:
            self.send_header("ETag", server.etag)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        sent = body[start:]
        if server.cuts:
            sent = sent[: server.cuts.pop(0)]
        server.asked.append((self.path, asked, len(sent)))
        with contextlib.suppress(ConnectionError):  # the other side may know enough and hang up
            self.wfile.write(sent)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(fetch, "WAITS", (0.0, 0.0, 0.0))
    monkeypatch.setattr(fetch, "CHUNK", 1000)
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- fetch --------------------------------------------------------------------------------------------------------


def test_fetch_brings_the_bytes_and_a_record(server, tmp_path):
    target = tmp_path / "new" / "file.bin"
    record = fetch.fetch(server.url(), target, SHA256, MD5)
    assert record == {"url": server.url(), "bytes": len(BODY), "sha256": SHA256}
    assert target.read_bytes() == BODY
    assert names(target.parent) == ["file.bin"]
    assert fetch.fetch(server.url(), target, SHA256) == record
    assert len(server.asked) == 1  # what is here and right is not asked for again


def test_a_cut_connection_goes_on_where_it_was_cut(server, tmp_path):
    server.cuts = [400_000, 300_000]
    fetch.fetch(server.url(), tmp_path / "file.bin", SHA256)
    assert (tmp_path / "file.bin").read_bytes() == BODY
    starts = [int((asked or "bytes=0-")[6:-1]) for _, asked, _ in server.asked]
    assert len(starts) == 3
    assert 398_000 < starts[1] <= 400_000
    assert 696_000 < starts[2] <= 700_000


def test_the_next_run_goes_on_where_the_last_gave_up(server, tmp_path):
    server.cuts = [200_000, 0, 0, 0]
    with pytest.raises(InputError, match=r"file\.bin: failed after 4 attempts.*to continue"):
        fetch.fetch(server.url(), tmp_path / "file.bin", SHA256)
    assert names(tmp_path) == ["file.bin.part", "file.bin.part.version"]
    server.asked.clear()
    fetch.fetch(server.url(), tmp_path / "file.bin", SHA256)
    assert (tmp_path / "file.bin").read_bytes() == BODY
    assert len(server.asked) == 1
    assert server.asked[0][2] < 810_000


def test_a_server_without_ranges_begins_anew(server, tmp_path):
    server.ranges, server.cuts = False, [400_000]
    fetch.fetch(server.url(), tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == BODY
    assert server.asked[1][1] is not None
    assert server.asked[1][2] == len(BODY)


def test_a_server_that_names_no_version_is_not_asked_for_a_rest(server, tmp_path):
    server.etag, server.cuts = None, [400_000]
    fetch.fetch(server.url(), tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == BODY
    assert [asked for _, asked, _ in server.asked] == [None, None]


def test_a_changed_remote_file_is_not_joined_to_the_old_part(server, tmp_path):
    server.cuts = [400_000, 0, 0, 0]
    with pytest.raises(InputError):
        fetch.fetch(server.url(), tmp_path / "file.bin")
    server.files["/file.bin"], server.etag = BODY[::-1], '"two"'
    fetch.fetch(server.url(), tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == BODY[::-1]


def test_a_part_of_another_address_is_not_used(server, tmp_path):
    server.files["/other.bin"] = BODY[::-1]
    server.cuts = [400_000, 0, 0, 0]
    with pytest.raises(InputError):
        fetch.fetch(server.url(), tmp_path / "file.bin")
    fetch.fetch(server.url("/other.bin"), tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == BODY[::-1]


def test_a_whole_part_is_only_renamed(server, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(BODY)
    (tmp_path / "file.bin.part.version").write_text(f"{server.url()}\n{server.etag}")
    fetch.fetch(server.url(), tmp_path / "file.bin", SHA256)
    assert names(tmp_path) == ["file.bin"]
    assert sum(sent for *_, sent in server.asked) == 0


def test_a_part_longer_than_the_file_begins_anew(server, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(BODY + b"more")
    (tmp_path / "file.bin.part.version").write_text(f"{server.url()}\n{server.etag}")
    fetch.fetch(server.url(), tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == BODY


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_wrong_bytes_are_named_and_removed(server, tmp_path, kind):
    server.files["/file.bin"] = BODY[:-1] + b"?"
    wanted = {"sha256": SHA256, "md5": MD5}[kind]
    got = hashlib.new(kind, server.files["/file.bin"]).hexdigest()
    with pytest.raises(InputError, match=rf"{server.url()}: expected {kind} {wanted}, got {got}; .*Run the same"):
        fetch.fetch(server.url(), tmp_path / "file.bin", **{kind: wanted})
    assert names(tmp_path) == []


def test_a_wrong_file_at_the_target_is_replaced(server, tmp_path):
    (tmp_path / "file.bin").write_bytes(b"something else")
    fetch.fetch(server.url(), tmp_path / "file.bin", SHA256)
    assert (tmp_path / "file.bin").read_bytes() == BODY


def test_a_busy_server_is_asked_again_and_a_missing_file_is_not(server, tmp_path):
    server.statuses = [503, 429]
    fetch.fetch(server.url(), tmp_path / "file.bin", SHA256)
    assert len(server.asked) == 3
    with pytest.raises(InputError, match=r"/none: the server answered 404.*new address"):
        fetch.fetch(server.url("/none"), tmp_path / "none")
    assert len(server.asked) == 4


def test_no_server_is_named(server, tmp_path):
    with pytest.raises(InputError, match=r"http://127\.0\.0\.1:9/x: failed after 4 attempts"):
        fetch.fetch("http://127.0.0.1:9/x", tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_a_full_disk_is_named_and_what_is_here_is_kept(server, tmp_path, monkeypatch):
    usage = fetch.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(OSError, match=r"No space left on device: .*file\.bin\.part"):
        fetch.fetch(server.url(), tmp_path / "file.bin")
    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda _: usage)

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"File too large: .*file\.bin\.part"):
            fetch.fetch(server.url(), tmp_path / "file.bin")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    fetch.fetch(server.url(), tmp_path / "file.bin", SHA256)
    assert server.asked[-1][1] == "bytes=5000-"


# --- data sets ----------------------------------------------------------------------------------------------------


@pytest.fixture
def lsp(server, monkeypatch):
    """The address of an archive in LSP's layout, as the data set's only one."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        archive.writestr("images/im00001.jpg", b"1")
        archive.writestr("joints.mat", b"2")
    server.files["/sets/lspet.zip"] = body.getvalue()
    url = server.url("/sets/lspet.zip")
    monkeypatch.setitem(DATASETS, "lsp", (RemoteArchive(url),))
    return url


def test_download_brings_unpacks_and_records(server, lsp, tmp_path):
    root, body = tmp_path / "root", server.files["/sets/lspet.zip"]
    record = {"url": lsp, "bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}
    assert datasets.download("lsp", root) == [record]
    assert (root / "joints.mat").read_bytes() == b"2"
    assert names(root / "archives") == []
    assert datasets.download("lsp", root, {lsp: record}) == [record]
    assert len(server.asked) == 1
    (root / "images/im00001.jpg").unlink()
    assert datasets.download("lsp", root, {lsp: record}) == [record]
    assert len(server.asked) == 2
    assert (root / "images/im00001.jpg").exists()


def test_download_verifies_against_the_earlier_record(server, lsp, tmp_path):
    body = server.files["/sets/lspet.zip"]
    known = {lsp: {"url": lsp, "bytes": len(body), "sha256": hashlib.sha256(b"earlier").hexdigest()}}
    with pytest.raises(InputError, match=rf"{lsp}: expected sha256 .*got"):
        datasets.download("lsp", tmp_path / "root", known)
    assert not (tmp_path / "root/joints.mat").exists()
    datasets.download("lsp", tmp_path / "root")
    with pytest.raises(InputError, match=rf"{lsp}: expected sha256 .*got"):
        datasets.download("lsp", tmp_path / "root", known)


def test_download_verifies_the_published_checksum(server, lsp, tmp_path, monkeypatch):
    monkeypatch.setitem(DATASETS, "lsp", (RemoteArchive(lsp, md5="0" * 32),))
    with pytest.raises(InputError, match="expected md5 0000"):
        datasets.download("lsp", tmp_path / "root")


def test_addresses_and_checksums():
    for remotes in DATASETS.values():
        assert len({remote.name for remote in remotes}) == len(remotes)
        for remote in remotes:
            assert remote.name.endswith((".zip", ".tar.gz"))
            assert remote.md5 is None or len(bytes.fromhex(remote.md5)) == 16
    assert {remote.name for remote in DATASETS["coco"]} == {
        "train2017.zip",
        "val2017.zip",
        "annotations_trainval2017.zip",
    }


@pytest.mark.parametrize("source", ["demo", "coco"])
def test_check_layout_names_all_that_is_missing(tmp_path, source):
    root = tmp_path / "root"
    with pytest.raises(InputError, match=r"root is not there; it lacks annotations/person_keypoints_train2017\.json"):
        check_layout(source, root)
    for folder in ("annotations", "train2017", "val2017"):
        (root / folder).mkdir(parents=True)
    (root / "annotations/person_keypoints_val2017.json").touch()
    (root / "train2017/1.jpg").touch()
    with pytest.raises(InputError) as caught:
        check_layout(source, root)
    message = str(caught.value)
    assert "lacks annotations/person_keypoints_train2017.json, val2017/ of" in message
    assert "download the data set again" in message
    assert "data.root in params.yaml" in message
    (root / "annotations/person_keypoints_train2017.json").touch()
    (root / "val2017/2.jpg").touch()
    check_layout(source, root)
    before = describe(source, root)
    assert describe(source, root) == before

    def changed() -> list[dict]:
        return [new for old, new in zip(before, describe(source, root), strict=True) if old != new]

    (root / "val2017/3.jpg").touch()
    (added,) = changed()
    assert added.items() >= {"path": "val2017/", "files": 2}.items()
    (root / "val2017/3.jpg").unlink()
    assert not changed()
    stamp = (root / "train2017/1.jpg").stat()
    (root / "train2017/1.jpg").write_bytes(b"other")
    os.utime(root / "train2017/1.jpg", ns=(stamp.st_atime_ns, stamp.st_mtime_ns + 1))
    assert [record["path"] for record in changed()] == ["train2017/"], "another image of the same name"
    (root / "annotations/person_keypoints_val2017.json").write_bytes(b"{}")
    assert next(record for record in changed() if "sha256" in record) == {
        "path": "annotations/person_keypoints_val2017.json",
        "bytes": 2,
        "sha256": hashlib.sha256(b"{}").hexdigest(),
    }
