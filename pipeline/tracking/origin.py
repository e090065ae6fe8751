"""Where a run comes from: repository, commit, DVC stage and experiment, host."""

import os
import socket
import subprocess
from pathlib import Path

UNCOUNTED = ("dvc.lock", "reports", "params.yaml", "pipeline/presets")


def repo_root() -> Path:
    """The root of the real repository.

    `DVC_ROOT` if it is set (`dvc exp run --temp` works in a
    copy), else git's top level, else this folder.
    """
    if dvc_root := os.environ.get("DVC_ROOT"):
        return Path(dvc_root).resolve()
    return Path(_git("rev-parse", "--show-toplevel") or Path.cwd())


def commit() -> tuple[str, bool]:
    """The commit of the running code ("" outside git), and
    whether code differs from it.

    DVC rewrites its lock file and the reports while it works; these do not count as differences.
    Nor do params.yaml and the presets, because a run's record has its parameters.
    """
    head = _git("rev-parse", "HEAD") or ""
    changed = _git("status", "--porcelain", "--", ":/", *(f":(top,exclude){path}" for path in UNCOUNTED))
    return head, bool(head and changed)


def tags(stage: str) -> dict[str, str]:
    """The origin of a run of `stage`, as tags for MLflow."""
    found = {"host": socket.gethostname(), "mlflow.source.name": f"pipeline.{stage}", "mlflow.source.type": "LOCAL"}
    head, dirty = commit()
    if head:
        found |= {"git.commit": head, "git.dirty": str(dirty).lower(), "mlflow.source.git.commit": head}
    for tag, variable in {"dvc.stage": "DVC_STAGE", "dvc.exp": "DVC_EXP_NAME"}.items():
        if value := os.environ.get(variable):
            found[tag] = value
    return found


def _git(*words: str) -> str | None:
    """The output of git, or None without git or a repository."""
    try:
        asked = subprocess.run(["git", *words], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return asked.stdout.strip() if asked.returncode == 0 else None
