"""The MLflow store: `python -m pipeline.track ensure` creates it, `python -m pipeline.track sync` uploads what it missed."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from pipeline.tracking import uploader
from pipeline.tracking.origin import repo_root
from pipeline.tracking.store import ensure_store, shown, tracking_uri
from pipeline.tracking.track import journals


def main(
    command: Annotated[
        Literal["ensure", "sync"],
        typer.Argument(help="ensure: create the database and the experiments if they are missing; sync: upload what MLflow missed."),
    ],
    folder: Annotated[Path | None, typer.Option(help="sync: where the journals are. Default: .semipose/track.")] = None,
) -> None:
    """The MLflow store of this project."""
    root = repo_root()
    store = shown(tracking_uri(root))
    try:
        if command == "ensure":
            ensure_store(root)
            print(f"MLflow is ready at {store}")
            return
        outcome = list(uploader.sync(root, folder or journals(root)))
    except Exception as error:
        print(f"MLflow at {store} cannot be used: {uploader.reason(error)}", file=sys.stderr)
        raise SystemExit(1) from None
    failed = [(journal, fault) for journal, fault in outcome if fault]
    for journal, fault in failed:
        print(f"{journal.path} is still to be uploaded: {uploader.reason(fault)}", file=sys.stderr)
    print(f"{len(outcome) - len(failed)} journals uploaded to {store}, {len(failed)} still to upload")
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    typer.run(main)
