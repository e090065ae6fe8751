"""What people export is read right, and the same by doctor, training and evaluation; or refused by all three in the same words."""

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_set import Change, make_set
from PIL import Image
from typer.testing import CliRunner

from semipose.cli.app import app
from semipose.data.checks.examine import Examination, examine, recognise
from semipose.data.ground_truth import ground_truth
from semipose.data.packing.writing import Recipe, write_pack
from semipose.data.people import ARRAYS, People
from semipose.data.sources import read_people
from semipose.evaluation.metrics.average_precision import evaluate_oks
from semipose.inference.predict import Predictions, to_results
from semipose.utils.errors import InputError

Entry = dict[str, Any]


def every(name: str, to: Callable[[Entry, Entry], object]) -> Change:
    """Spoil this field of every annotation, given the annotation and its image."""

    def change(content: dict[str, Any]) -> None:
        images = {one["id"]: one for one in content["images"]}
        for one in content["annotations"]:
            one[name] = to(one, images[one["image_id"]])

    return change


def without(name: str) -> Change:
    return lambda content: [one.pop(name) for one in content["annotations"]]


def more(**changes: object) -> Change:
    """A copy of the first annotation with these changes."""
    return lambda content: content["annotations"].append(copy.deepcopy(content["annotations"][0]) | {"id": 900} | changes)


def shares(one: Entry, image: Entry) -> list[float]:
    return [value / image[side] for value, side in zip(one["bbox"], ("width", "height") * 2, strict=True)]


def corners(one: Entry, image: Entry) -> list[float]:
    x, y, width, height = one["bbox"]
    return [x, y, x + width, y + height]


def nowhere(one: Entry, image: Entry) -> list[Any]:
    return [*one["keypoints"][:-3], None, float("nan"), 0]


def another_category(content: dict[str, Any]) -> None:
    more(category_id=2, bbox="?")(content)
    content["categories"].append({"id": 2})


def perfect(people: People) -> list[Entry]:
    return to_results(Predictions(people.points, np.ones(people.points.shape[:2], np.float32)), people.image_ids)


def read(root: Path) -> tuple[Examination, People, People]:
    layout = recognise(root)
    found = examine(root, layout)
    train, val = (read_people("custom", root, part, custom=layout.custom) for part in ("train", "val"))
    return found, train, val


UNDERSTOOD: dict[str, tuple[Change, str]] = {
    "area 1": (every("area", lambda one, image: 1), "have no area"),
    "area 0": (every("area", lambda one, image: 0), "have no area"),
    "area null": (every("area", lambda one, image: None), "have no area"),
    "area missing": (without("area"), "have no area"),
    "area as a share": (every("area", lambda one, image: one["area"] / (64 * 48)), "have no area"),
    "boxes as shares": (every("bbox", shares), "8 people have a box in shares"),
    "num_keypoints 0": (every("num_keypoints", lambda one, image: 0), "8 people have a num_keypoints that differs"),
    "num_keypoints null": (every("num_keypoints", lambda one, image: None), "8 people have a num_keypoints that differs"),
    "num_keypoints 17.0": (every("num_keypoints", lambda one, image: 17.0), ""),
    "num_keypoints missing": (without("num_keypoints"), ""),
    "numbers as text": (every("bbox", lambda one, image: [str(value) for value in one["bbox"]]), "8 entries have numbers as text"),
    "ids as text": (every("image_id", lambda one, image: str(one["image_id"])), "8 entries have numbers as text"),
    "ids as 1.0": (every("id", lambda one, image: float(one["id"])), "8 entries have numbers as text"),
    "booleans as visibility": (every("keypoints", lambda one, image: [True if v == 2 else v for v in one["keypoints"]]), "or true, false"),
    "lists of three": (every("keypoints", lambda one, image: np.reshape(one["keypoints"], (-1, 3)).tolist()), "8 entries"),
    "a joint at null": (every("keypoints", nowhere), "8 entries"),
    "crowd true": (more(iscrowd=True, keypoints=[0] * 51), "annotations left out: crowd"),
    "crowd without area": (more(iscrowd=1, area=None), "left out: crowd"),
    "crowd without box": (more(iscrowd=1, bbox=None), "1 crowds and unlabelled people have no box"),
    "crowd with short keypoints": (more(iscrowd=1, keypoints=[1, 2, 2]), "1 crowds and unlabelled people have a wrong number"),
    "crowd with an odd visibility": (more(iscrowd=1, keypoints=[1, 2, 7] * 17), "left out: crowd"),
    "unlabelled without a box": (more(keypoints=[], num_keypoints=0, bbox=[]), "1 crowds and unlabelled people have no box"),
    "unlabelled without area": (more(keypoints=[0] * 51, num_keypoints=0, area=None), "left out: no keypoint"),
    "unlabelled with short keypoints": (more(keypoints=[0, 0, 0], num_keypoints=0), "left out: no keypoint"),
    "an image twice": (lambda content: content["images"].append(dict(content["images"][0])), "1 entries are repeated"),
    "an annotation twice": (lambda content: content["annotations"].append(dict(content["annotations"][0])), "1 entries are repeated"),
    "backslashes": (lambda content: [one.update(file_name=".\\" + one["file_name"]) for one in content["images"]], "4 file names have"),
    "a degenerate box": (more(bbox=[10, 10, 0, 20], image_id=2), "left out: degenerate box"),
    "another category": (another_category, "other category"),
}  # fmt: skip


