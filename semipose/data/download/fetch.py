"""One file over HTTP: resumed where it stopped, checked, and only then renamed to its name."""

import errno
import hashlib
import os
import shutil
import time
from pathlib import Path
from typing import Any

import requests

from semipose.utils.errors import InputError
from semipose.utils.files import naming
from semipose.utils.progress import Progress

WAITS = (1.0, 2.0, 5.0, 10.0)
"""Seconds before each new attempt; after the last one, the download fails."""
PROGRESS = 2**24
"""Bytes after which an attempt resets the count of failures: a long download may break many times."""
TIMEOUT = (15, 60)
"""Seconds to connect, and between two pieces of data."""
CHUNK = 2**17


def fetch(url: str, target: Path, sha256: str | None = None, md5: str | None = None) -> dict[str, Any]:
    """Download a file.

    Bytes collect in `<target>.part`, with the address and the server's ETag or Last-Modified in
    `<target>.part.version`.
    The next run continues from there, or starts over if the remote file has changed.
    A file that is already at `target` and has the given checksum is not downloaded.

    Args:
        url: The address.
        target: Where the file goes; its folder is made.
        sha256: Expected digest in hex; None: not compared.
        md5: As `sha256`.

    Returns:
        {"url", "bytes", "sha256"} of the file.

    Raises:
        InputError: The address does not answer, the file has another sha256 or md5 (it is removed
            then), or the connection breaks again and again.
        OSError: The disk is full; the error names the file.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        found = checksums(target)
        if _difference(found, sha256, md5) is None:
            return {"url": url, "bytes": found["bytes"], "sha256": found["sha256"]}
        target.unlink()
    part = target.with_name(target.name + ".part")
    _receive(url, part)
    found = checksums(part)
    _state(part).unlink(missing_ok=True)
    if difference := _difference(found, sha256, md5):
        part.unlink()
        raise InputError(
            f"{url}: {difference}; the file was removed. Run the same command again; if that repeats, the file at this "
            "address is not the expected one"
        )
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(target)
    return {"url": url, "bytes": found["bytes"], "sha256": found["sha256"]}


def checksums(path: Path) -> dict[str, Any]:
    """{"bytes", "sha256", "md5"} of a file, read once."""
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(2**20):
            sha256.update(block)
            md5.update(block)
    return {"bytes": path.stat().st_size, "sha256": sha256.hexdigest(), "md5": md5.hexdigest()}


def _difference(found: dict[str, Any], sha256: str | None, md5: str | None) -> str | None:
    for name, expected in (("sha256", sha256), ("md5", md5)):
        if expected is not None and found[name] != expected:
            return f"expected {name} {expected}, got {found[name]}"
    return None


def _receive(url: str, part: Path) -> None:
    """Send requests until all bytes are in the .part file."""
    failures = 0
    while True:
        before = _received(part)
        try:
            return _ask(url, part)
        except requests.RequestException as error:
            failures = 1 if _received(part) - before >= PROGRESS else failures + 1
            if failures > len(WAITS):
                raise InputError(
                    f"{url}: failed after {failures} attempts ({error}); {_received(part)} bytes are kept in {part}; "
                    "run the same command again to continue"
                ) from error
            time.sleep(WAITS[failures - 1])


def _ask(url: str, part: Path) -> None:
    """One request: continue the .part file, or start it.

    Returns when the file is complete.

    Raises:
        RequestException: Another attempt may help.
    """
    version = _version(part, url)
    offset = _received(part) if version else 0
    headers = {"Accept-Encoding": "identity"}
    if version and offset:
        headers |= {"Range": f"bytes={offset}-", "If-Range": version}
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        status, content_range = response.status_code, response.headers.get("Content-Range", "")
        if status == 416 and content_range == f"bytes */{offset}":
            return  # everything was here already
        goes_on = content_range.startswith(f"bytes {offset}-") and _remote_version(response) in ("", version)
        if status == 416 or (status == 206 and not goes_on):
            part.unlink(missing_ok=True)
            raise requests.ConnectionError(f"the server did not continue from byte {offset}; starting over")
        if status >= 500 or status in (408, 429):
            response.raise_for_status()
        if status not in (200, 206):
            raise InputError(
                f"{url}: the server answered {status} {response.reason}; check whether the file has moved, and set the new address"
            )
        if status == 200:
            offset = 0  # starting over: the server knows no ranges, or the file has changed
        length = response.headers.get("Content-Length")
        total = offset + int(length) if length else None
        if total is not None and total - offset > shutil.disk_usage(part.parent).free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(part))
        if offset == 0:
            part.write_bytes(b"")  # before the new version: a kill in between must not join two files
            _state(part).write_text(f"{url}\n{_remote_version(response)}")
        _write(response, part, total)
    if total is not None and _received(part) < total:
        raise requests.ConnectionError(f"connection broke after {_received(part)} of {total} bytes")


def _received(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _state(part: Path) -> Path:
    return part.with_name(part.name + ".version")


def _version(part: Path, url: str) -> str:
    """What shows that the remote file is still the one of the .part file; "" if nothing does."""
    known = _state(part).read_text() if _state(part).exists() else ""
    return known.removeprefix(f"{url}\n") if known.startswith(f"{url}\n") else ""


def _remote_version(response: requests.Response) -> str:
    etag = response.headers.get("ETag", "")
    weak = not etag or etag.startswith("W/")  # only a strong ETag promises equal bytes
    return response.headers.get("Last-Modified", "") if weak else etag


def _write(response: requests.Response, part: Path, total: int | None) -> None:
    with Progress(total, "bytes", part.stem, done=_received(part)) as progress, naming(part), part.open("ab") as file:
        for block in response.iter_content(CHUNK):
            file.write(block)
            progress.advance(len(block))
