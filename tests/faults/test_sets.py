"""Whatever set `doctor` passes trains and evaluates to the end, and perfect poses score 1: sets of every kind, sound and broken.

`make test` tries 60, the same ones each time. The whole, 2,000 others each time:

    pytest tests/faults/test_sets.py --hypothesis-profile=full
"""

import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import event, given, settings
from hypothesis import strategies as st
from lightning_fabric import Fabric
from PIL import Image
from ruamel.yaml import YAML
from test_fuzz import changed
from test_kinds import REFUSED, UNDERSTOOD

from semipose.augment.task import Task
from semipose.config.tree import Params
from semipose.data.checks.examine import examine, recognise
from semipose.data.ground_truth import ground_truth
from semipose.data.loading.batches import Batches
from semipose.data.loading.pack import CropPack
from semipose.data.packing.writing import Recipe, write_pack
from semipose.data.sources import check_parts, read_people
from semipose.data.splits import make_splits
from semipose.evaluation.evaluate import evaluate
from semipose.evaluation.metrics.average_precision import evaluate_oks
from semipose.inference.predict import Predictions, to_results
from semipose.methods import build
from semipose.models.network import build as build_network
from semipose.pose.skeleton import COCO17
from semipose.training.trainer import fit
from semipose.utils.errors import InputError

