"""The MLflow store: where it is, and how it and its experiments are made.

The store is `MLFLOW_TRACKING_URI` if that is set, else `sqlite:///<repo root>/mlflow.db`.
Pictures and files are under `<repo root>/mlruns/` unless a server keeps them.
"""

import os
import re
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from filelock import FileLock

from pipeline.tracking.views import VIEWS, experiment_tags

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

# MLflow's own defaults retry a dead server for minutes; here, the journal waits instead.
SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "GIT_PYTHON_REFRESH": "quiet",
}


class Store(NamedTuple):
    """An open store; `experiments` maps names to ids."""

    client: "MlflowClient"
    experiments: dict[str, str]


def tracking_uri(root: Path) -> str:
    """`MLFLOW_TRACKING_URI`, else the database in the root of the repository."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root / 'mlflow.db'}"


def shown(text: str) -> str:
    """A text with addresses, without user names and passwords, fit for printing."""
    return re.sub(r"//[^/@\s]*@", "//", text)


def reason(error: Exception) -> str:
    """One short line about an error, without the password that MLflow repeats with the address."""
    if isinstance(error, ModuleNotFoundError):
        return f"{error.name} is not installed"
    said = shown(f"{type(error).__name__}: {error}").splitlines()[0]
    _, _, cause = said.partition("(Caused by ")
    return (cause.removesuffix(")") or said)[:200]


def open_store(root: Path) -> Store:
    """Open the store of the repository at `root`; make
    database and experiments if they are missing.

    Any number of processes may do this at once.
    MLflow's own schema migration is not safe for that, so one process makes a new database under a
    temporary name and renames it when it is complete.
    An experiment that was deleted in the UI is restored.

    Raises:
        Exception: Whatever MLflow raises if the store is down.
        ModuleNotFoundError: MLflow is not installed.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    from mlflow.tracking import MlflowClient

    uri = tracking_uri(root)
    served = uri.startswith(("http:", "https:"))
    lock = root / ".semipose" / "store.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with nullcontext() if served else FileLock(lock, timeout=60):
        database = Path(uri.removeprefix("sqlite:///"))
        if uri.startswith("sqlite:///") and "?" not in uri and not database.exists():
            unfinished = database.with_name(database.name + ".new")
            unfinished.unlink(missing_ok=True)
            MlflowClient(f"sqlite:///{unfinished}").search_experiments(max_results=1)
            unfinished.replace(database)
        client = MlflowClient(uri)
        return Store(client, {name: _experiment(client, name, None if served else root / "mlruns") for name in VIEWS})


def _experiment(client: "MlflowClient", name: str, artifacts: Path | None) -> str:
    """The id of an experiment, which is made if it is missing, with its note and views."""
    found = client.get_experiment_by_name(name)
    if found is None:
        place = (artifacts / name.replace(" ", "-")).as_uri() if artifacts else None
        found = client.get_experiment(client.create_experiment(name, place, {"mlflow.experimentKind": "custom_model_development"}))
    elif found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    for key, value in experiment_tags(name, found.experiment_id).items():
        if key not in found.tags:  # a user's own note stays
            client.set_experiment_tag(found.experiment_id, key, value)
    return str(found.experiment_id)
