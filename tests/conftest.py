"""What several test files need: the real data sets, and a small world of people that are quick to train on.

It imports torch where it is used: the process that hands out the tests to others needs none.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from semipose.augment.task import Task
    from semipose.config.tree import Params
    from semipose.data.loading.batch import Batch
    from semipose.data.loading.pack import CropPack
    from semipose.models.network import PoseNet

ROOT = Path(__file__).parent.parent
LONGEST = ("test_stages.py", "test_pipeline.py", "test_track.py", "test_steps.py", "test_server.py", "test_groups.py", "test_trainer.py")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # of the processes that tests begin: beside a second test process they have one core
if (
    Path("/proc/cpuinfo").exists() and "avx2" in Path("/proc/cpuinfo").read_text().split()
):  # as machine.portable: these tests' own process, too
    os.environ |= {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "COMPATIBLE"}
# Made-up cases (tests/faults/test_fuzz.py): the same few each time, or with --hypothesis-profile=full many others.
settings.register_profile("few", max_examples=10, derandomize=True, deadline=None, database=None)
settings.register_profile("full", max_examples=750, deadline=None, print_blob=True)
settings.load_profile("few")


def pytest_configure(config: pytest.Config) -> None:
    """Without `-m gpu` the tests, and all that they begin, see no GPU: on a CPU equal work gives equal bits."""
    if not re.search(r"(?<!not )\bgpu\b", config.getoption("markexpr")):
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # before torch is imported


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take longest begin first: one process has all of a file, and no other is to wait for it at the end. The very first one
    trains in forks, which a process can have only before its own first backward pass."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with lspet, coco-mini and mpii-mini."""
    folder = os.environ.get("SEMIPOSE_TEST_DATA")
    if not folder:
        pytest.skip("SEMIPOSE_TEST_DATA is not set: it names the folder with lspet, coco-mini and mpii-mini")
    return Path(folder)


@pytest.fixture(scope="session")
def demo() -> "Params":
    """The parameters as committed."""
    from semipose.config.load import load

    return load(ROOT / "pipeline" / "presets" / "demo.yaml")


@pytest.fixture(scope="session")
def tiny(demo: "Params") -> "Params":
    """The demo on a CPU with a network of a few thousand weights, 32 px input, and AKM as in the paper's symbols and the released code."""
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
def pack() -> "CropPack":
    """40 people of noise with keypoints anywhere in their 48 px crops; made here, no file behind it."""
    from made_people import made_up

    return made_up(40)


@pytest.fixture
def task(tiny: "Params", pack: "CropPack") -> "Task":
    import torch

    from semipose.augment.task import Task
    from semipose.pose.skeleton import COCO17

    return Task(COCO17, tiny.model.height, tiny.model.width, torch.device("cpu"), tiny.model.sigma, tiny.augment)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Before each test: a stage that ran in this process may have set another number, and threads that wait for each other beside a second
    test process make a tiny network fifty times slower."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture
def stages(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Makes a run of a small project (small_project.py), with these texts of its params.yaml replaced, or of other parameters: the folder
    in which it did. MLflow, which test_pipeline.py checks, is left out."""
    from small_project import warmed_up

    from pipeline.stages import evaluate, train

    def run(changes: dict[str, str], params: str | None = None, labels: str = "L20", method: str = "akm") -> Path:
        folder = tmp_path_factory.mktemp("project")
        warmed_up(folder, monkeypatch, changes, params, labels)
        train.train("train", method, labels, "0")
        evaluate.evaluate_run("evaluate", method, labels, "0")
        return folder

    return run


@pytest.fixture
def net(tiny: "Params") -> "PoseNet":
    """A network with heatmaps of some height."""
    from naive import nets_of

    return nets_of(tiny)[0]


@pytest.fixture
def batch(pack: "CropPack") -> "Batch":
    """A step of few people, of whom twelve are labelled."""
    import numpy as np
    from naive import PEOPLE

    from semipose.data.loading.batches import Batches

    everybody = np.arange(len(pack))
    return Batches(pack, (32, 32), everybody[:12], everybody, batch_size=PEOPLE, seed=3)(0)
