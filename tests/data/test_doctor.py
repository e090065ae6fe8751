"""The doctor: nothing to say of a sound set, every fault of a broken one, real sets, and params.yaml lines that load."""

import json
import shutil
from io import StringIO
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_set import Change, make_set
from PIL import Image
from ruamel.yaml import YAML
from typer.testing import CliRunner

from semipose.cli.app import app
from semipose.config.data import Media
from semipose.config.load import load
from semipose.config.tree import Params
from semipose.data.checks import labels, pictures, reading
from semipose.data.checks.copies import Images, copies
from semipose.data.checks.examine import examine, recognise
from semipose.data.checks.needs import budgets_of
from semipose.data.ground_truth import ground_truth
from semipose.data.people import People
from semipose.data.sources import check_parts, read_people
from semipose.data.sources.detections import read_detections
from semipose.data.sources.media import read_media
from semipose.demo.dataset import render_set
from semipose.inference.people import Search, find_people
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


@pytest.mark.parametrize("change", [lambda made: made.pop("categories"), lambda made: made["categories"][0].pop("keypoints")])
def test_keypoints_whose_joints_have_no_names_are_told_how_to_name_them(tmp_path: Path, change: Change) -> None:
    with pytest.raises(
        InputError, match=r"train\.json: has keypoints, but no category that names its joints; add `categories`: \[\{.*\}\]"
    ):
        recognise(make_set(tmp_path, change))


def test_a_part_whose_entries_are_all_refused_is_not_said_to_be_empty(tmp_path: Path) -> None:
    def spoil(made: dict[str, Any]) -> None:
        for one in made["annotations"]:
            del one["category_id"]

    root = make_set(tmp_path, spoil)
    _, found = reading.read(root, recognise(root), "train", 0)
    assert [one.text for one in found[:-1]] == [
        f"{root}/train.json: annotations[{k}]: category_id: is missing; repair that entry" for k in range(8)
    ]
    assert found[-1].text == f"{root}/train.json: no person is left (left out: 8 refused); refused: repair these entries"


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


