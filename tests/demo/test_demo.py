"""Synthetic people: the same files for a seed, annotations that say what is in the picture, and enough variety."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.random import default_rng
from PIL import Image
from pycocotools.coco import COCO

from semipose.demo.canvas import SCALE, Layer, limb, mark, paint, rectangle
from semipose.demo.dataset import MIN_AREA, MIN_KEYPOINTS, annotate, render_set
from semipose.demo.figure import FACE, draw_figure, place_face, turn_y
from semipose.demo.outfit import PARTS, Person, draw_outfit
from semipose.demo.person import paint_person
from semipose.pose.skeleton import COCO17

SIZE = (320, 240)
SHOWN = 45  # pictures of the set that most tests look at


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    render_set(folder, {"train": SHOWN, "val": 3}, seed=0)
    return folder


@pytest.fixture(scope="module")
def coco(root: Path) -> COCO:
    return COCO(str(root / "annotations" / "person_keypoints_train2017.json"))


@pytest.fixture(scope="module")
def alone() -> list[tuple[Person, np.ndarray]]:
    """People with nothing before them, whole, and their label maps [H, W]."""
    generator = default_rng(7)
    people = []
    for _ in range(60):
        figure = draw_figure(generator, 150)
        figure.move(np.array([200, 200]))
        outfit = replace(draw_outfit(generator), backpack=False)
        person = Person(figure, outfit, np.array([0.1, -0.1]), 1)
        labels = Image.new("L", (400, 400))
        mark(paint_person(person), labels)
        people.append((person, np.asarray(labels)))
    return people


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_same_bytes_for_a_seed_and_any_number_of_processes(tmp_path: Path) -> None:
    for name, seed, processes in (("one", 3, 1), ("again", 3, 1), ("two", 3, 2), ("other", 4, 1)):
        render_set(tmp_path / name, {"train": 3, "val": 1}, seed, processes=processes)
    one, other = files(tmp_path / "one"), files(tmp_path / "other")
    assert len(one) == 3 + 1 + 2
    assert one == files(tmp_path / "again")
    assert one == files(tmp_path / "two")
    assert all(one[name] != other[name] for name in one)
    assert one["train2017/000000000001.jpg"] != one["val2017/000000000001.jpg"]


def test_a_picture_does_not_depend_on_how_many_there_are(root: Path, tmp_path: Path) -> None:
    render_set(tmp_path, {"train": 2}, seed=0)
    for name in ("000000000001.jpg", "000000000002.jpg"):
        assert (tmp_path / "train2017" / name).read_bytes() == (root / "train2017" / name).read_bytes()


def test_layout_of_coco(root: Path, coco: COCO) -> None:
    for part, count in (("train", SHOWN), ("val", 3)):
        content = json.loads((root / "annotations" / f"person_keypoints_{part}2017.json").read_text())
        assert content.keys() == {"info", "licenses", "images", "annotations", "categories"}
        assert [image["file_name"] for image in content["images"]] == [f"{i:012d}.jpg" for i in range(1, count + 1)]
        assert {path.name for path in (root / f"{part}2017").iterdir()} == {i["file_name"] for i in content["images"]}
        category = content["categories"][0]
        assert (category["id"], tuple(category["keypoints"])) == (1, COCO17.joints)
        assert sorted(map(tuple, category["skeleton"])) == sorted((a + 1, b + 1) for a, b in COCO17.limbs)
    for image in coco.loadImgs(coco.getImgIds())[:10]:
        picture = Image.open(root / "train2017" / image["file_name"])
        assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", SIZE)
        assert 1 <= len(coco.getAnnIds(imgIds=[image["id"]])) <= 3


def test_box_and_area_are_those_of_the_mask(coco: COCO) -> None:
    for annotation in coco.loadAnns(coco.getAnnIds()):
        mask = coco.annToMask(annotation)
        rows, columns = np.nonzero(mask)
        left, top, width, height = annotation["bbox"]
        assert (left, top) == (columns.min(), rows.min())
        assert (left + width - 1, top + height - 1) == (columns.max(), rows.max())
        assert MIN_AREA <= annotation["area"] == mask.sum() <= width * height
        assert (annotation["category_id"], annotation["iscrowd"]) == (1, 0)


def test_masks_of_people_do_not_overlap(coco: COCO) -> None:
    for image in coco.getImgIds():
        masks = [coco.annToMask(annotation) for annotation in coco.loadAnns(coco.getAnnIds(imgIds=[image]))]
        assert sum(masks).max() == 1


def test_visible_keypoints_lie_on_the_mask_and_in_the_picture(coco: COCO) -> None:
    for annotation in coco.loadAnns(coco.getAnnIds()):
        points = np.array(annotation["keypoints"]).reshape(-1, 3)
        assert len(points) == 17
        labelled = points[:, 2] > 0
        assert annotation["num_keypoints"] == labelled.sum() >= MIN_KEYPOINTS
        assert not points[~labelled].any()
        assert ((points[:, :2] >= 0) & (points[:, :2] <= (SIZE[0] - 0.5, SIZE[1] - 0.5))).all()
        mask = np.pad(coco.annToMask(annotation), 1)
        for x, y, _ in points[points[:, 2] == 2]:
            assert mask[round(y) : round(y) + 3, round(x) : round(x) + 3].any()


def test_keypoints_of_a_person_alone_lie_on_the_person(alone: list[tuple[Person, np.ndarray]]) -> None:
    away = 0
    for person, labels in alone:
        found = annotate(person, labels)
        assert found is not None
        for name, (x, y, v) in zip(COCO17.joints, np.array(found["keypoints"]).reshape(-1, 3), strict=True):
            assert (v == 0) == (name in person.figure.turned_away)  # nobody here is cut by the frame
            away += v == 0
            if v:
                assert labels[round(y) - 1 : round(y) + 2, round(x) - 1 : round(x) + 2].any(), name
                assert abs(x - person.figure.joints[name][0]) < 0.01
    assert away > 40


def test_v_is_0_exactly_outside_and_1_behind_a_thing(alone: list[tuple[Person, np.ndarray]]) -> None:
    for person, labels in alone:
        whole = annotate(person, labels)
        assert whole is not None
        cut = annotate(person, np.ascontiguousarray(labels[:, :200]))  # the right half is outside the picture
        covered = labels.copy()
        covered[:, 197:] = 0  # the right half is behind something
        behind = annotate(person, covered)
        for (x, _, v), name in zip(np.array(whole["keypoints"]).reshape(-1, 3), COCO17.joints, strict=True):
            index = 3 * COCO17.joints.index(name) + 2
            if cut is not None:
                assert (cut["keypoints"][index] == 0) == (v == 0 or round(x) >= 200)
            if behind is not None and v and x > 199:
                assert behind["keypoints"][index] == 1


def test_left_is_the_persons_own(alone: list[tuple[Person, np.ndarray]]) -> None:
    views = {"front": 0, "back": 0}
    for person, _ in alone:
        figure = person.figure
        tall = figure.joints["middle"][1] - figure.joints["neck"][1] > 0.24 * figure.stature  # upright, not bent
        if not tall or abs(np.cos(figure.yaw)) < 0.7:
            continue
        view = "front" if np.cos(figure.yaw) > 0 else "back"
        views[view] += 1
        right_of = figure.joints["left_hip"][0] > figure.joints["right_hip"][0]
        assert right_of == (view == "front")
        if view == "back":
            assert {"nose", "left_eye", "right_eye"} & figure.turned_away
    assert min(views.values()) >= 1


def test_turning_away_hides_the_face_and_the_far_ear() -> None:
    hidden = {}
    for degrees in (0, 90, -90, 180):
        frame = turn_y(np.radians(degrees))
        joints = {"head": np.zeros(3)}
        hidden[degrees] = place_face(joints, frame, frame * 10)
        assert joints["nose"][0] == pytest.approx(10 * np.sin(np.radians(degrees)), abs=0.2)
    assert hidden[0] == set()
    assert hidden[90] == {"left_eye", "left_ear"}  # looks to the right of the picture: the left side is the far one
    assert hidden[-90] == {"right_eye", "right_ear"}
    assert hidden[180] == {"nose", "left_eye", "right_eye"}


def test_variety(coco: COCO) -> None:
    people = coco.loadAnns(coco.getAnnIds())
    v = np.array([annotation["keypoints"][2::3] for annotation in people])
    boxes = np.array([annotation["bbox"] for annotation in people])
    edge = (boxes[:, :2] < 1).any(1) | (boxes[:, :2] + boxes[:, 2:] > np.array(SIZE) - 1).any(1)
    assert 1.3 < len(people) / SHOWN < 2.2
    assert 0.08 < (v == 1).sum() / (v > 0).sum() < 0.35
    assert 0.1 < edge.mean() < 0.45
    assert (boxes[:, 3] / boxes[:, 2]).min() < 1 < 3 < (boxes[:, 3] / boxes[:, 2]).max()
    assert boxes[:, 3].min() < 100 < 180 < boxes[:, 3].max()


def test_views_and_poses() -> None:
    generator = default_rng(1)
    figures = [draw_figure(generator, 100) for _ in range(400)]
    forward = np.array([np.cos(figure.yaw) for figure in figures])
    assert 0.78 < (forward > 0.7).mean() < 0.92
    assert 0.015 < (forward < -0.7).mean() < 0.08
    assert 0.05 < (abs(forward) <= 0.7).mean() < 0.2
    assert len({figure.pose for figure in figures}) == 8
    left = np.array([figure.joints["left_wrist"][1] - figure.joints["left_shoulder"][1] for figure in figures])
    right = np.array([figure.joints["right_wrist"][1] - figure.joints["right_shoulder"][1] for figure in figures])
    assert 0.12 < (left < 0).mean() < 0.45  # hands above the shoulders, as often on either side
    assert abs((left < 0).mean() - (right < 0).mean()) < 0.09
    lengths = [np.linalg.norm(f.joints["left_knee"] - f.joints["left_hip"]) for f in figures]
    assert np.std(lengths) > 0.8
    assert all(set(FACE) >= figure.turned_away for figure in figures)


def test_paint_and_mark_agree_on_places() -> None:
    picture, labels = Image.new("RGB", (40 * SCALE, 30 * SCALE)), Image.new("L", (40, 30))
    layers = [Layer(rectangle(10, 5, 14, 9), (255, 255, 255), len(PARTS))]
    paint(layers, picture)
    mark(layers, labels)
    shown = np.asarray(picture.reduce(SCALE))[:, :, 0] / 255.0
    rows, columns = np.mgrid[:30, :40]
    for weights in (shown, np.asarray(labels) == len(PARTS)):
        assert (weights * columns).sum() / weights.sum() == pytest.approx(17, abs=0.3)
        assert (weights * rows).sum() / weights.sum() == pytest.approx(9.5, abs=0.3)


def test_tones_of_a_limb_stay_inside_of_it() -> None:
    generator = default_rng(2)
    for _ in range(50):
        ends = generator.uniform(30, 170, (2, 2))
        light = generator.uniform(-0.2, 0.2, 2)
        layers = limb(ends[0], ends[1], generator.uniform(4, 12, 4).tolist(), (200, 100, 50), light, 1)
        masks = []
        for layer in layers:
            image = Image.new("L", (200, 200))
            mark([layer._replace(label=1)], image)
            masks.append(np.asarray(image) > 0)
        for tone in masks[1:]:
            assert (tone & ~masks[0]).sum() <= 0.03 * masks[0].sum()
