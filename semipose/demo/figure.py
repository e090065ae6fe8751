"""An articulated body in three dimensions: proportions and a pose become joints for the demo data.

Axes of an image: x to the right, y down, z towards the viewer, all in pixels (no perspective).
A body frame is a 3x3 matrix whose columns are the person's left, down and forward.
It is the identity for a person who stands and faces the viewer.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Array = NDArray[np.float64]

SIDES = {"left": 1, "right": -1}
POSES = {"stand": 0.34, "walk": 0.2, "run": 0.1, "reach": 0.2, "bend": 0.05, "sit": 0.07, "squat": 0.01, "jump": 0.03}
# Where a surface turns away from the viewer by more than this, a point of the face is hidden: z of its direction.
FACE_LIMIT = {"nose": -0.1, "left_eye": 0.05, "right_eye": 0.05, "left_ear": -0.2, "right_ear": -0.2}
FACE = {  # directions from the head's centre: left, down, forward
    "nose": (0.0, 0.12, 1.0),
    "left_eye": (0.36, -0.14, 0.9),
    "right_eye": (-0.36, -0.14, 0.9),
    "left_ear": (1.0, -0.02, -0.05),
    "right_ear": (-1.0, -0.02, -0.05),
}


@dataclass
class Figure:
    """A posed person: joints by COCO name and more, each [3] in pixels; frames [3, 3]; lengths in pixels."""

    joints: dict[str, Array]
    frames: dict[str, Array]
    head_axes: Array  # [3, 3], the half axes of the head in its columns
    turned_away: set[str]  # points of the face on the far side of the head
    stature: float
    build: float  # 1 is slim, more is wider
    pose: str
    yaw: float  # radians; 0 faces the viewer, a positive angle turns towards the right of the picture

    def move(self, shift: Array) -> None:
        """Move the whole person by shift [2], in pixels."""
        for joint in self.joints.values():
            joint[:2] += shift


def turn_x(angle: float) -> Array:
    """Swing down towards forward."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])


def turn_y(angle: float) -> Array:
    """Swing forward towards left."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])


def turn_z(angle: float) -> Array:
    """Swing left towards down."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def draw_yaw(generator: Generator) -> float:
    """Sample the direction in radians: facing the viewer, to a
    side or away, with every angle between.

    Backs are few: a network that has seen a handful takes them for fronts and swaps left and right,
    and no unlabelled person can correct that (docs/notebook/limits.md).
    """
    view = generator.choice(4, p=[0.86, 0.05, 0.05, 0.04])
    return float(np.radians([0.0, 90.0, -90.0, 180.0][view] + generator.normal(0, 15)))


