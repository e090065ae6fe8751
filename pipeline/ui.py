"""`make ui`: MLflow's UI on this project's store, and the address of the main comparison.

python -m pipeline.ui [PORT]
"""

import os
import sys

from pipeline.tracking.origin import repo_root
from pipeline.tracking.store import open_store, reason, shown, tracking_uri
from pipeline.tracking.views import RESULTS, address

SETTINGS = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # jobs serve language models; without them the UI starts at once


def main(port: str = "5000") -> None:
    root = repo_root()
    uri = tracking_uri(root)
    try:
        results = open_store(root).experiments[RESULTS]
    except Exception as error:
        raise SystemExit(f"MLflow at {shown(uri)} cannot be used: {reason(error)}") from None
    served = uri.startswith(("http:", "https:"))
    base = shown(uri).rstrip("/") if served else f"http://127.0.0.1:{port}"
    print(f"The main comparison: {base}/{address(results, 'methods')}", flush=True)
    if not served:
        command = ["-m", "mlflow", "ui", "--backend-store-uri", uri, "--port", port, "--workers", "1"]
        os.execve(sys.executable, [sys.executable, *command], os.environ | SETTINGS)


if __name__ == "__main__":
    main(*sys.argv[1:])
