"""MPII: its two layouts against plain loops over their files, and PCKh against its definition, written as loops.

The authors' release cannot be had here (12 MB behind a form), so its .mat is built with the nesting that their README describes and
with what other readers of it work around: empty fields, a single struct where others have an array, visibility as text.
"""

import json
import math
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import test_aic
import torch
from PIL import Image
from scipy.io import savemat
from typer.testing import CliRunner

from semipose.cli.app import app
from semipose.data.annotations import annotations_of
from semipose.data.download.datasets import BY_HAND, DATASETS, check_layout, describe, download
from semipose.data.ground_truth import ground_truth
from semipose.data.loading.matrices import crop_matrices
from semipose.data.loading.pack import CropPack
from semipose.data.packing.writing import Recipe, write_pack
from semipose.data.people import People
from semipose.data.sources import read_people
from semipose.data.sources.mpii import read_mpii
from semipose.data.sources.mpii_rows import head_sizes
from semipose.evaluation.metrics.pckh import evaluate_pckh, pckh
from semipose.evaluation.metrics.statistics import intervals, resampled, sample_weights
from semipose.inference.predict import Predictions, to_results
from semipose.pose.geometry import transform
from semipose.pose.skeleton import MPII16
from semipose.utils.errors import InputError

GROUPS = {
    "Head": ["head_top"], "Shoulder": ["left_shoulder", "right_shoulder"], "Elbow": ["left_elbow", "right_elbow"],
    "Wrist": ["left_wrist", "right_wrist"], "Hip": ["left_hip", "right_hip"], "Knee": ["left_knee", "right_knee"],
    "Ankle": ["left_ankle", "right_ankle"],
}  # fmt: skip


@pytest.fixture(scope="module")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """mpii-mini, whose people are of the test set, as a validation set."""
    if "SEMIPOSE_TEST_DATA" not in os.environ:
        pytest.skip("SEMIPOSE_TEST_DATA is not set: mpii-mini is read from there")
    source, root = Path(os.environ["SEMIPOSE_TEST_DATA"]) / "mpii-mini", tmp_path_factory.mktemp("mini")
    (root / "annot").mkdir()
    (root / "annot/valid.json").symlink_to(source / "test_mpii.json")
    (root / "images").symlink_to(source / "images")
    return root


def entry(number: int, **changes) -> dict:
    generator = np.random.default_rng(number)
    joints, seen = generator.uniform(1, 60, (16, 2)).round(2), generator.integers(0, 2, 16)
    seen[[3, 8, 9]] = 1
    joints[seen == 0] = -1
    return {
        "image": f"{number:09d}.jpg", "center": [30.0 + number, 25.0], "scale": 0.2 + number / 100,
        "joints": joints.tolist(), "joints_vis": seen.tolist(),
    } | changes  # fmt: skip


def without(record: dict, field: str) -> dict:
    return {name: value for name, value in record.items() if name != field}


def write(root: Path, entries: list, name: str = "annot/valid.json") -> Path:
    (root / "images").mkdir(exist_ok=True)
    (root / name).parent.mkdir(exist_ok=True)
    for number in range(12):
        Image.new("RGB", (60 + number, 50)).save(root / f"images/{number:09d}.jpg")
    (root / name).write_text(json.dumps(entries))
    return root


def write_truth(path: Path, entries: list[dict], boxes: np.ndarray, **changes) -> None:
    """gt_valid.mat: head boxes [M, 4] and the joints of the entries."""
    content = {
        "headboxes_src": boxes.reshape(-1, 2, 2).transpose(1, 2, 0),
        "pos_gt_src": np.array([one["joints"] for one in entries]).transpose(1, 2, 0),
        "jnt_missing": 1 - np.array([one["joints_vis"] for one in entries]).T,
        "dataset_joints": np.array(["rank", "head"], object),
    }
    savemat(path, content | changes)


# The JSON conversion


