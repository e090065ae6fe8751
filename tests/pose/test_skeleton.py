"""Skeletons are data; what the tables of names, limbs and sigmas promise is checked against the annotation files."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.cocoeval import Params

from semipose.config.data import Custom
from semipose.data.ground_truth import ground_truth
from semipose.data.people import People
from semipose.data.sources.coco import read_custom
from semipose.evaluation.metrics.average_precision import evaluate_oks
from semipose.inference.predict import Predictions, to_results
from semipose.pose.skeleton import AIC14, COCO17, DEFAULT_SIGMA, LSP14, MPII16, SKELETONS, custom, decode, named_pairs
from semipose.utils.errors import InputError


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=SKELETONS)
def test_flip_swaps_sides_and_nothing_else(skeleton):
    swapped = {"left": "right", "right": "left"}
    for joint, partner in enumerate(skeleton.flip):
        assert skeleton.flip[partner] == joint
        side, _, rest = skeleton.joints[joint].partition("_")
        expected = f"{swapped[side]}_{rest}" if side in swapped else skeleton.joints[joint]
        assert skeleton.joints[partner] == expected


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=SKELETONS)
def test_pairs_are_left_right_and_cover_every_sided_joint(skeleton):
    sided = [name for name in skeleton.joints if name.startswith(("left_", "right_"))]
    assert len(set(skeleton.joints)) == len(skeleton.joints)
    assert len(skeleton.pairs) == len(sided) / 2
    assert all(skeleton.joints[left].startswith("left_") for left, _ in skeleton.pairs)


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=SKELETONS)
def test_limbs_join_the_whole_body_once(skeleton):
    limbs = [frozenset(limb) for limb in skeleton.limbs]
    assert len(set(limbs)) == len(limbs)
    assert all(len(limb) == 2 for limb in limbs)
    body = set(limbs[0])
    for _ in limbs:
        body |= {joint for limb in limbs if limb & body for joint in limb}
    face = {j for j, name in enumerate(skeleton.joints) if "eye" in name or "ear" in name or name == "nose"}
    assert body | face == set(range(len(skeleton.joints)))
    mirrored = {frozenset(skeleton.flip[joint] for joint in limb) for limb in limbs}
    assert mirrored == set(limbs)


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=SKELETONS)
def test_torso_joints_exist(skeleton):
    assert set(skeleton.torso) <= set(skeleton.joints)


def test_coco_sigmas_are_the_evaluators():
    np.testing.assert_allclose(COCO17.sigmas, Params(iouType="keypoints").kpt_oks_sigmas)
    assert LSP14.sigmas == MPII16.sigmas == ()
    assert pytest.approx(np.mean(COCO17.sigmas), abs=1e-3) == DEFAULT_SIGMA


def test_coco_names_and_limbs_are_those_of_the_annotation_file():
    if "SEMIPOSE_TEST_DATA" not in os.environ:
        pytest.skip("SEMIPOSE_TEST_DATA is not set: no real annotation file to compare with")
    path = Path(os.environ["SEMIPOSE_TEST_DATA"]) / "coco-mini/annotations/person_keypoints_val2017.json"
    person = json.loads(path.read_text())["categories"][0]
    assert tuple(person["keypoints"]) == COCO17.joints
    assert [[a + 1, b + 1] for a, b in COCO17.limbs] == person["skeleton"]


def test_lsp_order():
    assert LSP14.joints[0] == "right_ankle"
    assert LSP14.joints[5] == "left_ankle"
    assert LSP14.joints[6] == "right_wrist"
    assert LSP14.joints[11] == "left_wrist"
    assert LSP14.joints[12:] == ("neck", "head_top")


def test_mpii_and_aic_order():
    assert [MPII16.joints.index(name) for name in ("right_ankle", "left_hip", "pelvis", "thorax", "head_top")] == [0, 3, 6, 7, 9]
    assert MPII16.pairs == ((3, 2), (4, 1), (5, 0), (13, 12), (14, 11), (15, 10))
    assert AIC14.pairs == ((3, 0), (4, 1), (5, 2), (9, 6), (10, 7), (11, 8))
    assert AIC14.joints[12:] == ("head_top", "neck")


def test_aic_sigmas_are_those_of_its_evaluation():
    """Which are the same as their inverse squares over the smallest one, as a user of that evaluation published them."""
    published = [7.9323, 6.6576, 13.6640, 7.6050, 6.8126, 7.7748, 1.0, 1.1245, 3.8918, 1.0345, 1.3127, 2.6207, 9.1646, 10.0027]
    sigmas = np.array(AIC14.sigmas)
    np.testing.assert_allclose((sigmas.max() / sigmas) ** 2, published, rtol=1e-4)
    assert sigmas.max() == 0.03909642


# Skeletons of the user's own


@pytest.mark.parametrize(
    "joints",
    [
        ("tail", "right_ear", "left_ear"),
        ("tail", "R_Ear", "L_Ear"),
        ("tail", "REar", "LEar"),
        ("tail", "rightEar", "leftEar"),
        ("tail", "ear right", "ear left"),
        ("tail", "earR", "earL"),
        ("tail", "RIGHT-EAR", "LEFT-EAR"),
        ("tail", "front_right_paw", "front_left_paw"),
        ("tail", "righteye", "lefteye"),
        ("tail", "right_2", "left_2"),
    ],
)
def test_names_tell_the_pairs(joints):
    assert named_pairs(joints) == ((2, 1),)


@pytest.mark.parametrize("joints", [("rear", "tail"), ("bright_spot", "cleft"), ("Lip", "Root"), ("1", "2")])
def test_names_without_a_side_have_no_pairs(joints):
    assert named_pairs(joints) == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"joints": ["left_ear", "tail"]}, "dog: joint 'left_ear' has no partner on the other side"),
        ({"joints": ["left_ear", "right_ear", "Left Ear"]}, "dog: joints 'left_ear' and 'Left Ear' are on the same side"),
        ({"joints": ["a", "a"]}, r"dog: joints \['a', 'a'\] must be one or more different names"),
        ({"joints": ["a", 5]}, "dog: joints .* must be one or more different names"),
        ({"joints": []}, "dog: joints .* one or more different names"),
        ({"limbs": [[0, 3]]}, r"dog: limb \[0, 3\] must be two different joints"),
        ({"limbs": [[1, 1]]}, r"dog: limb \[1, 1\]"),
        ({"pairs": [["near_ear", "off"]]}, r"dog: pair \['near_ear', 'off'\] must be two different joints of near_ear, off_ear, tail"),
        ({"pairs": [["near_ear", "off_ear"], ["tail", "off_ear"]]}, "dog: joint 'off_ear' is in two pairs"),
        ({"pairs": [["tail"]]}, r"dog: pair \['tail'\]"),
        ({"sigmas": [0.1, 0.1]}, r"dog: sigmas \[0\.1, 0\.1\] must be 3 numbers above 0"),
        ({"sigmas": [0.1, 0.1, 0]}, "dog: sigmas"),
        ({"torso": ["tail", "chest"]}, r"dog: torso \['tail', 'chest'\]"),
    ],
)
def test_custom_names_what_is_wrong(changes, message):
    with pytest.raises(InputError, match=message):
        custom(**({"joints": ["near_ear", "off_ear", "tail"], "name": "dog"} | changes))


def test_custom_defaults_and_pairs_that_names_do_not_tell():
    horse = custom(["near_ear", "off_ear", "tail"], [[0, 2]], [["off_ear", "near_ear"]], torso=["tail", "off_ear"])
    assert horse.flip == [1, 0, 2]
    assert horse.pairs == ((1, 0),)
    assert horse.sigmas == (DEFAULT_SIGMA,) * 3
    assert horse.torso == ("tail", "off_ear")
    assert custom(["left_ear", "right_ear"], pairs=[]).flip == [0, 1]
    assert custom(["a", "b"], sigmas=[]).sigmas == ()


@pytest.mark.parametrize("skeleton", [COCO17, MPII16, custom(["near", "off"], [[0, 1]], [["near", "off"]]), custom(["a"], name="coco17")])
def test_a_skeleton_is_read_as_it_was_written(skeleton):
    assert decode(skeleton.encode()) == skeleton
    assert (skeleton.encode() == skeleton.name) == (skeleton in (COCO17, MPII16))


FOX = ["nose", "LEar", "REar", "tail_base", "tail_tip"]


def write_foxes(root: Path, **changes) -> Path:
    """Five foxes, of which one has no keypoint and one is a crowd; and a bird, whose category has one joint."""
    generator = np.random.default_rng(0)
    (root / "photos").mkdir(exist_ok=True)
    annotations = []
    for number in range(1, 6):
        points = np.concatenate([generator.uniform(5, 70, (5, 2)).round(1), generator.integers(1, 3, (5, 1))], axis=1)
        points[4] = 0
        Image.new("RGB", (80, 80)).save(root / f"photos/{number}.jpg")
        annotations.append(
            {
                "id": number + 10, "image_id": number, "category_id": 7, "iscrowd": 0, "area": 2000.0, "bbox": [2, 2, 70, 70],
                "segmentation": [], "keypoints": points.ravel().tolist(),
            }
        )  # fmt: skip
    annotations[1]["keypoints"] = None
    annotations[2] = {**annotations[2], "iscrowd": 1, "keypoints": [0] * 15}
    annotations.append({**annotations[0], "id": 3, "category_id": 8, "keypoints": [4, 4, 2]})
    data = {
        "images": [{"id": number, "file_name": f"{number}.jpg", "width": 80, "height": 80} for number in range(1, 6)],
        "annotations": annotations,
        "categories": [
            {"id": 7, "name": "fox", "keypoints": FOX, "skeleton": [[1, 2], [1, 3], [4, 5]]} | changes,
            {"id": 8, "name": "bird", "keypoints": ["beak"]},
        ],
    }
    (root / "foxes.json").write_text(json.dumps(data))
    return root


def test_five_joints_of_another_animal(tmp_path):
    foxes = read_custom(write_foxes(tmp_path), "foxes.json", "photos", category="fox")
    assert foxes.skeleton.joints == tuple(FOX)
    assert foxes.skeleton.limbs == ((0, 1), (0, 2), (3, 4))
    assert foxes.skeleton.flip == [0, 2, 1, 3, 4]
    assert foxes.ids.tolist() == [11, 14, 15]
    assert foxes.images == ["photos/1.jpg", "photos/4.jpg", "photos/5.jpg"]
    assert foxes.dropped == {"crowd": 1, "no keypoint": 1, "other category": 1}
    assert (foxes.visibility > 0).sum(1).tolist() == [4, 4, 4]
    foxes.save(tmp_path / "people.npz")
    assert People.load(tmp_path / "people.npz").skeleton == foxes.skeleton

    part = {"annotations": "foxes.json", "images": "photos"}
    told = {"category": "fox", "pairs": None, "sigmas": None, "torso": None}
    truth = ground_truth("custom", tmp_path, foxes, Custom.model_validate({"train": part, "val": part} | told))
    assert len(truth["annotations"]) == 5
    right = Predictions(foxes.points, np.ones((3, 5), np.float32))
    mirrored = Predictions(foxes.points[:, foxes.skeleton.flip], right.confidence)
    values = [
        evaluate_oks(truth, to_results(found, foxes.image_ids, category=truth["categories"][0]["id"]), foxes.skeleton.sigmas)["AR"]
        for found in (right, mirrored)
    ]
    assert values[0] == 1 > values[1]


def test_a_custom_set_names_file_category_and_field(tmp_path):
    for changes, words, message in (
        ({}, {}, r"2 categories with `keypoints` \(the joints' names\) instead of one; .*: fox, bird; name one"),
        ({}, {"category": "cat"}, r"0 categories with `keypoints` .* are named 'cat'"),
        ({"skeleton": [[0, 1]]}, {"category": "fox"}, r"categories\[\d\]: skeleton\[0\]\[0\]: should be greater than or equal to 1, not 0"),
        ({"skeleton": [[1, 6]]}, {"category": "fox"}, r"category fox: `skeleton` has \[1, 6\]"),
        ({"skeleton": 5}, {"category": "fox"}, r"categories\[\d\]: skeleton: should be a valid array, not 5"),
        ({"keypoints": ["left_ear", *FOX[1:]]}, {"category": "fox"}, "category fox: joints 'left_ear' and 'LEar' are on"),
        ({"keypoints": FOX[:4]}, {"category": "fox", "pairs": []}, "category fox: `skeleton` has .4, 5., but there are 4 joints"),
        ({"keypoints": FOX[:4], "skeleton": []}, {"category": "fox"}, r"annotations\[\d\]: keypoints: has 15 numbers, must have 12"),
        ({}, {"category": "fox", "pairs": [["LEar", "Rear"]]}, "category fox: pair"),
    ):
        write_foxes(tmp_path, **changes)
        with pytest.raises(InputError, match=rf"foxes\.json: {message}"):
            read_custom(tmp_path, "foxes.json", "photos", **words)
    with pytest.raises(InputError, match=r"none\.json: no such file"):
        read_custom(tmp_path, "none.json", "photos")