def test_real_photos_that_were_saved_or_scaled_again_are_found(real_data: Path, tmp_path: Path) -> None:
    photos = sorted((real_data / "coco-mini/val2017").iterdir())[:30]
    expected = set()
    for path in photos:
        shutil.copyfile(path, tmp_path / path.name)
        photo = Image.open(path).convert("RGB")
        photo.save(tmp_path / f"{path.stem} poor.jpg", quality=10)
        photo.resize((photo.width // 4, photo.height // 4)).save(tmp_path / f"{path.stem} small.jpg")
        trio = (path.name, f"{path.stem} poor.jpg", f"{path.stem} small.jpg")
        expected |= {frozenset(pair) for pair in combinations(trio, 2)}
    names = {path.name: (0, 0) for path in sorted(tmp_path.iterdir())}
    seen = {name: one for name, one in pictures.inspect(tmp_path, names, "apply", 1) if isinstance(one, pictures.Picture)}
    assert {frozenset(pair) for pair in pictures.same(seen)} == expected


def test_unlabelled_pictures_that_show_labelled_images_are_named(tmp_path: Path, real_data: Path) -> None:
    """A validation photo was saved again, a training photo is there in half its size and in a folder."""
    root = make_set(tmp_path / "set", images=3, people=1)
    photos = [Image.open(path).convert("RGB") for path in sorted((real_data / "coco-mini/val2017").iterdir())[:8]]
    for photo, name in zip(photos, ("train1", "train2", "train3", "val1", "val2", "val3"), strict=False):
        photo.resize((320, 240)).save(root / f"images/{name}.png")
    own = tmp_path / "own"
    (own / "more").mkdir(parents=True)
    for photo, name in ((photos[3], "IMG_1.jpg"), (photos[0], "more/b.jpg"), (photos[6], "c.jpg"), (photos[7], "d.jpg")):
        photo.resize((200, 150)).save(own / name, quality=40)
    settings = {"folders": ["."], "detector": None, "weights": None, "score": 0.5, "every": 0.2, "blur": 1.0, "near": 4.0}
    find_people(Search(own, Media.model_validate(settings), None, 0.0, None, "apply", 64, 0), tmp_path / "found")
    custom = recognise(root).custom
    labelled = {part: Images(read_people("custom", root, part, custom=custom), root, None) for part in ("train", "val")}
    found = Images(read_media(tmp_path / "found/people.json", labelled["train"].people.skeleton), tmp_path / "found", "apply")
    assert copies(found, labelled, threads=1) == [
        "1 of 4 unlabelled pictures show training images: more/b.jpg = images/train1.png; a labelled person may be an unlabelled one too",
        "1 of 4 unlabelled pictures show validation images: IMG_1.jpg = images/val1.png; take them out of data.unlabelled.root, so that "
        "no training sees validation people",
    ]


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


@pytest.mark.parametrize("known", [True, False])
def test_the_category_that_a_message_advises_can_be_named(tmp_path: Path, known: bool) -> None:
    def two(content: dict[str, Any]) -> None:
        content["categories"].append({"id": 2, "name": "dog", "keypoints": ["snout", "tail"]})
        content["annotations"][-1] |= {"category_id": 2, "keypoints": [20, 20, 2, 25, 25, 2], "num_keypoints": 2}

    root = make_set(tmp_path / "set", two)
    code, said = doctored(root)
    assert code == 1
    assert "name one of them as the category (--category NAME, or data.custom.category in params.yaml)" in said
    code, said = doctored(root, "--category", "person" if known else "cat")
    assert code == (not known)
    assert ("category: person" in said) == known
    assert ("0 categories with `keypoints` (the joints' names) are named 'cat'" in said) != known


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


def params_of(folder: Path, root: Path, **data: Any) -> Path:
    """The committed parameters for a set of the user's own, with these values of `data`."""
    tree, layout = YAML().load(ROOT / "params.yaml"), recognise(root)
    assert layout.custom
    tree["data"] |= {"source": "custom", "root": str(root), "custom": layout.custom.model_dump()} | data
    text = StringIO()
    YAML().dump(tree, text)
    (folder / "params.yaml").write_text(text.getvalue())
    return folder / "params.yaml"


def doctored(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["doctor", *map(str, arguments)])
    return result.exit_code, result.output


DETECTED = {"image_id": 1, "category_id": 1, "bbox": [2, 2, 30, 40], "score": 0.9}


@pytest.mark.parametrize(
    ("boxes", "words"),
    [
        ([DETECTED | {"image_id": 77}], r"\[0\]: image_id: 77 is not one of the 4 images of this part"),
        ([DETECTED, DETECTED | {"bbox": [1, 2, 3]}], r"\[1\]: bbox: "),
        ([DETECTED | {"score": None}], r"\[0\]: score: "),
        ([DETECTED | {"score": 0.1}], r"no person is left \(left out: 1 low score\); low score: lower the score"),
        ({}, r"should be a valid list|array"),
        ("[{", r"is not JSON"),
    ],
)
def test_a_broken_file_of_detections_stops_in_the_words_of_prepare(tmp_path: Path, boxes: object, words: str) -> None:
    root, file = make_set(tmp_path / "set"), tmp_path / "boxes.json"
    params = params_of(tmp_path, root, detections={"file": str(file), "score": 0.5})
    file.write_text(boxes if isinstance(boxes, str) else json.dumps(boxes))
    custom = recognise(root).custom
    assert custom
    val = read_people("custom", root, "val", custom=custom)
    images = ground_truth("custom", root, val, custom)["images"]
    with pytest.raises(InputError, match=words) as error:
        read_detections(file, root, images, custom.val.images, val.skeleton, 0.5)
    code, output = doctored("--params", params)
    assert code == 1
    assert f"\n  val: {error.value}\n" in output


def test_sound_detections_are_counted_and_a_missing_file_is_named(tmp_path: Path) -> None:
    root, file = make_set(tmp_path / "set"), tmp_path / "boxes.json"
    params = params_of(tmp_path, root, detections={"file": str(file), "score": 0.5})
    code, output = doctored("--params", params)
    assert code == 1
    assert f"val: data.detections.file: {file} is missing; put a JSON" in output
    file.write_text(json.dumps([DETECTED, DETECTED | {"score": 0.1}]))
    code, output = doctored("--params", params)
    assert code == 0, output
    assert f"val: {file}: 1 boxes left out: low score" in output
    (root / "val.json").write_text("{")
    code, output = doctored("--params", params)
    assert code == 1
    assert f"val: {file}: its boxes are not checked before the errors of this part are repaired" in output


MEDIA = {"folders": ["."], "detector": None, "weights": None, "score": 0.5, "every": 0.0, "blur": 1.0, "near": 0.0}


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"file_name": "c.png", "bbox": [0, 0, 9, 9]}, r"\[1\]: file_name 'c\.png' is none of the 8 images and videos"),
        ({"bbox": [0, 0, 9, 9]}, r"\[1\]: has no file_name"),
        ({"file_name": "val1.png", "frame": 3, "bbox": [0, 0, 9, 9]}, r"\[1\]: val1\.png is an image, which has no `frame`"),
        ({"file_name": "val1.png", "bbox": [90, 0, 9, 9]}, r"val1\.png: box \[0\]: .* is outside the image of 64 x 48 px"),
    ],
)
def test_a_broken_file_of_boxes_of_media_stops_in_the_words_of_prepare(tmp_path: Path, entry: dict[str, Any], words: str) -> None:
    root, file = make_set(tmp_path / "set"), tmp_path / "boxes.json"
    unlabelled = {"source": "media", "root": str(root / "images"), "detections": {"file": str(file), "score": 0.5}, "media": MEDIA}
    params = params_of(tmp_path, root, unlabelled=unlabelled)
    sound = {"file_name": "train1.png", "bbox": [2, 2, 30, 40]}
    search = Search(root / "images", load(params).data.unlabelled.media, file, 0.5, None, None, 32, 0)  # type: ignore[union-attr, arg-type]
    for boxes, expected in (
        ([sound, entry], words),
        ([sound | {"bbox": box} for box in ([30, 20, 62, 44], [20, 18, 50, 40], [8, 25, 40, 47])], "look like x1, y1, x2, y2"),
        ([sound | {"score": 0.1}], r"nobody is left \(1 low score\)"),
        ([], "nobody was found"),
    ):
        file.write_text(json.dumps(boxes))
        with pytest.raises(InputError, match=expected) as error:
            find_people(search, tmp_path / "found")
        code, output = doctored("--params", params)
        assert code == 1
        assert f"\n  unlabelled: {error.value}\n" in output
    file.write_text(json.dumps([sound, sound | {"score": 0.1}]))
    code, output = doctored("--params", params)
    assert code == 0, output
    assert f"unlabelled: {file}: 1 boxes left out: low score" in output