def released_affine(centre: np.ndarray, scale: float, size: int) -> np.ndarray:
    """[2, 3], image px -> crop px, as the released code makes it from three points; scale over 200 px, already grown by 1.25."""

    def three(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        direction = first - second
        return np.array([first, second, second + np.array([-direction[1], direction[0]])])

    source = three(centre, centre + np.array([0, -0.5 * 200 * scale]))
    target = three(np.full(2, size / 2), np.array([size / 2, 0]))
    return np.linalg.solve(np.hstack([source, np.ones((3, 1))]), target).T


def test_people_of_mpii_mini_are_those_of_the_file(mini):
    people = read_mpii(mini, "val")
    entries = json.loads((mini / "annot/valid.json").read_text())
    assert people.skeleton is MPII16
    assert len(people) == 5
    assert people.ids.tolist() == people.image_ids.tolist() == [1, 2, 3, 4, 5]
    for i, one in enumerate(entries):
        assert people.images[i] == f"images/{one['image']}"
        assert Image.open(mini / people.images[i]).size == tuple(people.sizes[i])
        for j in range(16):
            assert people.visibility[i, j] == 2 * one["joints_vis"][j]
            expected = np.array(one["joints"][j]) - 1 if one["joints_vis"][j] else (0, 0)
            np.testing.assert_allclose(people.points[i, j], expected, atol=1e-3)
        assert people.areas[i] == pytest.approx((200 * one["scale"]) ** 2)


def test_crops_are_those_of_the_released_code(mini):
    """With a padding of 1.25 and an input as wide as high; but for the half pixel by which this project's pixel centres differ."""
    people = read_mpii(mini, "val")
    ours = crop_matrices(people.boxes, 256, padding=1.25, extent=1.0, aspect=1.0)
    for i, one in enumerate(json.loads((mini / "annot/valid.json").read_text())):
        centre, scale = np.array(one["center"]), one["scale"]
        centre[1] += 15 * scale
        scale *= 1.25
        theirs = released_affine(centre - 1, scale, 256)
        found = transform(ours[i], torch.from_numpy(people.points[i])).numpy()
        np.testing.assert_allclose(found, people.points[i] @ theirs[:, :2].T + theirs[:, 2] - 0.5, atol=0.01)


def test_a_crop_pack_keeps_the_heads(mini, tmp_path):
    people = read_mpii(mini, "val")
    write_pack(people, mini, tmp_path / "pack", Recipe(64, 1.25, 1.5, 1.0), max_broken=0, processes=1)
    np.testing.assert_array_equal(CropPack.open(tmp_path / "pack").people.head_sizes, people.head_sizes)


def test_the_line_from_neck_to_head_top_is_0_8_diagonals_of_the_box(mini):
    """No box is in mpii-mini, but boxes have whole corners: the squared diagonal is whole, and odd where one of its two extents is."""
    people = read_mpii(mini, "val")
    for one, size in zip(json.loads((mini / "annot/valid.json").read_text()), people.head_sizes, strict=True):
        neck, top = np.array(one["joints"][8]), np.array(one["joints"][9])
        squared = ((neck - top) ** 2).sum() / 0.8**2
        assert squared == pytest.approx(round(squared), abs=0.03)
        odd = [round(2 * value) % 2 for value in (neck + top) / 2]  # of width and height, by the middle of the box
        assert round(squared) % 4 == sum(odd)
        assert size == pytest.approx(0.6 * math.sqrt(squared), rel=1e-5)


@pytest.mark.parametrize("name", ["annot/valid.json", "annot/validation.json", "annotations/mpii_val.json"])
def test_the_conversion_is_found_under_its_names(tmp_path, name):
    people = read_people("mpii", write(tmp_path, [entry(k) for k in range(4)], name), "val")
    assert people.ids.tolist() == [1, 2, 3, 4]
    assert people.sizes[:, 0].tolist() == [60, 61, 62, 63]
    with pytest.raises(InputError, match=r"neither annot/train\.json or annotations/mpii_train\.json is there; download"):
        read_mpii(tmp_path, "train")


def test_people_of_one_image_and_people_left_out(tmp_path):
    entries = [entry(1), entry(2, joints_vis=[0] * 16), entry(3, center=[-1.0, -1.0]), entry(4, image=f"{1:09d}.jpg"), entry(5)]
    people = read_mpii(write(tmp_path, entries, "annot/train.json"), "train")
    assert people.ids.tolist() == [1, 4, 5]
    assert people.image_ids.tolist() == [1, 1, 2]
    assert people.dropped == {"no centre": 1, "no keypoint": 1}


def test_heads_without_neck_or_top_are_not_known_without_their_boxes(tmp_path):
    entries = [entry(k) for k in range(3)]
    entries[1]["joints_vis"][9] = 0
    assert np.isnan(read_mpii(write(tmp_path, entries), "val").head_sizes).tolist() == [False, True, False]
    boxes = np.array([[10, 10, 13, 14], [5, 5, 11, 13], [0, 0, 5, 12]], float)
    write_truth(tmp_path / "annot/gt_valid.mat", entries, boxes)
    people = read_mpii(tmp_path, "val")
    np.testing.assert_allclose(people.head_sizes, [3, 6, 7.8], rtol=1e-6)


def test_gt_valid_is_the_truth(tmp_path):
    entries = [entry(k) for k in range(3)]
    moved = [one | {"joints": (np.array(one["joints"]) + 0.5).tolist()} for one in entries]
    moved[0] = moved[0] | {"joints_vis": [0, 0, 0, 1, *[0] * 12]}
    write_truth(write(tmp_path, entries) / "annot/gt_valid.mat", moved, np.tile([0.0, 0, 3, 4], (3, 1)))
    people = read_mpii(tmp_path, "val")
    assert people.visibility.tolist() == [[2 * seen for seen in one["joints_vis"]] for one in moved]
    np.testing.assert_allclose(people.points[0, 3], np.array(entries[0]["joints"][3]) - 0.5, rtol=1e-5)
    for change, message in (
        ({"headboxes_src": np.zeros((2, 2, 4))}, "`headboxes_src` has shape 2 x 2 x 4, not 2 x 2 x 3 as for the 3 people"),
        ({"pos_gt_src": np.zeros((16, 2, 3)) + 500}, "person 1 is somebody else"),
    ):
        write_truth(tmp_path / "annot/gt_valid.mat", moved, np.zeros((3, 4)), **change)
        with pytest.raises(InputError, match=rf"gt_valid\.mat: {message}"):
            read_mpii(tmp_path, "val")
    (tmp_path / "annot/gt_valid.mat").write_bytes(b"no")
    with pytest.raises(InputError, match=r"gt_valid\.mat: not a MATLAB file"):
        read_mpii(tmp_path, "val")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (entry(2, center=[1.0]), r"center: List should have at least 2 items after validation, not 1, not \[1\.0\]"),
        (entry(2, scale=0), "scale: should be greater than 0, not 0"),
        (entry(2, scale="big"), "scale: should be a valid number, not 'big'"),
        (entry(2, joints=[[1.0, 2.0]] * 15), "joints: List should have at least 16 items"),
        (entry(2, joints=[1.0] * 16), r"joints\[0\]: should be a valid array"),
        (entry(2, joints=[[1.0, float("nan")]] * 16), r"joints\[0\]\[1\]: should be a finite number"),
        (entry(2, joints_vis=[2] * 16), r"joints_vis\[0\]: should be less than or equal to 1, not 2"),
        (without(entry(2), "joints_vis"), "joints_vis: is missing"),
        (entry(2, image=5), "image: should be a valid string, not 5"),
    ],
)
def test_the_conversion_names_file_person_and_field(tmp_path, wrong, message):
    with pytest.raises(InputError, match=rf"(?s)valid\.json: \[1\]: {message}.*repair that entry"):
        read_mpii(write(tmp_path, [entry(1), wrong, entry(3)]), "val")


