import numpy as np
import pytest
from PIL import Image

from semipose.pose.drawing import COLOURS, OUTLINE, as_image, draw_heatmap, draw_pose, sheet, side
from semipose.pose.heatmap import encode
from semipose.pose.skeleton import COCO17, LSP14


def grey(width=200, height=300):
    return np.full((height, width, 3), 128, np.uint8)


def standing(scale=1.0):
    """A person of 100 x 200 px, facing the camera, whose left is on the right of the picture."""
    points = {
        "nose": (50, 10), "left_eye": (55, 6), "right_eye": (45, 6), "left_ear": (60, 8), "right_ear": (40, 8),
        "left_shoulder": (70, 40), "right_shoulder": (30, 40), "left_elbow": (90, 70), "right_elbow": (10, 70),
        "left_wrist": (100, 100), "right_wrist": (0, 100), "left_hip": (62, 100), "right_hip": (38, 100),
        "left_knee": (64, 150), "right_knee": (36, 150), "left_ankle": (66, 200), "right_ankle": (34, 200),
    }  # fmt: skip
    return np.array([points[name] for name in COCO17.joints], float) * scale + 40


def test_sides_have_their_colours():
    picture = np.asarray(draw_pose(grey(), standing(), np.ones(17), COCO17))
    for names, expected in {
        ("left_knee", "left_ankle"): "left",
        ("right_shoulder", "right_elbow"): "right",
        ("left_hip", "right_hip"): "centre",
    }.items():
        a, b = (standing()[COCO17.joints.index(name)] for name in names)
        x, y = ((a + b) / 2).round().astype(int)
        assert tuple(picture[y, x]) == COLOURS[expected]


def test_a_limb_has_the_side_that_its_joints_name():
    joint = LSP14.joints.index
    assert side(LSP14, joint("right_ankle"), joint("right_knee")) == "right"
    assert side(LSP14, joint("left_shoulder"), joint("neck")) == "left"
    assert side(LSP14, joint("left_hip"), joint("right_hip")) == side(LSP14, joint("neck")) == "centre"


@pytest.mark.parametrize("kind", ["confidence", "visibility"])
def test_what_is_not_seen_is_not_drawn(kind):
    seen = np.full(17, 0.9) if kind == "confidence" else np.full(17, 2)
    knee, ankle = COCO17.joints.index("left_knee"), COCO17.joints.index("left_ankle")
    seen[ankle] = 0
    before = grey()
    picture = np.asarray(draw_pose(before, standing(), seen, COCO17, 0.2))
    x, y = standing()[ankle].astype(int)
    assert (picture[y - 30 :, x - 6 : x + 7] == 128).all()
    assert (before == 128).all()
    x, y = standing()[knee].astype(int)
    assert (picture[y - 3 : y + 4, x - 3 : x + 4] != 128).any()
    assert (np.asarray(draw_pose(before, standing(), np.zeros(17), COCO17)) == 128).all()
    assert (np.asarray(draw_pose(before, np.zeros((0, 17, 2)), np.zeros((0, 17)), COCO17)) == 128).all()


def test_a_joint_lies_on_the_centre_of_its_pixel():
    seen = np.zeros(17)
    seen[0] = 1
    points = np.full((17, 2), np.nan)
    points[0] = (101, 57)
    change = np.abs(np.asarray(draw_pose(grey(), points, seen, COCO17)).astype(float) - 128).sum(2)
    y, x = np.mgrid[: change.shape[0], : change.shape[1]]
    assert (change * x).sum() / change.sum() == pytest.approx(101, abs=0.1)
    assert (change * y).sum() / change.sum() == pytest.approx(57, abs=0.1)


def test_several_people_are_drawn():
    people = np.stack([standing(0.4), standing(0.4) + np.array([100, 120])])
    picture = np.asarray(draw_pose(as_image(grey()), people, np.ones((2, 17)), COCO17))
    alone = np.asarray(draw_pose(grey(), people[0], np.ones(17), COCO17))
    assert (picture[:140, :95] == alone[:140, :95]).all()
    assert (picture[150:, 120:] != 128).any()
    assert not (alone[150:, 120:] != 128).any()


def test_a_heatmap_glows_where_its_point_is():
    import torch

    point = torch.tensor([[[37.0, 101.0]]])
    maps, _ = encode(point, torch.ones(1, 1), (64, 48), 4, 2.0)
    picture = np.asarray(draw_heatmap(grey(192, 256), maps[0].numpy())).astype(int)
    y, x = np.unravel_index(picture[..., :2].sum(2).argmax(), picture.shape[:2])
    assert abs(x - 37) <= 2
    assert abs(y - 101) <= 2
    assert (picture[200:, 150:] == 128).all()
    assert (np.asarray(draw_heatmap(grey(192, 256), np.zeros((64, 48)))) == 128).all()


def test_sheets_of_one_tile_and_of_none():
    assert sheet([Image.new("L", (20, 30))], [""], 4).width < 2 * 160
    assert sheet([], [], 3).size[0] > 0
    with pytest.raises(ValueError, match="empty"):
        sheet([grey()], [], 1)


def test_grey_and_transparent_pictures_become_rgb():
    assert as_image(Image.new("LA", (4, 4))).mode == as_image(grey()).mode == "RGB"
    assert OUTLINE not in COLOURS.values()
