"""Stage `check`: params.yaml is whole and within its limits, and MLflow's database exists before anything runs in parallel."""

import json
import subprocess
import sys
from pathlib import Path

from pipeline import stage
from semipose.files import replacing
from semipose.params_file import load

ENTRIES = Path("entries")


def check() -> None:
    params = load()
    # Says itself what is wrong with the store; a store that is down stops no stage.
    subprocess.run([sys.executable, "-m", "pipeline.track", "ensure"], check=False)
    # Constant content: what depends on it reruns for its own parameters only.
    with replacing(Path("params.ok")) as temporary:
        temporary.write_text("params.yaml was read and found good\n", encoding="utf-8")
    for name, method in params.method.items():
        code = Path("semipose/methods") / f"{method.base}.py"
        entry = {"entry": params.section(f"method.{name}"), "code": stage.content_digest(code)}
        with replacing(ENTRIES / f"{name}.json") as temporary:
            temporary.write_text(json.dumps(entry, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    stage.main(check, [])