def test_wrong_files_and_missing_images_are_named(tmp_path):
    for content, message in (
        ({}, "should be a valid array"),
        ([], "List should have at least 1 item"),
        ([5], r"\[0\]: should be an object"),
    ):
        with pytest.raises(InputError, match=rf"valid\.json: {message}"):
            read_mpii(write(tmp_path, content), "val")
    write(tmp_path, [entry(1), entry(40)])
    with pytest.raises(InputError, match=r"images/000000040\.jpg: not there, but valid\.json has its person"):
        read_mpii(tmp_path, "val")
    (tmp_path / "annot/valid.json").unlink()
    with pytest.raises(InputError, match=r"neither annot/valid\.json or .* nor mpii_human_pose_v1_u12_2/.*; download the data set again"):
        read_mpii(tmp_path, "val")


# The authors' release


NOTHING = np.zeros((0, 0))


def structs(records: list[dict]) -> np.ndarray:
    """A struct array, 1 x N; all records have the fields of the first."""
    array = np.empty((1, len(records)), [(name, object) for name in records[0]])
    for i, record in enumerate(records):
        array[0, i] = tuple(record[name] for name in records[0])
    return array


def person(number: int, **changes) -> dict:
    generator = np.random.default_rng(number)
    points = [{"x": x, "y": y, "id": j, "is_visible": "1"} for j, (x, y) in enumerate(generator.uniform(1, 50, (16, 2)).round(4))]
    points[8]["is_visible"] = points[9]["is_visible"] = NOTHING
    points[2]["is_visible"], points[4]["is_visible"] = "0", 0
    return {
        "x1": 10, "y1": 12, "x2": 13 + number, "y2": 20, "annopoints": {"point": structs(points[1:])},
        "scale": 0.2 + number / 100, "objpos": {"x": 20 + number, "y": 25},
    } | changes  # fmt: skip


