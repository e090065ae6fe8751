"""Damaged and made-up input of every kind: whatever it is, it is read, or refused with an InputError.

`make test` tries a few hundred cases, the same ones each time. The whole, with other cases each time:

    pytest tests/faults/test_fuzz.py --hypothesis-profile=full
"""

import copy
import io
import json
import os
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import test_aic
import test_mpii
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from ruamel.yaml import YAML
from scipy.io import savemat

from semipose.config.load import load
from semipose.config.tree import Params
from semipose.data.download.archives import unpack
from semipose.data.ground_truth import ground_truth
from semipose.data.loading.pack import PACK, CropPack
from semipose.data.packing.writing import Recipe, cut_pack, write_pack
from semipose.data.pixels import BrokenImage, read_image
from semipose.data.sources import read_people
from semipose.data.sources.detections import read_detections, read_images
from semipose.data.splits import make_splits, read_split
from semipose.evaluation.metrics.average_precision import evaluate_oks
from semipose.evaluation.metrics.pck import evaluate_pck
from semipose.evaluation.metrics.pckh import evaluate_pckh
from semipose.inference.boxes import of_images, of_set
from semipose.inference.photos import Photo, find_photos
from semipose.models.network import build
from semipose.models.weight_file import load_network, network_metadata, save_network
from semipose.pose.skeleton import COCO17
from semipose.reporting.results import Grid, read_columns, read_runs
from semipose.training import checkpoint
from semipose.utils.errors import InputError

ROOT = Path(__file__).parent.parent.parent
Tree = Any
NAMES = st.sampled_from(["a.png", "b.png", "../a.png", "/a.png", "a\0.png", "\ud800.png", "", "a" * 300 + ".png", "."])
NUMBERS = st.one_of(st.integers(), st.floats(), st.sampled_from([0, 1, 2, -1, 1e308, 10**30, 10**400, 2**63, 0.5]))
ODD = st.one_of(
    st.none(),
    st.booleans(),
    NUMBERS,
    NAMES,
    st.text(max_size=8),
    st.lists(NUMBERS, max_size=4),
    st.dictionaries(st.text(max_size=4), NUMBERS, max_size=2),
)


def places(tree: Tree, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value in a tree of mappings and lists."""
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [way for key, value in inner for way in [(*path, key), *places(value, (*path, key))]]


@st.composite
def changed(draw: st.DrawFn, tree: Tree) -> Tree:
    """A tree with some of its values replaced, left out, doubled or under another name."""
    tree = copy.deepcopy(tree)
    for _ in range(draw(st.integers(1, 3))):
        ways = places(tree)
        if not ways or draw(st.integers(0, 50)) == 0:
            return draw(ODD)
        *way, key = draw(st.sampled_from(ways))
        node = tree
        for step in way:
            node = node[step]
        kind = draw(st.sampled_from(["other", "other", "gone", "twice", "renamed"]))
        if kind == "other":
            node[key] = draw(ODD)
        elif kind == "twice" and isinstance(node, list):
            node.append(copy.deepcopy(node[key]))
        else:
            value = node.pop(key)
            if kind == "renamed" and isinstance(node, dict):
                node[draw(st.text(max_size=5))] = value
    return tree


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """Bytes with some cut out, overwritten or put in."""
    data = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        kind = draw(st.sampled_from(["bit", "over", "in", "out", "cut"]))
        if kind == "bit" and start < len(data):
            data[start] ^= 1 << draw(st.integers(0, 7))
        elif kind == "cut":
            del data[start:]
        else:
            length = draw(st.integers(0, 40))
            data[start : start if kind == "in" else start + length] = b"" if kind == "out" else draw(st.binary(max_size=20))
    return bytes(data)


def refused(read: Callable[[], object]) -> None:
    """Read it, or say why not; nothing else may come of it."""
    with suppress(InputError):
        read()


def written(path: Path, tree: Tree) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(tree), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With two images; every case writes over what the one before has written."""
    folder = tmp_path_factory.mktemp("fuzz")
    for place in ("train2017", "val2017", "images", "/".join(test_aic.NAMES["train"][::2])):
        for name in ("a.png", "b.png", "im00001.jpg", "im00002.jpg", "000000001.jpg", "a.jpg"):
            (folder / place).mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (60, 40), (200, 10, 10)).save(folder / place / name)
    return folder