@pytest.mark.parametrize("kind", UNDERSTOOD)
def test_what_is_understood_is_the_sound_set(tmp_path: Path, kind: str) -> None:
    change, note = UNDERSTOOD[kind]
    sound = read(make_set(tmp_path / "sound"))[1]
    root = make_set(tmp_path / "set", change)
    found, train, val = read(root)
    assert not found.stops, found.findings
    told = [finding.text for finding in found.findings if finding.part == "train"]
    assert any(note in text for text in told), told
    for name in (
        {*ARRAYS} - ({"areas"} if kind.startswith("area") else set()) - ({"points", "visibility"} if kind == "a joint at null" else set())
    ):
        np.testing.assert_allclose(getattr(train, name), getattr(sound, name), rtol=1e-6, err_msg=name)
    if kind.startswith("area"):
        assert train.areas.tolist() == [30 * 28] * 8
    truth = ground_truth("custom", root, val, recognise(root).custom)
    assert evaluate_oks(truth, perfect(val))["AP"] == 1
    assert evaluate_oks(root / "val.json", perfect(val))["AP"] == 1


def test_results_that_are_written_otherwise_count_and_score_the_same(tmp_path: Path) -> None:
    """Two numbers of each pose as text, and an id as 2.0: all of them counted; a set's own are told by the command."""
    root = make_set(tmp_path / "set", UNDERSTOOD["ids as text"][0])
    poses = perfect(read(root)[2])
    for pose in poses:
        pose |= {"image_id": float(pose["image_id"]), "score": str(pose["score"]), "category_id": "1"}
    (tmp_path / "poses.json").write_text(json.dumps(poses))
    command = ["evaluate", "--annotations", str(root / "val.json"), "--predictions", str(tmp_path / "poses.json")]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert f"poses.json: {3 * len(poses)} numbers are written as text, or whole ones as 17.0" in done.stderr
    assert "val.json: 8 entries have numbers as text" in done.stdout
    assert re.search(r"AP .* 1\.000", done.stdout)


