"""People of noise, quick to train on; made here, no file behind them."""

from pathlib import Path

import numpy as np

from semipose.crops import CropPack, RawCrops
from semipose.people import People
from semipose.skeleton import COCO17


def made_up(count: int) -> CropPack:
    """Keypoints anywhere in 48 px crops."""
    generator = np.random.default_rng(0)
    people = People(
        skeleton=COCO17,
        ids=np.arange(100, 100 + count),
        image_ids=np.arange(count),
        images=[f"{k}.jpg" for k in range(count)],
        sizes=np.full((count, 2), 48),
        boxes=np.tile([8.0, 8.0, 32.0, 32.0], (count, 1)),
        areas=np.full(count, 600.0),
        points=generator.uniform(10, 38, (count, 17, 2)),
        visibility=generator.integers(0, 3, (count, 17)),
    )
    crops = generator.integers(0, 256, (count, 48, 48, 3), dtype=np.uint8)
    digests = np.zeros((count, 32), np.uint8)
    made = RawCrops(Path("made"), crops, digests, np.ones(count, bool))
    return CropPack(Path("made"), people, made, np.tile(np.eye(2, 3, dtype=np.float32), (count, 1, 1)), 48, 1.25, 1.2, 1.0, "made", [])
