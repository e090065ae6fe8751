"""Which joints a data set annotates, in its own order: names, limbs, left-right pairs, OKS sigmas."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from semipose.utils.errors import InputError

Pairs = tuple[tuple[int, int], ...]
SIDES = {"left": 0, "l": 0, "right": 1, "r": 1}
DEFAULT_SIGMA = 0.067
"""OKS sigma of every joint of a skeleton without its own sigmas: the mean of COCO's 17.

A pose is then judged about as strictly as a person's.
AP with it can be compared only within the data set.
"""


@dataclass(frozen=True)
class Skeleton:
    """The joints of one data set; K = len(joints).

    Attributes:
        joints: Names in the data set's order; those in this file are snake_case, with sides as a
            `left_` or `right_` prefix.
        limbs: Pairs of joint numbers that a line connects.
        sigmas: The K standard deviations of OKS, as fractions of
            sqrt(area); empty if the data set defines no OKS.
        torso: The two joints whose distance is PCK's unit; ("", "") if there are none.
        given_pairs: Joint numbers (left, right) if the names do not tell them; else None.
    """

    name: str
    joints: tuple[str, ...]
    limbs: tuple[tuple[int, int], ...]
    sigmas: tuple[float, ...]
    torso: tuple[str, str]
    given_pairs: Pairs | None = None

    @property
    def pairs(self) -> Pairs:
        """Joint numbers (left, right) of all joints with two sides, in the order of the left ones.

        Raises:
            InputError: As `named_pairs`.
        """
        return named_pairs(self.joints) if self.given_pairs is None else self.given_pairs

    @property
    def flip(self) -> list[int]:
        """The permutation of joints under mirroring:
        `flip[flip[j]] == j`, and joints without a side stay.
        """
        order = list(range(len(self.joints)))
        for left, right in self.pairs:
            order[left], order[right] = right, left
        return order

    def encode(self) -> str:
        """The name of a skeleton of SKELETONS, or another one as JSON; `decode` reads both."""
        return self.name if SKELETONS.get(self.name) == self else json.dumps(asdict(self))


@cache
def named_pairs(joints: tuple[str, ...]) -> Pairs:
    """Joint numbers (left, right) as the names tell.

    Known forms are `left_ear` and `right_ear`, `L_Ear` and `R_Ear`, `earLeft` and `earRight`,
    `front left paw` and `front right paw`.

    Raises:
        InputError: A joint with a side has no partner, or more than one.
    """
    sides: tuple[dict[str, int], dict[str, int]] = ({}, {})
    for number, joint in enumerate(joints):
        words = [word.lower() for word in re.findall(r"(?i:left|right)|[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W_A-Za-z]+", joint)]
        marked = next((k for k, word in enumerate(words) if word in SIDES), None)
        if marked is not None:
            side = sides[SIDES[words[marked]]]
            words[marked] = "*"
            if " ".join(words) in side:
                raise InputError(f"joints {joints[side[' '.join(words)]]!r} and {joint!r} are on the same side; rename one of them")
            side[" ".join(words)] = number
    for own, other in (sides, sides[::-1]):
        for name, number in own.items():
            if name not in other:
                raise InputError(f"joint {joints[number]!r} has no partner on the other side; rename it, or give the pairs")
    return tuple((number, sides[1][name]) for name, number in sides[0].items())


def custom(
    joints: Sequence[str],
    limbs: Sequence[Sequence[int]] = (),
    pairs: Sequence[Sequence[str]] | None = None,
    sigmas: Sequence[float] | None = None,
    torso: Sequence[str] | None = None,
    name: str = "custom",
) -> Skeleton:
    """Make and check the user's own skeleton.

    Args:
        joints: K different names.
        limbs: Pairs of joint numbers, from 0.
        pairs: Names (left, right); None: as the names tell
            (`named_pairs`); an empty list: no joint changes sides.
        sigmas: K numbers above 0; None: DEFAULT_SIGMA for each; an
            empty list: no OKS, so that PCK is the metric.
        torso: Names of two joints; None: no PCK of the torso.
        name: Name of the skeleton, with which messages begin.

    Raises:
        InputError: Something is wrong; the message names it.
    """
    names = tuple(joints)
    if not names or not all(isinstance(joint, str) and joint for joint in names) or len(set(names)) < len(names):
        raise InputError(f"{name}: joints {list(names)} must be one or more different names")
    number = {joint: k for k, joint in enumerate(names)}

    def two(field: str, values: Sequence[Any], known: Sequence[Any]) -> tuple[Any, Any]:
        if isinstance(values, str) or len(values) != 2 or values[0] == values[1] or not all(value in known for value in values):
            raise InputError(f"{name}: {field} {list(values)} must be two different joints of {', '.join(names)}")
        return values[0], values[1]

    lines = tuple(two("limb", limb, range(len(names))) for limb in limbs)
    given = None if pairs is None else tuple((number[left], number[right]) for left, right in (two("pair", pair, names) for pair in pairs))
    paired = [joint for pair in given or () for joint in pair]
    for joint in paired:
        if paired.count(joint) > 1:
            raise InputError(f"{name}: joint {names[joint]!r} is in two pairs; put it into one pair only")
    variances = (DEFAULT_SIGMA,) * len(names) if sigmas is None else tuple(float(sigma) for sigma in sigmas)
    if len(variances) not in (0, len(names)) or not all(0 < sigma < float("inf") for sigma in variances):
        raise InputError(f"{name}: sigmas {list(variances)} must be {len(names)} numbers above 0, one for each joint, or an empty list")
    ends = ("", "") if torso is None else two("torso", torso, names)
    try:
        return Skeleton(name, names, lines, variances, ends, named_pairs(names) if given is None else given)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None


def decode(text: str) -> Skeleton:
    """Read what `Skeleton.encode` wrote.

    Raises:
        KeyError: The text is something else.
        ValueError: The text is something else.
    """
    return TypeAdapter(Skeleton).validate_json(text) if text.startswith("{") else SKELETONS[text]


# Names, order, limbs: the `person` category of the official annotation files. Sigmas: COCO's keypoint evaluation.
COCO17 = Skeleton(
    name="coco17",
    joints=(
        "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
        "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
        "right_ankle",
    ),
    limbs=(
        (15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8), (7, 9), (8, 10),
        (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6),
    ),
    sigmas=(
        0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089,
        0.089,
    ),
    torso=("left_shoulder", "right_hip"),
)  # fmt: skip

# Leeds Sports Pose, and its extended set (Johnson and Everingham, CVPR 2011).
LSP14 = Skeleton(
    name="lsp14",
    joints=(
        "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "right_wrist", "right_elbow",
        "right_shoulder", "left_shoulder", "left_elbow", "left_wrist", "neck", "head_top",
    ),
    limbs=(
        (0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (2, 8), (3, 9), (6, 7), (7, 8), (8, 12), (9, 12), (9, 10), (10, 11),
        (12, 13),
    ),
    sigmas=(),
    torso=("left_shoulder", "right_hip"),
)  # fmt: skip

# MPII Human Pose (Andriluka et al., CVPR 2014), joint ids of its annotations.
MPII16 = Skeleton(
    name="mpii16",
    joints=(
        "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "pelvis", "thorax", "upper_neck",
        "head_top", "right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist",
    ),
    limbs=(
        (0, 1), (1, 2), (2, 6), (3, 6), (3, 4), (4, 5), (6, 7), (7, 8), (8, 9), (10, 11), (11, 12), (12, 7), (13, 7),
        (13, 14), (14, 15),
    ),
    sigmas=(),
    torso=("left_shoulder", "right_hip"),
)  # fmt: skip

# AI Challenger, Human Skeletal System Keypoints Detection (Wu et al., 2017). Sigmas: its evaluation's delta is twice these.
AIC14 = Skeleton(
    name="aic14",
    joints=(
        "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist", "right_hip",
        "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "head_top", "neck",
    ),
    limbs=(
        (12, 13), (13, 0), (13, 3), (0, 1), (1, 2), (3, 4), (4, 5), (0, 6), (3, 9), (6, 9), (6, 7), (7, 8), (9, 10),
        (10, 11),
    ),
    sigmas=(
        0.01388152, 0.01515228, 0.01057665, 0.01417709, 0.01497891, 0.01402144, 0.03909642, 0.03686941, 0.01981803,
        0.03843971, 0.03412318, 0.02415081, 0.01291456, 0.01236173,
    ),
    torso=("left_shoulder", "right_hip"),
)  # fmt: skip

# FLIC (Sapp and Taskar, CVPR 2013): the joints that all its frames have, with COCO's names and sigmas.
FLIC11 = Skeleton(
    name="flic11",
    joints=(
        "nose", "left_eye", "right_eye", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist",
        "right_wrist", "left_hip", "right_hip",
    ),
    limbs=((0, 1), (0, 2), (0, 3), (0, 4), (3, 4), (3, 5), (5, 7), (4, 6), (6, 8), (3, 9), (4, 10), (9, 10)),
    sigmas=(0.026, 0.025, 0.025, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107),
    torso=("left_shoulder", "right_hip"),
)  # fmt: skip

SKELETONS: dict[str, Skeleton] = {skeleton.name: skeleton for skeleton in (COCO17, LSP14, MPII16, AIC14, FLIC11)}