def draw_pose(generator: Generator, pose: str) -> dict[str, Array]:
    """Sample joint angles in degrees of one kind of pose: [2] (one per side, in no fixed order) for
    limbs, [1] otherwise.
    """
    uniform, normal = generator.uniform, generator.normal
    angles = {
        "bend": normal(3, 6, 1), "lean": normal(0, 5, 1), "twist": normal(0, 10, 1),
        "nod": normal(6, 12, 1), "look": normal(0, 20, 1), "tilt": normal(0, 7, 1),
        "arm_swing": normal(4, 14, 2), "arm_spread": uniform(2, 28, 2), "arm_turn": uniform(-20, 50, 2),
        "elbow": np.abs(normal(14, 20, 2)),
        "leg_swing": normal(2, 7, 2), "leg_spread": uniform(0, 13, 2), "knee": np.abs(normal(3, 8, 2)),
    }  # fmt: skip
    stride = np.array([1.0, -1.0])
    if pose == "walk":
        angles |= {"leg_swing": stride * uniform(12, 30) + 4, "knee": np.array([uniform(0, 20), uniform(10, 45)])}
        angles |= {"arm_swing": -stride * uniform(10, 35), "elbow": uniform(5, 50, 2)}
    elif pose == "run":
        angles |= {"leg_swing": np.array([uniform(30, 80), uniform(-30, 5)]), "bend": normal(12, 7, 1)}
        angles |= {"knee": np.array([uniform(30, 110), uniform(15, 110)]), "leg_spread": uniform(0, 8, 2)}
        angles |= {"arm_swing": -stride * uniform(20, 60) + normal(0, 10, 2), "elbow": uniform(60, 120, 2)}
    elif pose == "bend":
        angles |= {"bend": uniform(35, 100, 1), "leg_swing": uniform(-12, 12, 2), "knee": uniform(0, 40, 2)}
        angles |= {"arm_swing": uniform(30, 130, 2), "elbow": uniform(0, 60, 2), "nod": uniform(-30, 15, 1)}
    elif pose == "sit":
        angles |= {"leg_swing": uniform(70, 102, 1) + normal(0, 6, 2), "knee": uniform(50, 115, 1) + normal(0, 12, 2)}
        angles |= {"leg_spread": uniform(2, 22, 2), "bend": normal(8, 14, 1)}
        angles |= {"arm_swing": uniform(5, 65, 2), "elbow": uniform(20, 105, 2)}
    elif pose == "squat":
        angles |= {"leg_swing": uniform(75, 120, 2), "knee": uniform(90, 140, 2), "leg_spread": uniform(5, 30, 2)}
        angles |= {"bend": uniform(10, 45, 1), "arm_swing": uniform(20, 100, 2), "elbow": uniform(0, 100, 2)}
    elif pose == "jump":
        angles |= {"leg_spread": uniform(8, 40, 2), "leg_swing": uniform(-15, 50, 2), "knee": uniform(0, 90, 2)}
        angles |= {"arm_spread": uniform(50, 165, 2), "elbow": uniform(0, 70, 2)}
    if pose == "reach" or (pose in ("stand", "sit", "walk", "squat") and generator.random() < 0.35):
        angles |= draw_gesture(generator, angles)
    return angles


def draw_gesture(generator: Generator, angles: dict[str, Array]) -> dict[str, Array]:
    """Give one arm or both something to do: point, wave, carry, hold up to the face, rest on the hip or fold."""
    uniform = generator.uniform
    changed = {name: angles[name].copy() for name in ("arm_swing", "arm_spread", "arm_turn", "elbow")}
    gestures = (  # ranges of swing, spread, turn and elbow
        ((60, 175), (-5, 40), (-30, 40), (0, 50)),  # forwards or up
        ((-10, 30), (60, 165), (-60, 60), (0, 60)),  # sideways or up
        ((-25, 10), (35, 60), (40, 80), (80, 110)),  # hand on the hip
        ((15, 60), (0, 25), (-10, 45), (85, 140)),  # hand to the face
        ((10, 35), (5, 25), (30, 75), (70, 105)),  # folded before the belly
        ((20, 80), (0, 30), (-20, 30), (20, 90)),  # carrying
    )
    gesture = gestures[generator.integers(len(gestures))]
    for side in (0, 1) if generator.random() < 0.45 else (0,):
        if generator.random() < 0.2:
            gesture = gestures[generator.integers(len(gestures))]
        for name, (low, high) in zip(changed, gesture, strict=True):
            changed[name][side] = uniform(low, high)
    return changed