def annotation(number: int) -> dict[str, Any]:
    keypoints = [value for joint in range(17) for value in (10 + joint, 5 + joint, 2 * (joint % 2))]
    place = {"image_id": number, "category_id": 1, "bbox": [2.0, 2.0, 30.0, 25.0], "area": 700.0, "iscrowd": 0}
    return {"id": number, "keypoints": keypoints, "num_keypoints": 8, "head_size": 7.0, **place}


COCO = {
    "images": [{"id": number, "file_name": f"{name}.png", "width": 60, "height": 40} for number, name in enumerate("ab")],
    "annotations": [annotation(number) for number in range(2)],
    "categories": [{"id": 1, "name": "person", "keypoints": list(COCO17.joints), "skeleton": [[1, 2]]}],
}
RESULTS = [{"image_id": n, "category_id": 1, "keypoints": [1.0, 2.0, 0.5] * 17, "score": 0.5} for n in range(2)]
BOXES = [{"image_id": n, "category_id": 1, "bbox": [1.0, 2.0, 20.0, 30.0], "score": 0.5} for n in range(2)]
RECIPES = Recipe(8, 1.25, 1.5), Recipe(8, 1.25, 1.5, quality=90)
DEMO = YAML(typ="safe").load((ROOT / "params.yaml").read_text())


@given(tree=changed(DEMO))
def test_params(folder: Path, tree: Tree) -> None:
    refused(lambda: load(written(folder / "params.yaml", tree)))


@given(text=damaged((ROOT / "params.yaml").read_bytes()))
def test_text_of_params(folder: Path, text: bytes) -> None:
    (folder / "params.yaml").write_bytes(text)
    refused(lambda: load(folder / "params.yaml"))


@given(tree=changed(COCO))
def test_coco_annotations_to_a_pack(folder: Path, tree: Tree) -> None:
    written(folder / "annotations/person_keypoints_val2017.json", tree)

    def prepare() -> None:
        people = read_people("coco", folder, "val")
        ground_truth("coco", folder, people)
        write_pack(people, folder, folder / "pack", RECIPES[0], 0, 1)

    refused(prepare)


@given(truth=st.one_of(st.just(COCO), changed(COCO)), results=st.one_of(st.just(RESULTS), changed(RESULTS)))
def test_results_against_annotations(folder: Path, truth: Tree, results: Tree) -> None:
    files = written(folder / "gt.json", truth), written(folder / "dt.json", results)
    for evaluate in (evaluate_oks, evaluate_pck, evaluate_pckh):
        refused(lambda evaluate=evaluate: evaluate(*files))


@given(images=st.one_of(st.just(COCO), changed(COCO)), boxes=changed(BOXES))
def test_detections_and_boxes(folder: Path, images: Tree, boxes: Tree) -> None:
    listed, found = written(folder / "images.json", images), written(folder / "boxes.json", boxes)
    refused(lambda: read_detections(found, folder, read_images(listed), "train2017", COCO17))
    refused(lambda: of_images([folder / "train2017" / "1.png"], found))
    refused(lambda: of_set([folder / "train2017" / "a.png"], listed, True, found))


@given(tree=changed([test_mpii.entry(1), test_mpii.entry(1)]))
def test_mpii_annotations(folder: Path, tree: Tree) -> None:
    written(folder / "annot/train.json", tree)
    refused(lambda: read_people("mpii", folder, "train"))


@given(tree=changed([test_aic.image("a", ([5, 6, 25, 46], test_aic.keypoints(1)))]))
def test_aic_annotations(folder: Path, tree: Tree) -> None:
    written(folder / "/".join(test_aic.NAMES["train"][:2]), tree)
    refused(lambda: read_people("aic", folder, "train"))


def mat(**content: Any) -> bytes:
    file = io.BytesIO()
    savemat(file, content, do_compression=False)
    return file.getvalue()


JOINTS = np.random.default_rng(0).integers(0, 2, (14, 3, 3)).astype(float)


