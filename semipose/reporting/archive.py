"""The archive of finished runs: records with cost and machine, and the score of every person, small enough for git."""

from pathlib import Path
from typing import Any

import numpy as np

from semipose.reporting.results import Grid, Key, Run, run_of, write_results
from semipose.utils.errors import InputError
from semipose.utils.files import read_json, replacing, write_json

EQUAL = "equal_commits.txt"  # beside the archives: each line names commits that were shown to give equal weights


def add_run(archive: Path, root: Path, run: Run, date: str) -> Path:
    """Archive a finished run.

    A run that is already there, with the same fingerprint and commit, stays as it is.
    Another one of the same name is added beside it.

    Args:
        archive: Folder of the archive.
        root: Root of the project, with reports/, runs/ and data/split/.
        run: The run.
        date: Today's date, for the record.

    Returns:
        The path of its record.

    Raises:
        InputError: A file is missing, or numbers differ from the archived ones of the same
            fingerprint and commit.
    """
    folder = root / "reports" / "runs" / run.name
    record = read_json(folder.parent / f"{run.name}.json")
    cost = read_json(root / "runs" / run.name / "cost.json", "a run is archived with its cost; train it on this machine first")
    split = read_json(root / "data" / "split" / f"{run.labels}-s{run.seed}.json", "a run is archived with the ids of its split")
    path = archive / "runs" / f"{run.name}-{run.fingerprint[:8]}-{run.commit[:8]}.json"
    if path.exists():
        old = read_json(path)
        if any(old.get(name) != record[name] for name in record):
            raise InputError(f"{path} has other numbers of the same fingerprint and commit; remove it, or name another archive")
        return path
    arrays = _load(folder / "scores.npz", "evaluate this run again")
    if split["counts"]["labelled"] < split["counts"]["pool"]:  # else: all people of the pool
        arrays["labelled"] = np.array(split["labelled"], dtype=np.int64)
    arrays["resamples"] = np.array(run.resamples, dtype=np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path.with_suffix(".npz")) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)
    machine = {name: cost.get(name) for name in ("host", "device", "processor")}
    about = {"archived": date, "machine": machine, "dirty": cost.get("changed"), "cost": cost}
    write_json(path, record | about | {"split": {name: value for name, value in split.items() if name != "labelled"}})
    return path


def write_archive_results(archive: Path) -> None:
    """Write results.csv: every metric of every archived run, with its fingerprint and commit.

    Raises:
        InputError: An archived run cannot be read.
    """
    write_results(archive / "results.csv", [_read(path) for path in sorted((archive / "runs").glob("*.json"))])


def read_archive(archive: Path, data: str, grid: Grid) -> dict[Key, Run]:
    """The archived runs of a grid, for a table: all of one commit, or of commits that one line of
    equal_commits.txt names.

    Args:
        archive: Folder of one archive.
        data: Data set of the runs.
        grid: The runs wanted; those not archived are left out.

    Raises:
        InputError: Runs have different commits, two different
            runs have one name, or a file is damaged.
    """
    equals, wanted = _equal_commits(archive.parent / EQUAL), grid.runs()
    runs: dict[Key, Run] = {}
    commits: dict[str, str] = {}
    for run in map(_read, sorted((archive / "runs").glob("*.json"))):
        key = run.method, run.labels, run.seed
        if (run.data, run.stage) != (data, grid.stage) or key not in wanted:
            continue
        first = runs.setdefault(key, run)
        if first.fingerprint != run.fingerprint:
            raise InputError(f"{archive}: {run.name} is archived with fingerprints {first.fingerprint} and {run.fingerprint}; keep one")
        commits[equals.get(run.commit, run.commit)] = run.commit
    if len(commits) > 1:
        raise InputError(
            f"{archive}: a table cannot join runs of the commits {' and '.join(sorted(commits.values()))}; remove those "
            f"of one, or name them in one line of {archive.parent / EQUAL} if they give equal weights"
        )
    return {key: runs[key] for key in wanted if key in runs}


def _read(path: Path) -> Run:
    try:
        record = read_json(path)
        resamples = _load(path.with_suffix(".npz"), "restore it from git")["resamples"]
        return run_of(record, {record["protocol"]["headline"]: resamples.tolist()})
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise InputError(f"{path} is not readable as an archived run: {error}; restore it from git") from None


def _load(path: Path, remedy: str) -> dict[str, Any]:
    try:
        with np.load(path) as arrays:
            return dict(arrays)
    except Exception as error:  # numpy and zipfile raise a dozen kinds of errors for a damaged file
        raise InputError(f"{path} cannot be read: {error}; {remedy}") from None


def _equal_commits(path: Path) -> dict[str, str]:
    """Commit -> the first commit of its line."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    groups = [line.partition("#")[0].split() for line in lines]
    return {commit: group[0] for group in groups for commit in group}