RELEASE = "mpii_human_pose_v1_u12_2/mpii_human_pose_v1_u12_1.mat"


def release(root: Path, images: list[tuple[int, int, object]], name: str = RELEASE) -> Path:
    """images: (training or not, video, annorect); they are called as those of `write`."""
    records = [
        {"image": {"name": f"{k:09d}.jpg"}, "annorect": people, "frame_sec": 3, "vididx": video}
        for k, (_, video, people) in enumerate(images)
    ]
    write(root, [entry(0)], "unused.json")
    (root / name).parent.mkdir(exist_ok=True)
    content = {"annolist": structs(records), "img_train": np.array([[training for training, *_ in images]]), "version": "12"}
    savemat(root / name, {"RELEASE": content})
    return root


def made_release(root: Path) -> Path:
    test = {"scale": 1.0, "objpos": {"x": 5, "y": 5}}
    return release(
        root,
        [
            (1, 1, structs([person(1), person(2)])),
            (0, 9, structs([test])),
            (1, 1, person(3, scale=NOTHING)),
            (1, 2, NOTHING),
            (1, 2, structs([person(4), person(5, annopoints=NOTHING)])),
            (1, 3, structs([person(6), person(7, x1=NOTHING)])),
            (1, 2, person(8, annopoints={"point": {"x": 5, "y": 6, "id": 3, "is_visible": 1}})),
        ],
    )


