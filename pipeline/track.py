"""The MLflow store: `python -m pipeline.track ensure` creates it, `python -m pipeline.track sync` uploads what it missed."""

import argparse
import sys

from pipeline.tracking.origin import repo_root
from pipeline.tracking.store import open_store, reason, shown, tracking_uri
from pipeline.tracking.uploader import sync


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m pipeline.track", description="The MLflow store of this project.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("ensure", help="create the database and the experiments if they are missing")
    commands.add_parser("sync", help="upload what MLflow missed while it was down")
    args = parser.parse_args()
    root = repo_root()
    place = shown(tracking_uri(root))
    try:
        store = open_store(root)
        if args.command == "ensure":
            print(f"MLflow is ready at {place}")
            return 0
        outcome = list(sync(root, store))
    except Exception as error:
        print(f"MLflow at {place} cannot be used: {reason(error)}", file=sys.stderr)
        return 1
    failed = [(journal, fault) for journal, fault in outcome if fault]
    for journal, fault in failed:
        print(f"{journal.folder} is not uploaded yet: {reason(fault)}", file=sys.stderr)
    print(f"{len(outcome) - len(failed)} journals uploaded to {place}, {len(failed)} still to upload")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
