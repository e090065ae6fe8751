"""PCKh: PCK in units of the head size, the metric of MPII Human Pose.

The head size of a person is 0.6 times the diagonal of the
head's box; a joint is found within half of that.
Source: Andriluka et al., 2D Human Pose Estimation: New
Benchmark and State of the Art Analysis, CVPR 2014.
The mean over joints is that of Simple Baselines (Xiao et
al., ECCV 2018) and the papers that follow it.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semipose.data.annotations import HEAD_SHARE, Annotations, read_annotations
from semipose.evaluation.metrics.pck import Hits, assigned, pck
from semipose.utils.errors import InputError

UNSCORED = ("pelvis", "thorax")
"""Joints that count in no mean: their positions follow from hips and shoulders."""
GROUPS = {"Head": ("head_top",)} | {
    name.capitalize(): (f"left_{name}", f"right_{name}") for name in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
}


@dataclass(frozen=True)
class HeadHits(Hits):
    """Which joints were found within 0.5 head sizes (`hit`), and within 0.1 (`near`)."""

    near: NDArray[np.bool_] = field(kw_only=True)  # [N, K]; False if counted is False

    def metrics(self, weights: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        """Shares 0-1 in each of B resamples (weights [B, N]), NaN if no joint counts.

        `PCKh@0.5` and `PCKh@0.1` are means over joints without UNSCORED, weighted by how often each
        is annotated (the share of all of them that were found).
        GROUPS at 0.5 are plain means of left and right; `joint/<name>` is at 0.5.
        """
        single = super().metrics(weights)
        groups = {group: [f"joint/{name}" for name in names] for group, names in GROUPS.items() if set(names) <= set(self.joints)}
        means = {group: np.mean([single[name] for name in names], axis=0) for group, names in groups.items()}
        return self._scored(self.hit, "PCKh@0.5").metrics(weights) | self._scored(self.near, "PCKh@0.1").metrics(weights) | means | single

    def per_person(self) -> NDArray[np.float64]:
        """The share of found joints at 0.5 among each person's counted joints, without UNSCORED,
        [N], NaN if none counts.
        """
        return self._scored(self.hit, "PCKh@0.5").per_person()

    def _scored(self, hit: NDArray[np.bool_], name: str) -> Hits:
        """The joints of the mean, pooled under this name."""
        scored = [j for j, joint in enumerate(self.joints) if joint not in UNSCORED]
        return Hits(hit[:, scored], self.counted[:, scored], (), name, self.left_out)


def pckh(
    points: NDArray[np.floating],
    truth: NDArray[np.floating],
    visibility: NDArray[np.integer],
    sizes: NDArray[np.floating] | None,
    joints: tuple[str, ...],
) -> HeadHits:
    """Compute PCKh.

    A set that lacks some joints of `skeleton.MPII16` lacks their GROUPS.

    Args:
        points: Predicted joints, [N, K, 2] px; a point that is NaN is missed.
        truth: Annotated joints, [N, K, 2] px, counted from the same pixel.
        visibility: [N, K]; joints with 0 do not count.
        sizes: [N] px, of `head_sizes` or `People.head_sizes`; people with NaN are left out and
            counted in `left_out`.
        joints: Named as in `skeleton.MPII16`.

    Raises:
        InputError: There are no sizes.
    """
    if sizes is None:
        raise InputError("PCKh needs the size of the head, which these people do not have (MPII's have it); use oks or pck")
    half, tenth = (pck(points, truth, visibility, sizes, joints, threshold, "head") for threshold in (0.5, 0.1))
    return HeadHits(half.hit, half.counted, half.joints, None, half.left_out, near=tenth.hit)


def evaluate_pckh(annotations: Path | dict[str, Any] | Annotations, predictions: Path | list[dict[str, Any]]) -> HeadHits:
    """Compute PCKh of keypoint results.

    Results are assigned to people as in `metrics.pck.evaluate_pck`.

    Args:
        annotations: In COCO's format, a file or its content. Every person needs the field
            `head_size`: 0.6 times the diagonal of the head's box (px); null leaves the person out.
        predictions: Results in COCO's format, a file or its content.

    Raises:
        InputError: Names the file, the index and the field.
    """
    known = read_annotations(annotations)
    people, truth, visible, points = assigned(known, predictions)
    for person in people:
        if "head_size" not in person:
            raise InputError(
                f"{known.label}: a person of image {person['image_id']} has no `head_size`. Add {HEAD_SHARE} times the "
                "diagonal of the head's box (px, null if unknown) to every annotation, or use --metric oks or pck"
            )
    sizes = np.array([person["head_size"] for person in people], np.float64)
    return pckh(points, truth, visible, sizes, known.joints)