def test_people_of_the_release(tmp_path):
    root = made_release(tmp_path)
    train, val = read_mpii(root, "train", 2), read_mpii(root, "val", 2)
    # videos 1, 2, 3 have people 1-3, 4 and 8, 6 and 7; from the end: that of 8, which is enough
    assert [image[7:16] for image in train.images] == [f"{k:09d}" for k in (0, 0, 5, 5)]
    assert train.dropped == {"no centre": 1}
    assert [image[7:16] for image in val.images] == [f"{k:09d}" for k in (4, 6)]
    assert train.ids.tolist() == [1, 2, 5, 6]
    assert val.ids.tolist() == [4, 7]
    assert not {*train.images} & {*val.images}
    assert train.sizes[:, 0].tolist() == [60, 60, 65, 65]
    for i, number in enumerate((1, 2, 6, 7)):
        made = person(number)
        scale = made["scale"]
        x, y, w, h = train.boxes[i]
        assert (w, h) == pytest.approx((200 * scale, 200 * scale))
        assert (x + (w - 1) / 2, y + (h - 1) / 2) == pytest.approx((20 + number - 1, 25 + 15 * scale - 1), abs=1e-4)
        points = np.random.default_rng(number).uniform(1, 50, (16, 2))
        np.testing.assert_allclose(train.points[i, 1:], points[1:] - 1, atol=1e-3)
        assert train.visibility[i].tolist() == [0, 2, 1, 2, 1, *[2] * 11]
        expected = math.nan if number == 7 else 0.6 * math.hypot(3 + number, 8)
        assert train.head_sizes[i] == pytest.approx(expected, nan_ok=True)
    assert val.visibility[1].tolist() == [0, 0, 0, 2, *[0] * 12]
    assert read_mpii(root, "val", 3).ids.tolist() == [4, 5, 6, 7]
    assert read_mpii(root, "train", 3).ids.tolist() == [1, 2]


@pytest.mark.parametrize(("validation", "message"), [(7, "choose 1 to 6"), (6, "leaves no video .* choose fewer")])
def test_validation_people_of_the_release(tmp_path, validation, message):
    with pytest.raises(InputError, match=rf"data\.validation_people: .*{message}"):
        read_mpii(made_release(tmp_path), "val", validation)


def test_the_release_names_what_is_wrong(tmp_path):
    for wrong, message in (({"y": NOTHING}, r"a point has id 3\.0, x 5\.0, y None"), ({"id": 16}, r"a point has id 16\.0")):
        point = {"x": 5, "y": 6, "id": 3, "is_visible": 1} | wrong
        release(tmp_path, [(1, 1, person(1)), (1, 2, person(2, annopoints={"point": point}))])
        with pytest.raises(InputError, match=rf"annolist\(2\)\.annorect\(1\): {message}"):
            read_mpii(tmp_path, "train", 1)
    release(tmp_path, [(0, 1, person(1))])
    with pytest.raises(InputError, match="no person with annopoints"):
        read_mpii(tmp_path, "train", 1)
    savemat(tmp_path / RELEASE, {"other": 1})
    with pytest.raises(InputError, match="no RELEASE with annolist"):
        read_mpii(tmp_path, "train", 1)
    # a conversion of one part only must not be filled up with the release, whose split is another
    write(tmp_path, [entry(1)], "annot/train.json")
    with pytest.raises(InputError, match=r"neither annot/valid\.json"):
        read_mpii(tmp_path, "val", 1)


# The table and the truth


def test_head_sizes_travel_with_the_table(tmp_path):
    entries = [entry(k) for k in range(3)]
    entries[1]["joints_vis"][9] = 0
    people = read_mpii(write(tmp_path, entries), "val")
    people.save(tmp_path / "people.npz")
    loaded = People.load(tmp_path / "people.npz")
    np.testing.assert_array_equal(loaded.head_sizes, people.head_sizes)
    np.testing.assert_array_equal(loaded.subset([2, 1]).head_sizes, people.head_sizes[[2, 1]])
    with pytest.raises(ValueError, match=r"head_sizes has shape \(2,\)"):
        People(**{name: getattr(people, name) for name in people.__dataclass_fields__} | {"head_sizes": people.head_sizes[:2]})
    truth = json.loads(json.dumps(ground_truth("mpii", tmp_path, people), allow_nan=False))
    assert [one["head_size"] for one in truth["annotations"]] == [float(people.head_sizes[0]), None, float(people.head_sizes[2])]
    assert truth["categories"][0]["keypoints"] == list(MPII16.joints)


# PCKh


