"""What every stage does around its work: check the parameters, know its fingerprint, hold its lock, keep MLflow informed."""

import hashlib
import os
import re
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock
from ruamel.yaml import YAML

from pipeline import track
from pipeline.origin import repo_root
from semipose.errors import InputError, Stopped
from semipose.params import Params, fingerprint
from semipose.params_file import load

STOPPED = 75  # exit code of a stage that was asked to stop and is to be run again (EX_TEMPFAIL of sysexits.h)


@dataclass(frozen=True)
class Stage:
    """One stage cell: `item` holds what its matrix calls it by (method, labels, seed), `cell` is its name in paths and reports."""

    name: str
    cell: str
    item: dict[str, str]
    params: Params
    fingerprint: str
    listed: dict[str, Any]
    root: Path

    @property
    def state(self) -> Path:
        """Where a killed run of this very fingerprint left its checkpoint; removed on success."""
        return self.root / ".semipose" / "state" / self.fingerprint

    def finish(self) -> None:
        """The outputs are written: the way back to the middle of the work is no longer needed."""
        shutil.rmtree(self.state, ignore_errors=True)


@contextmanager
def opened(name: str, cell: str, item: dict[str, str]) -> Iterator[tuple[Stage, track.Tracker]]:
    """Check the whole of params.yaml, take the fingerprint's lock (a second process with it waits) and follow the work in MLflow."""
    params = load()
    root = repo_root()
    listed, deps = _reads(name, item, params)
    digest = fingerprint(stage=name, item=item, params=listed, deps={path: content_digest(Path(path)) for path in deps})
    stage = Stage(name, cell, item, params, digest, listed, root)
    if not _is_first_process():  # of several that train together: the first one locks, logs and writes
        yield stage, track.Tracker(root, root, 0)
        return
    locks = root / ".semipose" / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    with (
        FileLock(locks / digest),
        track.run(stage=name, cell=cell, fingerprint=digest, params=listed, tags=item) as tracker,
    ):
        begun = time.monotonic()
        yield stage, tracker
    print(_summary(name, cell, item, params, time.monotonic() - begun), flush=True)


def main(work: Callable[..., None], arguments: Iterable[str]) -> None:
    """Run a stage's work from its command line. Bad input costs one message and exit code 1, no traceback; a training that was asked to
    stop ends with exit code 75."""
    try:
        work(*arguments)
    except InputError as error:
        sys.stderr.write(f"semipose: {error}\nNothing was changed; what the stage had written before is back with `dvc checkout`.\n")
        raise SystemExit(1) from None
    except Stopped as stopped:
        sys.stderr.write(f"semipose: {stopped}. `dvc repro` goes on from there.\n")
        raise SystemExit(STOPPED) from None


def content_digest(path: Path) -> str:
    """SHA-256 of a file or of all files under a folder; a crop pack vouches for itself with the digest in its pack.json."""
    if (path / "pack.json").is_file():
        path = path / "pack.json"
    if not path.exists():
        raise InputError(f"{path} is missing: run `dvc repro`, which makes it")
    digest = hashlib.sha256()
    for file in [path] if path.is_file() else sorted(entry for entry in path.rglob("*") if entry.is_file()):
        digest.update(file.relative_to(path.parent).as_posix().encode())
        with file.open("rb") as opened_file:
            digest.update(hashlib.file_digest(opened_file, "sha256").digest())
    return digest.hexdigest()


def _is_first_process() -> bool:
    """As torchrun, SLURM or Fabric, which begin the processes, have told them."""
    for name in ("RANK", "SLURM_PROCID"):
        if name in os.environ:
            return os.environ[name] == "0"
    return os.environ.get("NODE_RANK", "0") == os.environ.get("LOCAL_RANK", "0") == "0"


def _declared(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What dvc.yaml says of all stages, and of this one."""
    try:
        stages = YAML(typ="safe").load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"]
        return stages, stages[name]
    except (OSError, KeyError):
        raise InputError(f"dvc.yaml with a stage {name} is not in {Path.cwd()}: run stages from the root of the repository") from None


def _fill(text: str, item: dict[str, str], params: Params) -> str:
    return re.sub(
        r"\$\{([\w.]+)\}", lambda found: item[found[1][5:]] if found[1].startswith("item.") else str(params.section(found[1])), text
    )


def _reads(name: str, item: dict[str, str], params: Params) -> tuple[dict[str, Any], list[str]]:
    """The params (by dotted key) and files that dvc.yaml says the stage reads: what DVC watches is what the fingerprint covers."""
    _, entry = _declared(name)
    deps = [_fill(path, item, params) for path in entry.get("deps", [])]
    keys = [_fill(key, item, params) for key in entry.get("params", []) if isinstance(key, str)]
    keys += [f"method.{Path(path).stem}" for path in deps if path.startswith("entries/")]
    return {key: params.section(key) for key in keys}, deps


def _summary(name: str, cell: str, item: dict[str, str], params: Params, seconds: float) -> str:
    """What a finished stage read and wrote, how long it took, and which stages read what it wrote."""
    stages, entry = _declared(name)
    read = [path for path in entry.get("deps", []) if not path.startswith(("semipose/", "pipeline/", "params.ok", "entries/"))]
    wrote = _written(entry)
    after = [other for other, its in stages.items() if any(_under(out, path) for path in its.get("deps", []) for out in wrote)]
    parts = {"read": read, "wrote": wrote}
    said = [f"{word} {', '.join(_folders(_fill(path, item, params) for path in paths))}" for word, paths in parts.items() if paths]
    said += [f"next: {', '.join(after)}"] if after else []
    return f"{name}{'' if cell == name else f' {cell}'}: done in {seconds:.0f} s; {'; '.join(said)}"


def _under(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


def _written(entry: dict[str, Any]) -> list[str]:
    """Paths under outs, metrics and plots, where each is a path or a mapping of one."""
    listed = [one for kind in ("outs", "metrics", "plots") for one in entry.get(kind, [])]
    return [one if isinstance(one, str) else next(iter(one)) for one in listed]


def _folders(paths: Iterable[str]) -> list[str]:
    """Several files of one folder as that folder."""
    known = list(paths)
    parents = Counter(str(Path(path).parent) for path in known)
    return list(dict.fromkeys(str(Path(path).parent) if parents[str(Path(path).parent)] > 2 else path for path in known))
