"""Which joints a data set annotates, in its own order: names, limbs, left-right pairs, OKS sigmas. Data only."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Skeleton:
    """The joints of one data set; K = len(joints).

    joints: names in the data set's order, snake_case, sides as a `left_` or `right_` prefix.
    limbs: pairs of joint numbers to be drawn as a line.
    sigmas: the K standard deviations of OKS, as fractions of sqrt(area); empty where the data set defines no OKS.
    torso: the two joints whose distance is the torso size that PCK is measured by.
    """

    name: str
    joints: tuple[str, ...]
    limbs: tuple[tuple[int, int], ...]
    sigmas: tuple[float, ...]
    torso: tuple[str, str]

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """Joint numbers (left, right) of every joint that has two sides, in the order of the left ones."""
        return tuple(
            (j, self.joints.index("right_" + name.removeprefix("left_"))) for j, name in enumerate(self.joints) if name.startswith("left_")
        )

    @property
    def flip(self) -> list[int]:
        """The permutation of joints under mirroring: `flip[flip[j]] == j`, and joints without a side stay."""
        order = list(range(len(self.joints)))
        for left, right in self.pairs:
            order[left], order[right] = right, left
        return order


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

SKELETONS: dict[str, Skeleton] = {skeleton.name: skeleton for skeleton in (COCO17, LSP14)}
