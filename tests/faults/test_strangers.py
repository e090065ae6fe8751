"""Files of strangers run no code: a pickle that would, in each place where a file of weights, crops or parameters is read."""

import hashlib
import io
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from made_people import made_up
from PIL import Image

from semipose.config.load import load
from semipose.config.tree import Params
from semipose.data.loading.pack import CropPack
from semipose.data.packing.writing import Recipe, write_pack
from semipose.data.people import People
from semipose.inference.detector import Detector
from semipose.models.network import build
from semipose.models.weight_file import load_network
from semipose.training import checkpoint
from semipose.utils.errors import InputError


class Harmful:
    """Whoever unpickles it makes a folder."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.mark),)


def saved(content: object) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def array(harmful: Harmful) -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([harmful], dtype=object), allow_pickle=True)
    return file.getvalue()


@pytest.fixture
def harmful(tmp_path: Path) -> Harmful:
    made = Harmful(tmp_path / "was_run")
    pickle.loads(pickle.dumps(made))
    assert made.mark.exists(), "it does harm"
    made.mark.rmdir()
    return made


@pytest.mark.parametrize("kind", ["pickle", "torch"])
def test_weights(harmful: Harmful, tmp_path: Path, tiny: Params, kind: str) -> None:
    content = pickle.dumps({"conv1.weight": harmful}) if kind == "pickle" else saved({"conv1.weight": harmful})
    path = tmp_path / "weights.safetensors"
    for name in ("weights.safetensors", "weights.pth"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match="does not fit"):
            build(tiny.model.model_copy(update={"pretrained": str(tmp_path / name)}), 17, 0)
    with pytest.raises(InputError, match="is not a semipose weight file"):
        load_network(path)
    with pytest.raises(InputError, match="is not this detector's file"):
        Detector("small", tmp_path / "weights.pth", 0.5, torch.device("cpu"))
    assert not harmful.mark.exists()


def test_checkpoints(harmful: Harmful, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Even with the right digest."""
    content = saved({"step": harmful})
    (tmp_path / "checkpoint.pt").write_bytes(hashlib.sha256(content).digest() + content)
    assert checkpoint.load(tmp_path) is None
    assert "checkpoint.pt is damaged: the training starts over" in capsys.readouterr().err
    assert not harmful.mark.exists()


@pytest.mark.parametrize("name", ["crops.npy", "matrices.npy", "people.npz"])
def test_packs(harmful: Harmful, tmp_path: Path, name: str) -> None:
    people = made_up(2).people
    for image in people.images:
        Image.new("RGB", (200, 200)).save(tmp_path / image)
    write_pack(people, tmp_path, tmp_path / "pack", Recipe(8, 1.25, 1.2), 0, 1)
    if name.endswith(".npz"):
        np.savez(tmp_path / "pack" / name, skeleton=np.array([harmful], dtype=object))
        with pytest.raises(InputError, match="not a table of person annotations"):
            People.load(tmp_path / "pack" / name)
    else:
        (tmp_path / "pack" / name).write_bytes(array(harmful))
    with pytest.raises(InputError, match="not a "):
        CropPack.open(tmp_path / "pack")
    assert not harmful.mark.exists()


def test_parameters(harmful: Harmful, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(f"data: !!python/object/apply:os.mkdir ['{harmful.mark}']\n")
    with pytest.raises(InputError):
        load(tmp_path / "params.yaml")
    assert not harmful.mark.exists()
