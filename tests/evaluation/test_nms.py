"""OKS suppression: only a pose that stays itself suppresses a worse one."""

import numpy as np

from semipose.evaluation.metrics.nms import oks_between, oks_nms


def test_a_suppressed_pose_suppresses_nobody() -> None:
    """Three poses in a row: the middle one is near both others, which are far from each other."""
    points = np.zeros((3, 1, 2)) + np.array([0.0, 6.0, 12.0])[:, None, None]
    areas, sigmas, scores = np.full(3, 1000.0), (0.1,), np.array([0.9, 0.8, 0.7])
    near, far = (float(oks_between(points[:1], points[k : k + 1], areas[:1], areas[k : k + 1], sigmas)[0]) for k in (1, 2))
    assert near > far
    kept = oks_nms(points, scores, areas, np.zeros(3, int), sigmas, (near + far) / 2)
    assert sorted(kept.tolist()) == [0, 2]
