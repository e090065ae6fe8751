"""Skeletons are data; what the tables of names, limbs and sigmas promise is checked against the annotation files."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from pycocotools.cocoeval import Params

from semipose.skeleton import COCO17, LSP14, SKELETONS


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
    assert LSP14.sigmas == ()


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
