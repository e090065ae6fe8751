"""Readers of real layouts: against pycocotools and plain loops on real data, and against small files that are wrong."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from scipy.io import loadmat, savemat

from semipose.data.sources import lsp, read_people
from semipose.data.sources.coco import clamp, read_coco
from semipose.pose.skeleton import COCO17, LSP14
from semipose.utils.errors import InputError


def real(folder: str) -> Path:
    if "SEMIPOSE_TEST_DATA" not in os.environ:
        pytest.skip(f"SEMIPOSE_TEST_DATA is not set: {folder} is read from there")
    return Path(os.environ["SEMIPOSE_TEST_DATA"]) / folder


def annotation(number: int, image: int, **changes) -> dict:
    keypoints = [value for joint in range(17) for value in (20 + joint, 30 + joint, joint % 3)]
    entry = {"id": number, "image_id": image, "category_id": 1, "iscrowd": 0, "area": 900.5, "bbox": [10, 20, 40, 50]}
    return entry | {"keypoints": keypoints} | changes


def without(entry: dict, field: str) -> dict:
    return {name: value for name, value in entry.items() if name != field}


def write(root: Path, entries: list[dict], **changes) -> Path:
    data = {
        "images": [{"id": i, "file_name": f"{i:012d}.jpg", "width": 100, "height": 80} for i in (7, 3, 5)],
        "annotations": entries,
        "categories": [{"id": 1, "name": "person", "keypoints": list(COCO17.joints)}, {"id": 2, "name": "dog"}],
    }
    (root / "annotations").mkdir(exist_ok=True)
    (root / "annotations/person_keypoints_train2017.json").write_text(json.dumps(data | changes))
    return root


# --- COCO ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("part", "count"), [("train", 86), ("val", 68)])
def test_coco_people_are_those_of_pycocotools_in_its_order(part, count):
    root = real("coco-mini")
    people = read_coco(root, part)
    api = COCO(root / f"annotations/person_keypoints_{part}2017.json")
    expected, dropped = [], 0
    for image_id in api.getImgIds():
        for entry in api.loadAnns(api.getAnnIds(imgIds=image_id)):
            if entry["category_id"] == 1 and not entry["iscrowd"] and entry["area"] > 0 and entry["num_keypoints"] > 0:
                expected.append(entry)
            else:
                dropped += 1
    assert len(people) == len(expected) == count
    assert people.ids.tolist() == [entry["id"] for entry in expected]
    assert sum(people.dropped.values()) == dropped
    for i, entry in enumerate(expected):
        image = api.imgs[entry["image_id"]]
        assert people.images[i] == f"{part}2017/{image['file_name']}"
        assert Image.open(root / people.images[i]).size == tuple(people.sizes[i])
        keypoints = np.array(entry["keypoints"]).reshape(17, 3)
        np.testing.assert_array_equal(people.points[i], keypoints[:, :2])
        np.testing.assert_array_equal(people.visibility[i], keypoints[:, 2])
        assert people.areas[i] == np.float32(entry["area"])
        x, y, w, h = entry["bbox"]
        x1, y1 = max(0, x), max(0, y)
        x2, y2 = min(image["width"] - 1, x1 + max(0, w - 1)), min(image["height"] - 1, y1 + max(0, h - 1))
        np.testing.assert_allclose(people.boxes[i], (x1, y1, x2 - x1, y2 - y1), rtol=1e-6)


def test_coco_order_is_that_of_images_then_of_annotations(tmp_path):
    entries = [annotation(number, image) for number, image in ((1, 5), (9, 3), (2, 7), (8, 3), (4, 7), (6, 5))]
    people = read_coco(write(tmp_path, entries), "train")
    assert people.ids.tolist() == [2, 4, 9, 8, 1, 6]
    assert people.image_ids.tolist() == [7, 7, 3, 3, 5, 5]


def test_coco_counts_the_dropped_by_the_first_reason(tmp_path):
    entries = [
        annotation(1, 3),
        annotation(2, 3, category_id=2, iscrowd=1),
        annotation(3, 3, iscrowd=1, keypoints=[0] * 51),
        annotation(4, 5, keypoints=[5, 5, 0] * 17, area=0),
        annotation(5, 5, keypoints=None),
        annotation(6, 5, keypoints=[]),
        annotation(7, 7, area=0),
        annotation(8, 7, bbox=[10, 20, 1, 50]),
        annotation(9, 7, bbox=[99.5, 20, 5, 50]),
        without(annotation(10, 7), "iscrowd"),
    ]
    people = read_coco(write(tmp_path, entries), "train")
    assert people.ids.tolist() == [7, 10, 1]
    assert people.areas[0] == 40 * 50, "the box's, for an area of 0"
    expected = {"other category": 1, "crowd": 1, "no keypoint": 3, "degenerate box": 2}
    assert people.dropped == expected


def test_coco_points_without_annotation_are_zero(tmp_path):
    people = read_coco(write(tmp_path, [annotation(1, 3)]), "train")
    absent = people.visibility[0] == 0
    assert absent.sum() == 6
    assert (people.points[0, absent] == 0).all()
    assert (people.points[0, ~absent] > 0).all()


@pytest.mark.parametrize(
    ("box", "clamped"),
    [
        ((10, 20, 30, 40), (10, 20, 29, 39)),
        ((-5, -6, 30, 40), (0, 0, 29, 39)),
        ((90, 70, 30, 40), (90, 70, 9, 9)),
        ((10, 20, 0.5, 40), (10, 20, 0, 39)),
    ],
)
def test_clamp_is_that_of_the_released_code(box, clamped):
    np.testing.assert_array_equal(clamp(np.array([box], float), np.array([[100.0, 80.0]])), [clamped])


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (annotation(8, 3, keypoints=[1] * 50), "keypoints: has 50 numbers, must have 51"),
        (annotation(8, 3, keypoints=5), "keypoints: should be a valid array, not 5"),
        (without(annotation(8, 3, num_keypoints=9), "keypoints"), "keypoints: has none, but num_keypoints is 9"),
        (annotation(8, 3, keypoints=[float("nan"), 2, 2] * 17), r"keypoints\[0\]: should be a finite number, not nan"),
        (
            annotation(8, 3, keypoints=["a", 2, 2] * 17),
            r"keypoints\[0\]: should be a valid number, not 'a'",
        ),
        (annotation(8, 3, keypoints=[1, 2, 3] * 17), "keypoints: has a visibility that is not 0, 1 or 2"),
        (annotation(8, 99), "image_id: 99 is not"),
        (annotation(8, 3, bbox=[200, 20, 10, 10]), "bbox: is completely outside"),
        (annotation(8, 3, bbox=[20, -30, 10, 10]), "bbox: is completely outside"),
        (annotation(8, 3, bbox=[20, 30, 10]), "bbox: has 3 numbers, must have 4"),
        (annotation(8, 3, bbox=[20, 30, 10, float("inf")]), r"bbox\[3\]: should be a finite number, not inf"),
        (without(annotation(8, 3), "bbox"), "bbox: is missing"),
        (annotation(8, 3, area=10**400), r"area: should be a (finite|valid) number, not 1000+\.\.\."),
    ],
)
def test_coco_names_file_annotation_and_field(tmp_path, entry, message):
    with pytest.raises(
        InputError, match=rf"(?s)person_keypoints_train2017\.json: annotations\[1\]: {message}.*; (repair|download the data set again)"
    ):
        read_coco(write(tmp_path, [annotation(1, 3), entry, annotation(9, 3)]), "train")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": None}, "images: should be a valid array, not None"),
        ({"categories": [{"id": 2, "name": "dog"}]}, "0 categories .* are named 'person'"),
        ({"categories": [{"id": 1, "name": "person", "keypoints": ["nose"]}]}, "`keypoints` are not COCO's 17"),
        (
            {"images": [{"id": 3, "file_name": "a.jpg", "width": 0, "height": 5}]},
            r"images\[0\]: width: should be greater than or equal to 1",
        ),
        ({"images": [{"id": 3, "file_name": "a.jpg", "height": 5}]}, r"images\[0\]: width: is missing"),
        ({"images": [{"id": 3, "width": 5, "height": 5}]}, r"images\[0\]: file_name: is missing"),
        ({"annotations": [annotation(1, 3), annotation(1, 3, area=7)]}, r"annotations\[1\]: id: 1 occurs twice"),
        ({"annotations": [without(annotation(1, 3), "id")]}, r"annotations\[0\]: id: is missing"),
        ({"annotations": [annotation(1, 3, bbox=[5, 5, 1, 9])]}, r"no person is left \(left out: 1 degenerate box"),
        (
            {"annotations": [without(annotation(1, 3), "keypoints")]},
            r"none of its 1 annotations has the field `keypoints`, as in COCO's instances",
        ),
    ],
)
def test_coco_names_the_wrong_list(tmp_path, changes, message):
    with pytest.raises(InputError, match=rf"person_keypoints_train2017\.json.*{message}"):
        read_coco(write(tmp_path, [annotation(1, 3)], **changes), "train")


def test_coco_names_a_missing_and_a_broken_file(tmp_path):
    with pytest.raises(InputError, match=r"person_keypoints_train2017\.json: no such file; download the data set again"):
        read_coco(tmp_path, "train")
    path = write(tmp_path, [annotation(1, 3)]) / "annotations/person_keypoints_train2017.json"
    for data in (path.read_bytes()[:-5], b"\xff\xfe\x00", b"[" * 100_000):
        path.write_bytes(data)
        with pytest.raises(InputError, match=r"person_keypoints_train2017\.json is not JSON"):
            read_coco(tmp_path, "train")


# --- LSP ----------------------------------------------------------------------------------------------------------


def test_lspet_people_are_those_of_the_file():
    root = real("lspet")
    joints = loadmat(root / "joints.mat")["joints"]
    train, val = (read_people("lsp", root, part, 500) for part in ("train", "val"))
    assert (len(train), len(val)) == (3000, 500)
    assert train.skeleton is LSP14
    assert not set(train.ids) & set(val.ids)
    assert val.images[0] == "images/im03001.jpg"
    for people, i in [(train, 0), (train, 1234), (train, 2999), (val, 0), (val, 499)]:
        x, y, visible = joints[:, :, int(people.ids[i]) - 1].T
        seen = visible == 1
        np.testing.assert_array_equal(people.visibility[i], np.where(seen, 2, 0))
        np.testing.assert_allclose(people.points[i, seen], np.stack([x, y], 1)[seen], rtol=1e-6)
        assert (people.points[i, ~seen] == 0).all()
        width, height = np.ptp(x[seen]), np.ptp(y[seen])
        box = (x[seen].min() - width / 10, y[seen].min() - height / 10, 1.2 * width, 1.2 * height)
        np.testing.assert_allclose(people.boxes[i], box, rtol=1e-5, atol=1e-4)
        np.testing.assert_allclose(people.areas[i], box[2] * box[3], rtol=1e-5)
        assert people.images[i] == f"images/im{people.ids[i]:05d}.jpg"
        assert Image.open(root / people.images[i]).size == tuple(people.sizes[i])


def write_lsp(root: Path, people: int = 6) -> np.ndarray:
    joints = np.random.default_rng(0).uniform(1, 60, (14, 3, people))
    joints[:, 2] = 1
    (root / "images").mkdir()
    for i in range(people):
        Image.new("RGB", (40 + i, 60)).save(root / f"images/im{i + 1:05d}.jpg")
    savemat(root / "joints.mat", {"joints": joints})
    return joints


def test_lsp_drops_people_without_extent_and_counts_them_in_their_part(tmp_path):
    joints = write_lsp(tmp_path)
    joints[1:, 2, 1] = 0  # one visible joint
    joints[:, 2, 2] = 0  # none
    joints[:, 0, 3] = 25  # all above each other
    joints[0, 2, 4], joints[0, :2, 4] = 0, np.nan
    savemat(tmp_path / "joints.mat", {"joints": joints})
    train, val = (read_people("lsp", tmp_path, part, 2) for part in ("train", "val"))
    assert train.ids.tolist() == [1]
    assert train.dropped == {"fewer than 2 visible joints": 2, "degenerate box": 1}
    assert val.ids.tolist() == [5, 6]
    assert val.dropped == {}
    assert val.sizes.tolist() == [[44, 60], [45, 60]]
    assert np.isfinite(val.points).all()


def test_lsp_names_a_missing_image_and_lets_the_pack_count_a_damaged_one(tmp_path):
    write_lsp(tmp_path)
    (tmp_path / "images/im00002.jpg").write_bytes(b"no image")
    assert lsp.read_lsp(tmp_path, "train", 2).sizes[:2].tolist() == [[40, 60], [0, 0]]
    (tmp_path / "images/im00003.jpg").unlink()
    with pytest.raises(InputError, match=r"images/im00003\.jpg: not there"):
        lsp.read_lsp(tmp_path, "train", 2)


@pytest.mark.parametrize("validation", [0, -1, 6, 7])
def test_lsp_validation_must_leave_both_parts(tmp_path, validation):
    write_lsp(tmp_path)
    with pytest.raises(InputError, match=rf"data\.validation_people: the last {validation} people.*has 6; choose 1 to 5"):
        lsp.read_lsp(tmp_path, "train", validation)


def test_lsp_names_a_wrong_file(tmp_path):
    with pytest.raises(InputError, match=r"joints\.mat: no such file; download the data set again"):
        lsp.read_lsp(tmp_path, "train", 2)
    joints = write_lsp(tmp_path)
    for content, message in (
        ({"joints": joints.transpose(1, 0, 2)}, "has shape 3 x 14 x 6, not 14 x 3 x N"),
        ({"other": joints}, "`joints` is missing"),
        ({"joints": np.where(joints == 1, 2, joints)}, "person 1, right_ankle: .*visibility of 0 or 1"),
        ({"joints": np.where(joints == joints[3, 0, 4], np.inf, joints)}, "person 5, left_hip"),
    ):
        savemat(tmp_path / "joints.mat", content)
        with pytest.raises(InputError, match=rf"joints\.mat: .*{message}"):
            lsp.read_lsp(tmp_path, "train", 2)
    (tmp_path / "joints.mat").write_bytes(b"MATLAB? no")
    with pytest.raises(InputError, match=r"joints\.mat: not a MATLAB file"):
        lsp.read_lsp(tmp_path, "train", 2)


def test_unknown_source_and_part_are_named(tmp_path):
    with pytest.raises(InputError, match=r"data\.source: 'moon'"):
        read_people("moon", tmp_path, "train", 0)
    with pytest.raises(InputError, match=r"part: 'test'"):
        read_people("coco", tmp_path, "test", 0)