def draw_figure(generator: Generator, stature: float) -> Figure:
    """Sample a person of `stature` pixels (when standing), with
    random pose, view and proportions, hips at (0, 0).
    """
    kinds = list(POSES)
    pose = kinds[generator.choice(len(kinds), p=list(POSES.values()))]
    degrees = draw_pose(generator, pose)
    order = generator.permutation(2)  # no side is special
    angles = {name: np.radians(value[order] if len(value) == 2 else value) for name, value in degrees.items()}
    mirror = 1 if generator.random() < 0.5 else -1
    yaw = draw_yaw(generator)
    tilt, roll = np.radians(generator.normal([4, 0], [4, 3]))
    if generator.random() < 0.01:
        roll += mirror * np.radians(generator.uniform(50, 100))  # lying, falling, a cartwheel
    root = turn_z(roll) @ turn_x(tilt) @ turn_y(yaw)
    chest = root @ turn_z(angles["lean"][0]) @ turn_x(-angles["bend"][0]) @ turn_y(angles["twist"][0])
    frames = {
        "root": root,
        "chest": chest,
        "pelvis": root @ turn_x(-0.6 * max(angles["bend"][0], 0.0)),
        "head": chest @ turn_y(angles["look"][0]) @ turn_x(-angles["nod"][0]) @ turn_z(angles["tilt"][0]),
    }
    child = generator.random() < 0.08
    lengths = generator.normal(1.0, 0.05, 8) * stature
    build = float(np.clip(generator.normal(1.3, 0.17), 0.95, 1.75))
    joints = place_trunk(frames, lengths, build)
    place_limbs(joints, frames, angles, lengths)
    head = lengths[0] * (0.11 if child else 0.092)
    joints["head"] = joints["neck"] - frames["head"][:, 1] * (0.03 * lengths[1] + 0.9 * head)
    head_axes = frames["head"] * (head * np.array([0.78, 1.0, 0.86]))
    turned_away = place_face(joints, frames["head"], head_axes)
    return Figure(joints, frames, head_axes, turned_away, stature, build, pose, yaw)


def place_trunk(frames: dict[str, Array], lengths: Array, build: float) -> dict[str, Array]:
    """Hips, shoulders, and the ends of the spine, each [3]."""
    chest, pelvis = frames["chest"], frames["pelvis"]
    middle = np.zeros(3)
    neck = -0.3 * lengths[2] * chest[:, 1]
    joints = {"middle": middle, "neck": neck}
    for side, sign in SIDES.items():
        joints[f"{side}_hip"] = middle + sign * 0.058 * build**0.5 * lengths[3] * pelvis[:, 0]
        joints[f"{side}_shoulder"] = neck + sign * 0.108 * build**0.5 * lengths[4] * chest[:, 0] + 0.025 * lengths[2] * chest[:, 1]
    return joints


def place_limbs(joints: dict[str, Array], frames: dict[str, Array], angles: dict[str, Array], lengths: Array) -> None:
    """Add elbows, wrists, finger tips, knees, ankles, heels and toes."""
    for index, (side, sign) in enumerate(SIDES.items()):
        arm = frames["chest"] @ turn_z(-sign * angles["arm_spread"][index]) @ turn_x(angles["arm_swing"][index])
        forearm = arm @ turn_y(-sign * angles["arm_turn"][index]) @ turn_x(min(angles["elbow"][index], 2.5))
        joints[f"{side}_elbow"] = joints[f"{side}_shoulder"] + 0.172 * lengths[5] * arm[:, 1]
        joints[f"{side}_wrist"] = joints[f"{side}_elbow"] + 0.15 * lengths[5] * forearm[:, 1]
        joints[f"{side}_fingers"] = joints[f"{side}_wrist"] + 0.055 * lengths[5] * forearm[:, 1]
        leg = frames["root"] @ turn_z(-sign * angles["leg_spread"][index]) @ turn_x(angles["leg_swing"][index])
        shin = leg @ turn_x(-min(angles["knee"][index], 2.5))
        joints[f"{side}_knee"] = joints[f"{side}_hip"] + 0.22 * lengths[6] * leg[:, 1]
        joints[f"{side}_ankle"] = joints[f"{side}_knee"] + 0.215 * lengths[7] * shin[:, 1]
        toes = shin @ turn_y(sign * 0.2)
        joints[f"{side}_heel"] = joints[f"{side}_ankle"] + lengths[7] * (0.028 * shin[:, 1] - 0.012 * toes[:, 2])
        joints[f"{side}_toes"] = joints[f"{side}_ankle"] + lengths[7] * (0.035 * shin[:, 1] + 0.085 * toes[:, 2])


def place_face(joints: dict[str, Array], frame: Array, axes: Array) -> set[str]:
    """Add nose, eyes and ears on the head's surface; return those that the head itself hides."""
    away = set()
    for name, direction in FACE.items():
        unit = np.array(direction) / np.linalg.norm(direction)
        joints[name] = joints["head"] + axes @ unit
        if (frame @ unit)[2] < FACE_LIMIT[name]:
            away.add(name)
    return away
