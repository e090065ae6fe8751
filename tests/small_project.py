"""A project that is quick to run: the preset `smoke` with fewer people, by the functions of the stages. MLflow is left out."""

from contextlib import nullcontext
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from pipeline.stages import check, download, prepare, split, warmup
from pipeline.tracking import track
from semipose.config.text import whole_text

ROOT = Path(__file__).parent.parent
# Few people, who are rendered and cut out by the test's own process: others would take seconds to begin.
SMALL = {
    "  train_images: 60 ": "  train_images: 30 ",
    "  val_images: 20 ": "  val_images: 8 ",
    "  batch_size: 16": "  batch_size: 8",
    "  workers: 2 ": "  workers: 1 ",
}


def made_small(text: str) -> str:
    """The text of the preset `smoke`, or of parameters made from it, with all of SMALL."""
    for old, new in SMALL.items():
        assert old in text
        text = text.replace(old, new)
    return text


def warmed_up(folder: Path, patch: pytest.MonkeyPatch, changes: dict[str, str], params: str | None = None, labels: str = "L20") -> None:
    """Make `folder` a project and the working directory, and run its stages up to the warm-up of one budget, with these texts of its
    params.yaml replaced, or of other parameters."""
    for name in ("dvc.yaml", "pipeline", "semipose"):
        (folder / name).symlink_to(ROOT / name)
    text = made_small(params or whole_text(ROOT / "pipeline/presets/smoke.yaml"))
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new, 1)
    (folder / "params.yaml").write_text(text)
    patch.chdir(folder)
    patch.setattr(track, "run", lambda **told: nullcontext(MagicMock()))
    patch.setattr(check, "subprocess", MagicMock())
    check.check()
    download.bring()
    prepare.prepare()
    split.split()
    warmup.warmup(labels, "0")