REFUSED: dict[str, tuple[Change, str]] = {
    "a negative area": (more(area=-3), r"annotations\[8\]: area: -3, must not be negative"),
    "no box": (more(bbox=None), r"annotations\[8\]: bbox: is missing"),
    "half a box": (more(bbox=[1, 2]), r"annotations\[8\]: bbox: has 2 numbers, must have 4"),
    "a tiny box": (more(bbox=[0.1, 0.1, 0.05, 0.05]), r"annotations\[8\]: bbox: is within the first pixel"),
    "x1 y1 x2 y2": (every("bbox", corners), r"annotations\[0\]: bbox: .* looks like x1, y1, x2, y2"),
    "joints as shares": (every("keypoints", lambda one, image: [v if k % 3 == 2 else v / 64 for k, v in enumerate(one["keypoints"])]),
                         r"annotations\[0\]: keypoints: all are within the first pixel"),
    "joints counted but not there": (more(keypoints=None), r"annotations\[8\]: keypoints: has none, but num_keypoints is 17"),
    "short keypoints": (more(keypoints=[5, 6, 2]), r"annotations\[8\]: keypoints: has 3 numbers, must have 51"),
    "visibility 3": (more(keypoints=[5, 6, 3] * 17), r"annotations\[8\]: keypoints: has a visibility"),
    "visibility false": (more(keypoints=[5, 6, False] * 17), r"annotations\[8\]: keypoints\[2\]: .*'false'"),
    "a labelled joint at null": (more(keypoints=[None, 6, 2] * 17), r"annotations\[8\]: keypoints\[0\]: should be a valid number"),
    "an id beyond 63 bits": (more(id=2**63), r"annotations\[8\]: id: should be less than"),
    "an id that is a name": (more(image_id="train1"), r"annotations\[8\]: image_id: .*'train1'"),
    "true for an id": (more(id=True), r"annotations\[8\]: id: "),
    "another image": (more(image_id=77), r"annotations\[8\]: image_id: 77 is not"),
    "an id for two": (more(id=1, area=500), r"annotations\[8\]: id: 1 occurs twice"),
    "an image id for two": (lambda content: content["images"].append({"id": 1, "file_name": "b", "width": 5, "height": 5}),
                            r"images\[4\]: id: 1 occurs twice"),
    "a box off the image": (more(bbox=[100, 20, 10, 10]), r"annotations\[8\]: bbox: is completely outside"),
    "no joints of anybody": (without("keypoints"), "none of its 8 annotations has the field `keypoints`"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused_is_refused_by_all_in_the_same_words(tmp_path: Path, kind: str) -> None:
    change, words = REFUSED[kind]
    root = make_set(tmp_path, change)
    layout = recognise(root)
    told = [finding.text for finding in examine(root, layout).findings if finding.grade == "stops" and finding.part == "val"]
    with pytest.raises(InputError, match=rf"val\.json: {words}"):
        read_people("custom", root, "val", custom=layout.custom)
    with pytest.raises(InputError, match=rf"val\.json: {words}") as error:
        evaluate_oks(root / "val.json", [])
    assert str(error.value).split(" (7 more")[0] == told[0].split("; download the data set")[0]


def partly(places: range | list[int]) -> Change:
    """Boxes of the annotations at these places as corners."""

    def change(content: dict[str, Any]) -> None:
        for place in places:
            one = content["annotations"][place]
            one["bbox"] = corners(one, {})

    return change


def looks(root: Path, words: str) -> list[tuple[str, tuple[str, ...]]]:
    """What is to be checked about the training part, with its places."""
    return [
        (one.text, one.examples)
        for one in examine(root, recognise(root)).findings
        if one.part == "train" and one.grade == "check" and words in one.text
    ]


@pytest.mark.parametrize(("images", "people", "places"), [(4, 2, [3]), (4, 2, range(7)), (1, 2, [1]), (1, 1, [0])])
def test_some_boxes_as_corners_are_named_by_their_places(tmp_path: Path, images: int, people: int, places: range | list[int]) -> None:
    root = make_set(tmp_path, partly(places), images, people)
    assert not examine(root, recognise(root)).stops
    ((text, where),) = looks(root, "looks like x1, y1, x2, y2")
    assert text.startswith(f"{len(places)} of {images * people} people have a box")
    assert [one.split(" (")[0] for one in where] == [f"annotations[{place}]" for place in places[:3]]
    assert re.search(rf"\(id {places[0] + 1}, images/train\d\.png\): bbox \[.*\], image 64 x 48 px", where[0])


def test_boxes_of_their_people_are_no_corners(tmp_path: Path) -> None:
    """Large boxes as well: they end outside the image, or most of them is empty, but as corners they fit nobody."""
    assert not looks(make_set(tmp_path / "sound"), "x1, y1")
    wide = make_set(tmp_path / "wide", every("bbox", lambda one, image: [one["bbox"][0], one["bbox"][1], 200, 150]))
    assert not looks(wide, "x1, y1")
    loose = make_set(tmp_path / "loose", every("bbox", lambda one, image: [1, 1, 60, 46]))
    assert not looks(loose, "x1, y1")


def test_two_people_with_corners_are_refused_if_both_look_so(tmp_path: Path) -> None:
    two = make_set(tmp_path / "two", partly([0, 1]), 1, 2)
    with pytest.raises(InputError, match=r"annotations\[0\]: bbox: .* looks like x1, y1, x2, y2, as do the boxes of all 2 people"):
        read_people("custom", two, "train", custom=recognise(two).custom)
    assert examine(two, recognise(two)).stops

    def of_one_joint(content: dict[str, Any]) -> None:
        partly([0, 1])(content)
        content["annotations"][1]["keypoints"][3:] = [0] * 48

    doubtful = make_set(tmp_path / "doubtful", of_one_joint, 1, 2)
    assert not examine(doubtful, recognise(doubtful)).stops


@pytest.mark.parametrize(
    "area", [lambda one, image: 100 * one["area"] / (64 * 48), lambda one, image: 2], ids=["in percent of the image", "2 for everybody"]
)
def test_areas_far_below_their_boxes_are_named_by_their_places(tmp_path: Path, area: Callable[[Entry, Entry], float]) -> None:
    ((text, where),) = looks(make_set(tmp_path / "set", every("area", area)), "below 2 % of their box")
    assert text.startswith("8 of 8 people have an area")
    assert where[0].startswith("annotations[0] (id 1, images/train1.png): area ")
    assert where[0].endswith(", box 29 x 27 px")
    assert len(where) == 3
    assert not looks(make_set(tmp_path / "sound"), "of their box")
    hidden = make_set(tmp_path / "hidden", lambda content: content["annotations"][0].update(area=2), 10)
    assert not looks(hidden, "of their box"), "one of twenty is somebody who is mostly hidden"


def test_every_fault_is_named_by_its_place_in_the_file(tmp_path: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        for place in (3, 7):
            content["annotations"][place].pop("image_id")
        content["images"][0].pop("width")

    found = examine(make_set(tmp_path, change), recognise(tmp_path))
    told = [finding.text for finding in found.findings if finding.grade == "stops" and finding.part == "train"]
    assert [text.split("json: ")[1].split(";")[0] for text in told] == [
        "images[0]: width: is missing",
        "annotations[3]: image_id: is missing",
        "annotations[7]: image_id: is missing",
    ]
    assert found.people["train"].ids.tolist() == [3, 5, 6, 7], "the rest is read"
    with pytest.raises(InputError, match=r"images\[0\]: width: is missing; repair that entry \(2 more are refused\)"):
        read_people("custom", tmp_path, "train", custom=recognise(tmp_path).custom)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32-be"])
def test_other_encodings_are_read(tmp_path: Path, encoding: str) -> None:
    make_set(tmp_path)
    for part in ("train", "val"):
        path = tmp_path / f"{part}.json"
        path.write_bytes(path.read_text().encode(encoding))
    found, _, val = read(tmp_path)
    assert not found.stops
    assert ground_truth("custom", tmp_path, val, recognise(tmp_path).custom)["images"]
    results = tmp_path / "results.json"
    results.write_bytes(json.dumps(perfect(val)).encode(encoding))
    assert evaluate_oks(tmp_path / "val.json", results)["AP"] == 1


def test_a_file_that_is_cut_off_says_so_everywhere(tmp_path: Path) -> None:
    make_set(tmp_path)
    path = tmp_path / "train.json"
    path.write_bytes(path.read_bytes()[:900])
    layout = recognise(tmp_path)
    words = r"train\.json is not JSON: it is truncated \(EOF while parsing"
    (told,) = [finding.text for finding in examine(tmp_path, layout).findings if finding.grade == "stops"]
    for read in (lambda: read_people("custom", tmp_path, "train", custom=layout.custom), lambda: evaluate_oks(path, [])):
        with pytest.raises(InputError, match=words) as error:
            read()
        assert str(error.value).split("; download")[0] == told.split("; download")[0]


def test_whoever_is_on_a_broken_image_is_not_to_be_found(tmp_path: Path) -> None:
    """Of 8 people two are on an image that is left out: perfect poses of the others score 1."""
    root = make_set(tmp_path)
    layout = recognise(root)
    (root / "images/val2.png").write_bytes(b"broken")
    val = read_people("custom", root, "val", custom=layout.custom)
    summary = write_pack(val, root, tmp_path / "pack", Recipe(16, 1.25, 1.5), max_broken=1, processes=1)
    left = val.subset([k for k, image in enumerate(val.images) if image not in summary["broken"]])
    assert len(left) == 6
    assert evaluate_oks(ground_truth("custom", root, left, layout.custom), perfect(left))["AP"] == 1
    assert evaluate_oks(ground_truth("custom", root, val, layout.custom), perfect(left))["AP"] < 1


def turned(root: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    for path in (root / "images").iterdir():
        Image.open(path).save(path, exif=exif)


def test_sizes_decide_about_exif_or_the_user_is_asked(tmp_path: Path) -> None:
    root, recipe = make_set(tmp_path), Recipe(16, 1.25, 1.5)
    layout = recognise(root)
    train = read_people("custom", root, "train", custom=layout.custom)
    turned(root, 6)  # annotated as stored
    assert not examine(root, layout).stops
    write_pack(train, root, tmp_path / "pack", recipe, 0, 1)
    turned(root, 3)
    told = [finding.text for finding in examine(root, layout).findings if finding.grade == "stops"]
    assert len(told) == 2
    assert all("4 of 4 images are turned or mirrored by their EXIF orientation" in text for text in told)
    with pytest.raises(InputError, match=r"train1\.png: its EXIF orientation \(3\) mirrors it or turns it by 180 degrees.*data\.exif"):
        write_pack(train, root, tmp_path / "pack", recipe, 0, 1)


def test_a_name_that_no_file_can_have_is_missing(tmp_path: Path) -> None:
    long = "9" * 300
    found = examine(make_set(tmp_path, lambda content: content["images"][0].update(file_name=long)), recognise(tmp_path))
    assert any(finding.grade == "stops" and long[:50] in str(finding) for finding in found.findings)