def test_a_box_off_the_frame_of_a_video_stops(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    root, file, wild = make_set(tmp_path / "set"), tmp_path / "boxes.json", tmp_path / "wild"
    wild.mkdir()
    with av.open(str(wild / "a.mp4"), "w") as video:
        stream = video.add_stream("mpeg4", rate=10)
        stream.width, stream.height = 64, 48
        for _ in range(3):
            video.mux(stream.encode(av.VideoFrame.from_image(Image.new("RGB", (64, 48), "red"))))
        video.mux(stream.encode())
    unlabelled = {"source": "media", "root": str(wild), "detections": {"file": str(file), "score": 0.0}, "media": MEDIA}
    params = params_of(tmp_path, root, unlabelled=unlabelled)
    for box, code in (([2, 2, 30, 40], 0), ([70, 2, 30, 40], 1)):
        file.write_text(json.dumps([{"file_name": "a.mp4", "frame": 2, "bbox": box}]))
        told = doctored("--params", params)
        assert told[0] == code, told[1]
    assert "boxes.json: a.mp4, frame 2: box [0]: [70.0, 2.0, 30.0, 40.0] is outside the image of 64 x 48 px" in told[1]


def test_the_boxes_of_unlabeled2017_are_read(tmp_path: Path) -> None:
    root, file, other = make_set(tmp_path / "set"), tmp_path / "boxes.json", tmp_path / "coco"
    (other / "annotations").mkdir(parents=True)
    shutil.copytree(root / "images", other / "unlabeled2017")
    listed = {"images": [{"id": 1, "file_name": "val1.png"}]}
    (other / "annotations/image_info_unlabeled2017.json").write_text(json.dumps(listed))
    unlabelled = {"source": "unlabeled2017", "root": str(other), "detections": {"file": str(file), "score": 0.0}, "media": None}
    params = params_of(tmp_path, root, unlabelled=unlabelled)
    for image, code in ((1, 0), (2, 1)):
        file.write_text(json.dumps([DETECTED | {"image_id": image}]))
        told = doctored("--params", params)
        assert told[0] == code, told[1]
    assert "unlabelled: " in told[1]
    assert "[0]: image_id: 2 is not one of the 1 images of this part" in told[1]
    params = params_of(tmp_path, root, unlabelled=unlabelled | {"root": None})
    code, output = doctored("--params", params)
    assert code == 0, output
    assert f"{file}: its boxes are not checked before the images are downloaded" in output


def test_the_parameters_say_which_people_validate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, ...]] = []

    def read(*given: Any, **more: Any) -> None:
        asked.append((given[3], given[5]))
        raise InputError("not there")

    monkeypatch.setattr(reading, "read_people", read)
    tree = YAML().load(ROOT / "params.yaml")
    tree["data"] |= {"source": "flic", "root": str(tmp_path), "validation_people": 7, "flic": {"split": "official"}}
    text = StringIO()
    YAML().dump(tree, text)
    (tmp_path / "params.yaml").write_text(text.getvalue())
    doctored("--params", tmp_path / "params.yaml")
    doctored("--params", tmp_path / "params.yaml", "--validation-people", 9)
    assert asked == [(7, "official")] * 2 + [(9, "official")] * 2