@settings(max_examples=settings().max_examples // 5)  # each is read by a process of its own
@given(data=st.data())
def test_matlab_files(folder: Path, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["bytes", "values", "release"]))
    if kind == "release":
        made = folder / "release"
        (made / "images").mkdir(parents=True, exist_ok=True)
        test_mpii.made_release(made)
        (file,) = made.glob("*/*.mat")
        file.write_bytes(data.draw(damaged(file.read_bytes())))
        return refused(lambda: read_people("mpii", made, "train", 1))
    shape = data.draw(st.lists(st.integers(0, 15), max_size=4))
    joints = JOINTS if kind == "bytes" else np.full(shape, data.draw(st.floats()))
    whole = mat(joints=joints)
    (folder / "joints.mat").write_bytes(data.draw(damaged(whole)) if kind == "bytes" else whole)
    return refused(lambda: read_people("lsp", folder, "train", 1))


MEMBERS = st.lists(st.tuples(st.one_of(NAMES, st.text(max_size=6)), st.integers(0, 6), st.one_of(NAMES, st.text(max_size=6))), max_size=4)


def archive(kind: str, members: list[tuple[str, int, str]]) -> bytes:
    """Members of a name, a tar type (0: a file, 1: hard link, 2: symbolic link, 3-6: devices, folder, pipe) and what a link leads to."""
    file = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(file, "w") as made:
            for name, _, content in members:
                made.writestr(name, content.encode(errors="surrogatepass"))
        return file.getvalue()
    with tarfile.open(fileobj=file, mode=kind, errors="surrogatepass") as made:
        for name, number, target in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = str(number).encode(), target
            made.addfile(info)
    return file.getvalue()


@given(data=st.data())
def test_archives_stay_in_their_folder(folder: Path, data: st.DataObject) -> None:
    kind, members = data.draw(st.sampled_from(["zip", "w", "w:gz"])), data.draw(MEMBERS)
    try:
        content = archive(kind, members)
    except (ValueError, IndexError):  # no archive can be made of these
        return
    content = data.draw(st.one_of(st.just(content), damaged(content)))
    place = folder / "unpacked"
    (place / "in").mkdir(parents=True, exist_ok=True)
    (place / "set.zip").write_bytes(content)
    before = sorted(place.iterdir())
    refused(lambda: unpack(place / "set.zip", place / "in"))
    assert sorted(place.iterdir()) == before
    for link in place.rglob("*"):
        assert Path(os.path.realpath(link)).is_relative_to(place / "in") or link in before


@pytest.fixture(scope="module")
def weights(folder: Path, tiny: Params) -> bytes:
    path = folder / "weights.safetensors"
    save_network(build(tiny.model, 17, 0), path, network_metadata(tiny.model, COCO17, 1.25))
    return path.read_bytes()


@given(data=st.data())
def test_weight_files(folder: Path, weights: bytes, tiny: Params, data: st.DataObject) -> None:
    path, kind = folder / "weights.safetensors", data.draw(st.sampled_from(["bytes", "header", "metadata", "backbone"]))
    if kind == "metadata":
        metadata = data.draw(changed(network_metadata(tiny.model, COCO17, 1.25)))
        save_network(build(tiny.model, 17, 0), path, metadata)
    elif kind == "header":  # its length stands in the first 8 bytes
        end = 8 + int.from_bytes(weights[:8], "little")
        header = data.draw(damaged(weights[8:end]))
        path.write_bytes(len(header).to_bytes(8, "little") + header + weights[end:])
    elif kind == "bytes":
        path.write_bytes(data.draw(damaged(weights)))
    else:
        saved = io.BytesIO()
        torch.save({"conv1.weight": torch.zeros(3)}, saved)
        (folder / "backbone.pth").write_bytes(data.draw(damaged(saved.getvalue())))
        model = tiny.model.model_copy(update={"pretrained": str(folder / "backbone.pth")})
        return refused(lambda: build(model, 17, 0))
    return refused(lambda: load_network(path))


@given(data=st.data())
def test_checkpoints(folder: Path, data: st.DataObject) -> None:
    """One of the two is whole: it is found. Neither is: none is."""
    state = folder / "state"
    for step in range(2):
        checkpoint.save(state, {"step": step, "weights": torch.zeros(3)})
    paths = [state / name for name in checkpoint.NAMES]
    spoiled = data.draw(st.sets(st.sampled_from([0, 1]), min_size=1))
    for number in spoiled:
        whole = paths[number].read_bytes()
        paths[number].write_bytes(data.draw(damaged(whole).filter(whole.__ne__)))
    found = checkpoint.load(state)
    assert (None if found is None else found["step"]) == (None if len(spoiled) == 2 else 1 - int(0 in spoiled))