def by_definition(points: np.ndarray, joints: np.ndarray, missing: np.ndarray, heads: np.ndarray, threshold: float) -> dict[str, float]:
    """methods.md 1.6, joint by joint: points count from pixel 0, joints of the file from 1; heads are diagonals."""
    shares, counts = {}, {}
    for j, name in enumerate(MPII16.joints):
        found = count = 0
        for i in range(len(points)):
            if missing[i, j]:
                continue
            count += 1
            found += math.dist(points[i, j] + 1, joints[i, j]) / (0.6 * heads[i]) <= threshold
        shares[name], counts[name] = (found / count if count else 0.0), count
    scored = [name for name in MPII16.joints if name not in ("pelvis", "thorax")]
    total = sum(counts[name] for name in scored)
    values = {"mean": sum(shares[name] * counts[name] for name in scored) / total}
    values |= {group: sum(shares[name] for name in names) / len(names) for group, names in GROUPS.items()}
    return values | {f"joint/{name}": share for name, share in shares.items()}


def made(people: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Predictions that get worse along the arm, joints as in a file, missing ones, diagonals of the heads."""
    generator = np.random.default_rng(seed)
    joints = generator.uniform(50, 400, (people, 16, 2))
    missing = generator.random((people, 16)) < generator.uniform(0.05, 0.6, 16)
    heads = generator.uniform(20, 120, people)
    noise = generator.uniform(0.1, 0.6, 16)[None, :, None] * heads[:, None, None] * generator.normal(size=(people, 16, 2))
    return joints - 1 + noise, joints, missing, heads


@pytest.mark.parametrize("seed", range(3))
def test_pckh_is_its_definition(seed):
    points, joints, missing, heads = made(40, seed)
    hits = pckh(points, joints - 1, (~missing).astype(int), 0.6 * heads, MPII16.joints)
    expected = by_definition(points, joints, missing, heads, 0.5)
    values = hits.values()
    assert list(values)[:3] == ["PCKh@0.5", "PCKh@0.1", "Head"]
    assert 0.2 < expected["mean"] < 0.9
    assert values.pop("PCKh@0.5") == pytest.approx(expected.pop("mean"))
    assert values.pop("PCKh@0.1") == pytest.approx(by_definition(points, joints, missing, heads, 0.1)["mean"])
    assert values == pytest.approx(expected)


def test_pckh_of_mpii_mini_is_its_definition(mini):
    people = read_mpii(mini, "val")
    entries = json.loads((mini / "annot/valid.json").read_text())
    joints, missing = np.array([one["joints"] for one in entries]), np.array([one["joints_vis"] for one in entries]) == 0
    diagonals = np.linalg.norm(joints[:, 8] - joints[:, 9], axis=1) / 0.8
    noise = np.random.default_rng(0).normal(size=joints.shape) * 0.25 * diagonals[:, None, None]
    hits = pckh(joints - 1 + noise, people.points, people.visibility, people.head_sizes, MPII16.joints)
    expected = by_definition(joints - 1 + noise, joints, missing, diagonals, 0.5)
    assert missing.any()
    assert 0.3 < expected["mean"] < 1
    assert hits.values()["PCKh@0.5"] == pytest.approx(expected.pop("mean"))
    assert {name: hits.values()[name] for name in expected} == pytest.approx(expected)
    assert pckh(people.points, people.points, people.visibility, people.head_sizes, MPII16.joints).values()["PCKh@0.1"] == 1


def test_the_limit_counts_pelvis_and_thorax_do_not_and_unknown_heads_are_left_out():
    sizes = head_sizes(np.array([[0, 0, 6, 8], [0, 0, 3, 4], [5, 5, 5, 5], [np.nan, 0, 3, 4]]))
    assert sizes[:2].tolist() == [6, 3]
    assert np.isnan(sizes[2:]).all()
    truth = np.zeros((3, 16, 2))
    points = np.tile([3.0, 0.0], (3, 16, 1))  # half of the first head, a whole one of the second
    hits = pckh(points, truth, np.ones((3, 16), int), sizes[:3], MPII16.joints)
    assert hits.left_out == 1
    assert hits.values()["PCKh@0.5"] == 0.5
    points[0, [MPII16.joints.index("pelvis"), MPII16.joints.index("thorax")]] = 100
    values = pckh(points, truth, np.ones((3, 16), int), sizes[:3], MPII16.joints)
    assert values.values()["PCKh@0.5"] == 0.5
    assert values.values()["joint/pelvis"] == 0
    assert values.per_person()[:2].tolist() == [1, 0]
    assert np.isnan(values.per_person()[2])
    with pytest.raises(InputError, match="PCKh needs the size of the head"):
        pckh(points, truth, np.ones((3, 16), int), None, MPII16.joints)


def test_joints_that_nobody_has_do_not_spoil_the_mean():
    points, joints, missing, heads = made(10)
    missing[:, MPII16.joints.index("left_knee")] = True
    values = pckh(points, joints - 1, (~missing).astype(int), 0.6 * heads, MPII16.joints).values()
    assert values["PCKh@0.5"] == pytest.approx(by_definition(points, joints, missing, heads, 0.5)["mean"])
    assert values["joint/left_knee"] == values["Knee"] == -1


def test_a_resample_holds_people_repeatedly():
    points, joints, missing, heads = made(15)
    hits = pckh(points, joints - 1, (~missing).astype(int), 0.6 * heads, MPII16.joints)
    weights = sample_weights(15, 4, np.random.default_rng(1))
    found = hits.metrics(weights)
    for b, row in enumerate(weights):
        again = np.repeat(np.arange(15), row)
        expected = by_definition(points[again], joints[again], missing[again], heads[again], 0.5)
        assert found["PCKh@0.5"][b] == pytest.approx(expected["mean"])
        assert found["Wrist"][b] == pytest.approx(expected["Wrist"])
    measures = intervals(hits.metrics, 15, resampled(hits.metrics, 15, 100, np.random.default_rng(0)))
    assert measures["PCKh@0.5"].low < measures["PCKh@0.5"].value < measures["PCKh@0.5"].high


def test_evaluate_gives_results_to_people(tmp_path):
    people = read_mpii(write(tmp_path, [entry(k) for k in range(10)]), "val")
    generator = np.random.default_rng(0)
    points = people.points + generator.normal(size=people.points.shape) * 0.4 * people.head_sizes[:, None, None]
    direct = pckh(points, people.points, people.visibility, people.head_sizes, MPII16.joints).values()
    results = to_results(Predictions(points, np.ones((10, 16), np.float32)), people.image_ids)
    truth = annotations_of(people)
    truth["annotations"][4]["head_size"] = None
    (tmp_path / "GT.json").write_text(json.dumps(truth))
    (tmp_path / "DT.json").write_text(json.dumps(results[::-1]))
    arguments = ["evaluate", "--annotations", f"{tmp_path}/GT.json", "--predictions", f"{tmp_path}/DT.json", "--metric", "pckh"]
    done = CliRunner().invoke(app, [*arguments, "--json", f"{tmp_path}/out.json"])
    assert done.exit_code == 0, done.output
    assert "of 10 people; 1 left out because the head size is not known" in " ".join(done.stdout.split())
    kept = np.delete(np.arange(10), 4)
    expected = pckh(points[kept], people.points[kept], people.visibility[kept], people.head_sizes[kept], MPII16.joints)
    assert json.loads((tmp_path / "out.json").read_text()) == pytest.approx(expected.values())
    assert evaluate_pckh(annotations_of(people), results).values() == pytest.approx(direct)
    for size, message in (
        (0, "head_size: should be greater than 0, not 0"),
        ("big", "head_size: should be a valid number, not 'big'"),
        (..., "of image 1 has no `head_size`"),
    ):
        truth["annotations"][0].pop("head_size")
        truth["annotations"][0] |= {} if size is ... else {"head_size": size}
        (tmp_path / "GT.json").write_text(json.dumps(truth))
        failed = CliRunner().invoke(app, arguments)
        assert failed.exit_code == 1
        assert message in " ".join(failed.output.split())
        truth["annotations"][0]["head_size"] = 5


# Download


def test_addresses_and_layouts_of_mpii(tmp_path):
    assert [remote.name for remote in DATASETS["mpii"]] == ["mpii_human_pose_v1_u12_2.zip", "mpii_human_pose_v1.tar.gz"]
    assert all(remote.url.startswith("https://datasets.d2.mpi-inf.mpg.de/andriluka14cvpr/") for remote in DATASETS["mpii"])
    with pytest.raises(InputError, match=r"lacks mpii_human_pose_v1_u12_2/mpii_human_pose_v1_u12_1\.mat, images/ of source mpii; set data"):
        check_layout("mpii", tmp_path)
    write(tmp_path, [], "annot/valid.json")
    with pytest.raises(InputError, match=r"lacks annot/train\.json of source mpii"):
        check_layout("mpii", tmp_path)
    write(tmp_path, [], "annot/train.json")
    assert [record["path"] for record in describe("mpii", tmp_path)] == ["annot/train.json", "annot/valid.json", "images/"]
    (tmp_path / "annot/gt_valid.mat").touch()
    assert "annot/gt_valid.mat" in [record["path"] for record in describe("mpii", tmp_path)]
    (tmp_path / "other").mkdir()
    made_release(tmp_path / "other")
    assert describe("mpii", tmp_path / "other")[1].items() >= {"path": "images/", "files": 12}.items()


def test_sets_behind_share_links_are_asked_for():
    assert "mpii" not in BY_HAND
    with pytest.raises(InputError, match=r"data\.root: nowhere is not there; it lacks ai_challenger.* is behind share links: get its"):
        download("aic", Path("nowhere"))


@pytest.mark.slow
def test_mpii_with_unlabelled_ai_challenger_goes_through_the_stages(
    mini: Path, tmp_path: Path, stages: Callable[[dict[str, str]], Path]
) -> None:
    people = json.loads((mini / "annot/valid.json").read_text())
    (tmp_path / "annot").mkdir()
    (tmp_path / "images").symlink_to(mini / "images")
    for part in ("train", "valid"):
        (tmp_path / f"annot/{part}.json").write_text(json.dumps(people))
    write_truth(tmp_path / "annot/gt_valid.mat", people, np.tile([0.0, 0, 30, 40], (len(people), 1)))
    for part in ("train", "val"):
        test_aic.write(tmp_path, test_aic.entries(), part)
    unlabelled = f"  unlabelled:\n    source: aic\n    root: {tmp_path}\n    detections: null\n    media: null\n#"
    folder = stages(
        {
            "  source: demo": "  source: mpii",
            "  root: null": f"  root: {tmp_path}",
            "  unlabelled: null": unlabelled,
            "  metric: oks": "  metric: pckh",
            "    L20: 20\n    L40: 40\n": "    L20: all\n",
        }
    )
    record = json.loads((folder / "reports/runs/mpii-akm-L20-s0.json").read_text())
    assert len(read_people("aic", tmp_path, "train")) == 4
    assert (record["labelled"], record["unlabelled"]) == (5, 5), "who has a box but no keypoint is unlabelled too"
    assert record["protocol"]["headline"] == "PCKh@0.5"
    assert {"PCKh@0.5", "PCKh@0.1", "Head", "Ankle", "joint/pelvis"} <= set(record["metrics"])
    found = json.loads((folder / "runs/mpii-akm-L20-s0/predictions.json").read_text())
    hits = total = 0
    for person, result in zip(people, found, strict=True):
        for j in range(16):
            if person["joints_vis"][j] and j not in (6, 7):
                x, y = result["keypoints"][3 * j : 3 * j + 2]
                off = math.dist((x + 1, y + 1), person["joints"][j])
                hits, total = hits + (off <= 0.5 * 0.6 * 50), total + 1
    assert record["metrics"]["PCKh@0.5"]["value"] == pytest.approx(100 * hits / total)
