"""The doctor: nothing to say of a sound set, every fault of a broken one, real sets, and params.yaml lines that load."""

import json
import shutil
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_set import make_set
from PIL import Image
from ruamel.yaml import YAML
from typer.testing import CliRunner

from semipose.cli.app import app
from semipose.config.load import load
from semipose.config.tree import Params
from semipose.data.checks import labels, pictures
from semipose.data.checks.examine import examine, recognise
from semipose.data.checks.needs import budgets_of
from semipose.data.people import People
from semipose.data.sources import check_parts, read_people
from semipose.demo.dataset import render_set
from semipose.pose.skeleton import COCO17
from semipose.utils.errors import InputError

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("synthetic")
    render_set(root, {"train": 60, "val": 10}, seed=3)
    return root


def annotations(root: Path, part: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((root / "annotations" / f"person_keypoints_{part}2017.json").read_text())
    return content


def test_a_sound_set_has_nothing_that_stops_and_its_params_load(synthetic: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["doctor", str(synthetic), "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert "no errors: training can read this set" in result.output
    assert "joints, 8 left-right pairs" in result.output
    for part in ("train", "val"):
        assert Image.open(tmp_path / "out" / f"{part}.jpg").width > 1000
    tree, told = YAML().load(ROOT / "params.yaml"), YAML().load(result.output.split("demo's:\n\n")[1])
    for section, values in told.items():
        for key, value in values.items():
            tree[section][key] = value
    text = StringIO()
    YAML().dump(tree, text)
    (tmp_path / "params.yaml").write_text(text.getvalue())
    assert load(tmp_path / "params.yaml").data.root == str(synthetic)


@pytest.fixture
def broken(synthetic: Path, tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A copy of the set with faults of many kinds, and words that must be said of each."""
    root = tmp_path / "broken"
    shutil.copytree(synthetic, root)
    content = annotations(root, "train")
    people, images = content["annotations"], {one["id"]: one for one in content["images"]}
    alone = [one for one in people if sum(other["image_id"] == one["image_id"] for other in people) == 1]

    def file(one: dict[str, Any]) -> Path:
        return root / "train2017" / images[one["image_id"]]["file_name"]

    said: dict[str, str] = {}
    short, invisible, far, nan, lost, twin = alone[:6]
    short["keypoints"] = short["keypoints"][:-1]
    said["short"] = "keypoints: has 50 numbers, must have 51"
    invisible["keypoints"][2] = 3
    said["visibility"] = "keypoints: has a visibility that is not 0, 1 or 2"
    far["bbox"] = [900, 900, 20, 20]
    said["outside"] = "bbox: is completely outside"
    nan["bbox"][0] = None
    said["number"] = "bbox[0]: should be a valid number, not None"
    lost["image_id"] = 777
    said["image"] = "image_id: 777 is not"
    twin["id"] = alone[6]["id"]
    said["twice"] = f"id: {alone[6]['id']} occurs twice"
    # Of images
    file(alone[7]).unlink()
    said["missing"] = "1 of 54 images are missing"
    file(alone[8]).write_bytes(file(alone[8]).read_bytes()[:900])
    said["cut"] = "1 of 54 images cannot be decoded"
    Image.open(file(alone[9])).resize((200, 150)).save(file(alone[9]))
    said["size"] = f"{file(alone[9]).name} (200 x 150 px, annotated for 320 x 240)"
    # Of what a person should look at
    beside, double = alone[10], alone[11]
    first = next(k for k in range(17) if beside["keypoints"][3 * k + 2])
    x, y, width, _ = beside["bbox"]
    beside["keypoints"][3 * first : 3 * first + 2] = [x + width + 200, y]
    said["beside"] = f"annotation {beside['id']} ("
    people.append(double | {"id": 5000})
    said["double"] = "people are annotated twice"
    shutil.copyfile(file(alone[12]), root / "val2017" / "000000000001.jpg")
    said["leak"] = f"train2017/{file(alone[12]).name} = val2017/000000000001.jpg"
    (root / "annotations" / "person_keypoints_train2017.json").write_text(json.dumps(content))
    return root, said


def test_every_fault_of_a_broken_set_is_named(broken: tuple[Path, dict[str, str]]) -> None:
    root, said = broken
    result = CliRunner().invoke(app, ["doctor", str(root)])
    assert result.exit_code == 1, result.output
    for kind, words in said.items():
        assert words in result.output, kind


def test_what_is_left_is_what_training_reads(broken: tuple[Path, dict[str, str]], synthetic: Path) -> None:
    """Past the faulty entries, the people are those of the sound set."""
    root, _ = broken
    found = examine(root, recognise(root))
    sound = read_people("coco", synthetic, "train")
    left = set(found.people["train"].ids.tolist())
    assert left - {5000} < set(sound.ids.tolist())
    assert len(sound) - len(left - {5000}) == 6


def test_a_file_that_is_no_json_ends_the_part_alone(synthetic: Path, tmp_path: Path) -> None:
    shutil.copytree(synthetic, tmp_path / "set")
    (tmp_path / "set/annotations/person_keypoints_train2017.json").write_text("{")
    found = examine(tmp_path / "set", recognise(tmp_path / "set"))
    assert [finding.part for finding in found.findings if finding.grade == "stops"] == ["train"]
    assert set(found.people) == {"val"}


@pytest.mark.parametrize(
    ("content", "words"), [({}, "neither joints.mat"), ({"a.json": "[]"}, "neither joints.mat"), ({"b.json": "{"}, "neither joints.mat")]
)
def test_a_folder_that_holds_no_set_is_refused(content: dict[str, str], words: str, tmp_path: Path) -> None:
    for name, text in content.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=words):
        recognise(tmp_path)


def test_a_set_of_the_users_own_is_found_by_its_files(synthetic: Path, tmp_path: Path, demo: Params) -> None:
    shutil.copytree(synthetic / "train2017", tmp_path / "pictures" / "a")
    shutil.copytree(synthetic / "val2017", tmp_path / "pictures" / "b")
    for part, name in (("train", "labels.json"), ("val", "labels_val.json")):
        (tmp_path / name).write_text(json.dumps(annotations(synthetic, part)))
    layout = recognise(tmp_path)
    assert layout.custom is not None
    assert [layout.custom.train.images, layout.custom.val.annotations] == ["pictures/a", "labels_val.json"]
    assert layout.custom.val.images == "pictures/b", "the names are in both folders"
    found = examine(tmp_path, layout)
    assert not found.stops
    assert "source: custom" in (found.params or "")
    (tmp_path / "more.json").write_text(json.dumps(annotations(synthetic, "train")))
    with pytest.raises(InputError, match=r"training annotations: labels\.json, more\.json; name them"):
        recognise(tmp_path)


def people_of(points: np.ndarray) -> People:
    count = len(points)
    return People(
        COCO17,
        ids=np.arange(count),
        image_ids=np.arange(count),
        images=[f"{k}.jpg" for k in range(count)],
        sizes=np.full((count, 2), 400),
        boxes=np.tile([0.0, 0, 400, 400], (count, 1)),
        areas=np.full(count, 1e4),
        points=points,
        visibility=np.full((count, 17), 2),
    )


def test_swapped_sides_are_seen_and_crossed_ankles_are_not() -> None:
    upright = np.array(
        [
            (200, 50),
            (206, 44),
            (194, 44),
            (214, 48),
            (186, 48),
            (240, 100),
            (160, 100),
            (270, 150),
            (130, 150),
            (290, 200),
            (110, 200),
            (225, 200),
            (175, 200),
            (228, 280),
            (172, 280),
            (230, 360),
            (170, 360),
        ],
        np.float32,
    )
    shoulders, wrists, crossed, behind = (upright.copy() for _ in range(4))
    shoulders[[5, 6]] = shoulders[[6, 5]]
    wrists[[9, 10]] = wrists[[10, 9]]
    crossed[[15, 16]] = crossed[[16, 15]]
    behind[:, 0] = 400 - behind[:, 0]  # from behind: everything on the other side
    assert labels.swapped(people_of(np.stack([upright, shoulders, wrists, crossed, behind]))).tolist() == [False, True, True, False, False]


def test_images_that_show_the_same_are_found_and_others_are_not(synthetic: Path, tmp_path: Path) -> None:
    names = [path.name for path in sorted((synthetic / "train2017").iterdir())[:40]]
    for name in names:
        shutil.copyfile(synthetic / "train2017" / name, tmp_path / name)
    image = Image.open(tmp_path / names[0])
    image.save(tmp_path / "saved_anew.jpg", quality=60)
    image.resize((480, 360)).save(tmp_path / "larger.png")
    Image.open(tmp_path / names[1]).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "mirrored.jpg")
    shutil.copyfile(tmp_path / names[2], tmp_path / "copy.jpg")
    Image.new("RGB", (320, 240), (90, 90, 90)).save(tmp_path / "flat.png")
    Image.new("RGB", (320, 240), (91, 91, 91)).save(tmp_path / "flat too.png")
    seen = {
        name: one
        for name, one in pictures.inspect(tmp_path, {path.name: (0, 0) for path in sorted(tmp_path.iterdir())}, None, 2)
        if isinstance(one, pictures.Picture)
    }
    found = {frozenset(pair) for pair in pictures.same(seen)}
    trio = [names[0], "saved_anew.jpg", "larger.png"]
    assert found == {frozenset((a, b)) for a in trio for b in trio if a != b} | {frozenset((names[2], "copy.jpg"))}


def test_real_sets(real_data: Path) -> None:
    """What is told of them is what is in them: nothing that stops, and few people to look at."""
    assert recognise(real_data / "lspet").source == "lsp"
    layout = recognise(real_data / "coco-mini")
    assert layout.source == "coco"
    found = examine(real_data / "coco-mini", layout)
    assert not found.stops, found.findings
    for people in found.people.values():
        assert labels.swapped(people).mean() < 0.1


def test_a_set_without_a_validation_file_gets_no_params_and_the_remedy(tmp_path: Path) -> None:
    """Pasted, a block that names one file twice would validate on the people it trains on."""
    (make_set(tmp_path / "set") / "val.json").unlink()
    result = CliRunner().invoke(app, ["doctor", str(tmp_path / "set")])
    assert result.exit_code == 1, result.output
    assert "val: this part has no annotations; hold out a fifth of the images" in result.output
    assert f"semipose doctor {tmp_path / 'set'} --convert FOLDER" in result.output
    assert "params.yaml needs" not in result.output
    assert recognise(tmp_path / "set").custom.val.annotations == "???"  # type: ignore[union-attr]


def test_train_and_val_on_the_same_images_are_refused_in_the_same_words(tmp_path: Path) -> None:
    root = make_set(tmp_path)
    val, train = (json.loads((root / f"{part}.json").read_text()) for part in ("val", "train"))
    for image, other in zip(val["images"][:4], train["images"], strict=True):
        image["file_name"] = other["file_name"]
    (root / "val.json").write_text(json.dumps(val))
    layout = recognise(root)
    told = [finding.text for finding in examine(root, layout).findings if finding.grade == "stops"]
    people = [read_people("custom", root, part, custom=layout.custom) for part in ("train", "val")]
    words = r"4 of 4 validation images are also training images: images/train1\.png, .*train3\.png \.\.\.; name"
    with pytest.raises(InputError, match=words) as error:
        check_parts("custom", *people)
    assert told == [str(error.value)]
    check_parts("mpii", *people)  # its authors' file may be split within an image


@pytest.mark.parametrize(
    ("count", "budgets"),
    [
        (8, {"All": "all"}),
        (24, {"L12": 12, "All": "all"}),
        (120, {"L30": 30, "L60": 60, "All": "all"}),
        (150_000, {"L1500": 1500, "L7500": 7500, "L30000": 30000}),
    ],
)
def test_proposed_budgets_are_enough_to_train_on(count: int, budgets: dict[str, int | str]) -> None:
    assert budgets_of(count) == budgets


def test_a_small_set_is_told_to_train_no_variants(tmp_path: Path) -> None:
    found = examine(make_set(tmp_path), recognise(tmp_path))
    assert YAML(typ="safe").load(found.params)["ablation"] == {"variants": [], "labels": ["All"]}


def test_the_contact_sheet_shows_as_many_people_as_asked_for(synthetic: Path, tmp_path: Path) -> None:
    heights = []
    for more in ([], ["--people", "18"]):
        CliRunner().invoke(app, ["doctor", str(synthetic), "--out", str(tmp_path / "out"), *more])
        heights.append(Image.open(tmp_path / "out/train.jpg").height)
    usual, larger = heights
    assert (larger - 8) * 2 == (usual - 8) * 3, "three rows of six, not two"