def picture(form: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 13, 3), dtype=np.uint8)).save(file, form)
    return file.getvalue()


@given(data=st.data())
def test_images(folder: Path, data: st.DataObject) -> None:
    path = folder / "photos" / "a.jpg"
    path.parent.mkdir(exist_ok=True)
    form = data.draw(st.sampled_from(["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"]))
    path.write_bytes(data.draw(damaged(picture(form))))
    with suppress(BrokenImage):
        read_image(path, exif="apply")
    with suppress(BrokenImage):
        refused(lambda: [Photo(one, 1).read("apply") for one in find_photos([path])])


@pytest.fixture(scope="module")
def packed(folder: Path) -> list[Path]:
    """A raw pack and one of JPEGs."""
    people = read_people("coco", written(folder / "packed/annotations/person_keypoints_val2017.json", COCO).parent.parent, "val")
    for number, recipe in enumerate(RECIPES):
        write_pack(people, folder, folder / "packed" / str(number), recipe, 0, 1)
    return [folder / "packed" / str(number) for number in range(len(RECIPES))]


def spoil(data: st.DataObject, whole: Path, made: Path) -> None:
    """A copy of a folder in which one file is damaged."""
    made.mkdir(exist_ok=True)
    for file in made.iterdir():
        file.unlink()
    for file in whole.iterdir():
        (made / file.name).write_bytes(file.read_bytes())
    spoiled = made / data.draw(st.sampled_from(sorted(file.name for file in whole.iterdir())))
    if spoiled.suffix == ".json":
        written(spoiled, data.draw(changed(json.loads(spoiled.read_text()))))
    else:
        spoiled.write_bytes(data.draw(damaged(spoiled.read_bytes())))


@given(data=st.data())
def test_packs(folder: Path, packed: list[Path], data: st.DataObject) -> None:
    made = folder / "packed" / "spoiled"
    spoil(data, data.draw(st.sampled_from(packed)), made)

    def check() -> None:
        pack = CropPack.open(made)
        pack.images(range(len(pack)))

    refused(check)


@given(data=st.data())
def test_splits(folder: Path, packed: list[Path], data: st.DataObject) -> None:
    people = CropPack.open(packed[0]).people
    record = make_splits(people, {"L1": 1}, "first", 0, "all")["L1"]
    refused(lambda: read_split(written(folder / "split.json", data.draw(changed(record))), people))


@settings(max_examples=settings().max_examples // 5)  # each is flushed to the disk
@given(data=st.data())
def test_packs_in_the_making(folder: Path, packed: list[Path], data: st.DataObject) -> None:
    """What a writer that was killed left is damaged: the next one goes on, or begins again."""
    number = data.draw(st.sampled_from(range(len(RECIPES))))
    whole_pack, target = CropPack.open(packed[number]), folder / "making" / str(number)
    people = whole_pack.people
    cut_pack(people, folder, target, RECIPES[number], 0, 1)
    left = target.with_name(f".{number}.partial")
    if data.draw(st.booleans()):  # killed before its end
        (left / PACK).unlink()
    spoil(data, left, folder / "making" / "spoiled")
    shutil.rmtree(left)
    (folder / "making" / "spoiled").rename(left)

    def write() -> None:
        write_pack(people, folder, target, RECIPES[number], 0, 1)
        made = CropPack.open(target)
        assert made.digest == whole_pack.digest
        made.images(range(len(made)))

    refused(write)


@given(data=st.data())
def test_records_of_runs(folder: Path, data: st.DataObject) -> None:
    place, name = folder / "runs", "demo-akm-L50-s0"
    contents = {"history.csv": b"epoch,step,loss/labelled,val/AP\n1,239,0.0021,\n2,478,0.0017,28.4\n", "bootstrap.csv": b"AP\n31.2\n30.4\n"}
    for one, content in contents.items():
        (place / name).mkdir(parents=True, exist_ok=True)
        (place / name / one).write_bytes(data.draw(st.one_of(st.just(content), damaged(content))))
    record = json.loads((ROOT / "reports/runs" / f"{name}.json").read_text())
    written(place / f"{name}.json", data.draw(st.one_of(st.just(record), changed(record))))
    refused(lambda: read_runs(place, "demo", Grid("train", ("akm",), ("L50",), (0,))))
    refused(lambda: read_columns(place / name / "history.csv"))
