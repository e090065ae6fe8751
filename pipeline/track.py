"""The MLflow store: `python -m pipeline.track ensure` creates it, `python -m pipeline.track sync` uploads what it missed."""

import argparse
import sys
from pathlib import Path

from pipeline.tracking import uploader
from pipeline.tracking.origin import repo_root
from pipeline.tracking.store import ensure_store, shown, tracking_uri
from pipeline.tracking.track import journals


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m pipeline.track", description="The MLflow store of this project.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("ensure", help="create the database and the experiments where they are missing")
    upload = commands.add_parser("sync", help="upload what MLflow missed while it was down")
    upload.add_argument("--folder", type=Path, help="where the journals are (default: .semipose/track)")
    args = parser.parse_args()
    root = repo_root()
    store = shown(tracking_uri(root))
    try:
        if args.command == "ensure":
            ensure_store(root)
            print(f"MLflow is ready at {store}")
            return 0
        outcome = list(uploader.sync(root, args.folder or journals(root)))
    except Exception as error:
        print(f"MLflow at {store} cannot be used: {uploader.reason(error)}", file=sys.stderr)
        return 1
    failed = [(journal, fault) for journal, fault in outcome if fault]
    for journal, fault in failed:
        print(f"{journal.path} is still to be uploaded: {uploader.reason(fault)}", file=sys.stderr)
    print(f"{len(outcome) - len(failed)} journals uploaded to {store}, {len(failed)} still to upload")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