CHANGES = {name: change for name, (change, _) in (UNDERSTOOD | REFUSED).items()}
WHICH = [*UNDERSTOOD, *UNDERSTOOD, *UNDERSTOOD, *REFUSED]
SIZE = (32, 24)


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Image files of 32 x 24 px by what is odd about them, and one of another size."""
    grey = np.random.default_rng(0).integers(0, 256, SIZE[::-1], dtype=np.uint8)
    photo, folder, exif = (
        Image.fromarray(np.dstack([grey, grey.T.reshape(grey.shape), 255 - grey])),
        tmp_path_factory.mktemp("stock"),
        Image.Exif(),
    )
    made: dict[str, bytes] = {}

    def keep(name: str, image: Image.Image, suffix: str = ".png", **how: Any) -> None:
        image.save(folder / f"a{suffix}", **how)
        made[name] = (folder / f"a{suffix}").read_bytes()

    keep("plain", photo)
    keep("16 bits", Image.fromarray(grey.astype(np.uint16) * 257))
    keep("float", Image.fromarray(grey.astype(np.float32) / 255), ".tif")
    keep("negative", Image.fromarray(grey.astype(np.int32) - 9), ".tif")
    keep("palette", photo.convert("P"))
    keep("alpha", Image.fromarray(np.dstack([np.asarray(photo), grey])))
    keep("cmyk", photo.convert("CMYK"), ".jpg")
    keep("one bit", photo.convert("1"))
    keep("small", photo.resize((16, 12)))
    for orientation in (3, 6):
        exif[0x0112] = orientation
        keep(f"turned {orientation}", photo, ".jpg", exif=exif)
    return made | {"cut off": made["plain"][:200], "empty": b""}


def person(rng: np.random.Generator, number: int, image: int) -> dict[str, Any]:
    """Somebody who is labelled well, or in one of the odd ways that single annotations have."""
    odd = rng.random() < 0.1
    size = rng.choice([0.01, 1, 1.5, 2, 8, 300]) if odd else rng.uniform(6, 18)
    left, top = (rng.choice([-0.5, 0, 1.25]), rng.choice([-3, 0, 2.5])) if odd else rng.uniform(1, 12, 2)
    points = np.column_stack([left + size * rng.random(17), top + size * rng.random(17), rng.choice([0, 1, 2], 17, p=[0.3, 0.2, 0.5])])
    return {
        "id": number,
        "image_id": image,
        "category_id": 1,
        "iscrowd": int(rng.random() < 0.1),
        "bbox": [left, top, size, size * (rng.choice([1, 0.02]) if odd else 1)],
        "area": rng.choice([0, 1, 0.3, 1e9, size * size]) if odd else size * size / 2,
        "keypoints": points.ravel().tolist(),
    }


@st.composite
def sets(draw: st.DrawFn, kinds: list[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """The content of train.json and val.json, and the kind of each image file."""
    rng, contents, files = np.random.default_rng(draw(st.integers(0, 2**32))), {}, {}
    rare, spoiled = draw(st.integers(0, 2)) == 2, draw(st.integers(0, 3)) == 3
    for part in ("train", "val"):
        images = [{"id": k, "file_name": f"{part}{k}", "width": SIZE[0], "height": SIZE[1]} for k in range(rng.integers(1, 4))]
        files |= {one["file_name"]: draw(st.sampled_from(kinds)) if rare else "plain" for one in images}
        owners = [one["id"] for one in images for _ in range(rng.integers(1, 4))]
        people = [person(rng, number, owner) for number, owner in enumerate(owners)]
        category = {"id": int(rng.integers(0, 3)), "name": "person", "keypoints": list(COCO17.joints), "skeleton": [[1, 2]]}
        for one in people:
            one["category_id"] = category["id"]
        content = {"images": images, "annotations": people, "categories": [category]}
        for name in draw(st.lists(st.sampled_from(WHICH), max_size=1 + rare)):
            with suppress(KeyError, TypeError, IndexError):  # another change has taken away what this one spoils
                CHANGES[name](content)
        contents[part] = draw(changed(content)) if spoiled else content
    return contents, files


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sets")


KINDS = [
    "plain",
    "plain",
    "plain",
    "16 bits",
    "float",
    "negative",
    "palette",
    "alpha",
    "cmyk",
    "one bit",
    "small",
    "turned 3",
    "turned 6",
    "cut off",
    "empty",
]


@settings(max_examples=max(60, settings().max_examples * 8 // 3))
@given(made=sets(KINDS))
def test_whatever_doctor_passes_trains_and_evaluates(
    place: Path, stock: dict[str, bytes], tiny: Params, made: tuple[dict[str, Any], dict[str, str]]
) -> None:
    contents, files = made
    root = place / "set"
    shutil.rmtree(root, ignore_errors=True)
    (root / "images").mkdir(parents=True)
    for name, kind in files.items():
        (root / "images" / name).write_bytes(stock[kind])
    for part, content in contents.items():
        (root / f"{part}.json").write_text(json.dumps(content))
    try:
        layout = recognise(root)
    except InputError:
        event("no set")
        return
    found = examine(root, layout)
    event("stops" if found.stops else "passes")
    if not found.stops:
        trains_and_evaluates(root, place, layout.custom, YAML(typ="safe").load(found.params)["split"]["budgets"], tiny)


def trains_and_evaluates(root: Path, place: Path, custom: Any, budgets: dict[str, int], tiny: Params) -> None:
    """As the stages do, with two steps and a network of a few thousand weights."""
    train, val = (read_people("custom", root, part, custom=custom) for part in ("train", "val"))
    check_parts("custom", train, val)
    packs = []
    for part, people in (("train", train), ("val", val)):
        write_pack(people, root, place / part, Recipe(24, 1.25, 1.5, 1.0), 0, 1)
        packs.append(CropPack.open(place / part))
    splits = make_splits(train, budgets, "first", 0, "all")
    assert splits
    truth = json.loads(json.dumps(ground_truth("custom", root, val, custom)))
    task = Task(train.skeleton, tiny.model.height, tiny.model.width, torch.device("cpu"), tiny.model.sigma, tiny.augment)
    net = build_network(tiny.model, len(train.skeleton.joints), 0)
    method = build([net], tiny.method["supervised"], task)
    everybody = np.arange(len(packs[0]))
    batches = Batches(packs[0], task.size, everybody, everybody, 4, 0)
    shutil.rmtree(place / "state", ignore_errors=True)
    rows: list[Any] = []
    fit(
        method,
        batches,
        Fabric(accelerator="cpu", devices=1),
        steps=2,
        lr=1e-3,
        state=place / "state",
        checkpoint_seconds=1e9,
        report=rows.append,
    )
    p = tiny.evaluate.model_copy(update={"bootstrap": 5, "metric": "oks"})
    figures = evaluate(net, task, packs[1], truth, p)
    assert figures.metrics["AP"]["value"] is not None
    perfect = to_results(Predictions(val.points, np.ones(val.points.shape[:2], np.float32)), val.image_ids)
    assert evaluate_oks(truth, perfect, val.skeleton.sigmas)["AP"] == pytest.approx(1)
