"""What several test files need: the real data sets, and a small world of people that are quick to train on."""

import os
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import MagicMock

import pytest
import torch
from hypothesis import settings
from made_people import made_up

from semipose.augment.task import Task
from semipose.config.load import load
from semipose.config.text import whole_text
from semipose.config.tree import Params
from semipose.data.loading.pack import CropPack
from semipose.pose.skeleton import COCO17

ROOT = Path(__file__).parent.parent
# Made-up cases (tests/faults/test_fuzz.py): the same few each time, or with --hypothesis-profile=full many others.
settings.register_profile("few", max_examples=20, derandomize=True, deadline=None, database=None)
settings.register_profile("full", max_examples=750, deadline=None, print_blob=True)
settings.load_profile("few")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with lspet, coco-mini and mpii-mini."""
    folder = os.environ.get("SEMIPOSE_TEST_DATA")
    if not folder:
        pytest.skip("SEMIPOSE_TEST_DATA is not set: it names the folder with lspet, coco-mini and mpii-mini")
    return Path(folder)


@pytest.fixture(scope="session")
def demo() -> Params:
    """The parameters as committed."""
    return load(ROOT / "pipeline" / "presets" / "demo.yaml")


@pytest.fixture(scope="session")
def tiny(demo: Params) -> Params:
    """The demo on a CPU with a network of a few thousand weights, 32 px input, and AKM as in the paper's symbols and the peers' code."""
    model = demo.model.model_copy(
        update={
            "height": 32,
            "width": 32,
            "head_channels": [8, 8, 8],
            "options": {"layers": [1, 1, 1, 1], "channels": [8, 8, 8, 8], "stem_type": "deep", "stem_width": 4},
        }
    )
    akm = demo.method["akm"]
    paper = {"response": "relative", "tau": 0.5, "fixed_count": 3, "pseudo_label": "raw", "ema": 0.0}
    mixup = akm.mixup.model_copy(update={"alpha": 0.2})
    method = demo.method | {"akm": akm.model_copy(update=paper | {"mixup": mixup})}
    machine = demo.machine.model_copy(update={"accelerator": "cpu"})
    return demo.model_copy(update={"model": model, "method": method, "machine": machine})


@pytest.fixture(scope="session")
def pack() -> CropPack:
    """40 people of noise with keypoints anywhere in their 48 px crops; made here, no file behind it."""
    return made_up(40)


@pytest.fixture
def task(tiny: Params, pack: CropPack) -> Task:
    return Task(COCO17, tiny.model.height, tiny.model.width, torch.device("cpu"), tiny.model.sigma, tiny.augment)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Before each test: a stage that ran in this process may have set another number, and threads that wait for each other beside a second
    test process make a tiny network fifty times slower."""
    torch.set_num_threads(1)


@pytest.fixture
def stages(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Runs AKM's cell of one budget of the preset `smoke`, with these texts of its params.yaml replaced, or of other parameters, through
    the functions of the stages: the folder in which it did. MLflow, which test_pipeline.py looks at, is left out."""
    from pipeline.stages import check, download, evaluate, prepare, split, train, warmup
    from pipeline.tracking import track

    def run(changes: dict[str, str], params: str | None = None, labels: str = "L20") -> Path:
        folder = tmp_path_factory.mktemp("project")
        for name in ("dvc.yaml", "pipeline", "semipose"):
            (folder / name).symlink_to(ROOT / name)
        text = params or whole_text(ROOT / "pipeline/presets/smoke.yaml")
        for old, new in changes.items():
            assert old in text
            text = text.replace(old, new, 1)
        (folder / "params.yaml").write_text(text)
        monkeypatch.chdir(folder)
        monkeypatch.setattr(track, "run", lambda **told: nullcontext(MagicMock()))
        check.check()
        download.bring()
        prepare.prepare()
        split.split()
        warmup.warmup(labels, "0")
        train.train("train", "akm", labels, "0")
        evaluate.evaluate_cell("evaluate", "akm", labels, "0")
        return folder

    return run
