"""People of noise, quick to train on; made here, no file behind them."""

from pathlib import Path

import numpy as np
import torch

from semipose.data.loading.matrices import pack_matrices
from semipose.data.loading.pack import CropPack, RawCrops
from semipose.data.people import People
from semipose.pose.geometry import invert, transform
from semipose.pose.skeleton import COCO17
from semipose.utils.files import DIGEST


def made_up(count: int) -> CropPack:
    """Keypoints anywhere in 48 px crops; every other crop keeps the image's pixels, with the box up to half a pixel beside its middle, the
    others are shrunk."""
    generator = np.random.default_rng(0)
    crops = generator.integers(0, 256, (count, 48, 48, 3), dtype=np.uint8)
    in_crop = torch.from_numpy(generator.uniform(10, 38, (count, 17, 2)).astype(np.float32))
    visibility = generator.integers(0, 3, (count, 17))
    sides = np.where(np.arange(count) % 2, generator.uniform(34, 70, count), generator.uniform(12, 31, count))
    boxes = np.hstack([generator.uniform(20, 100, (count, 2)), np.tile(sides[:, None], 2)]).astype(np.float32)
    matrices = pack_matrices(boxes, 48, 1.25, 1.2, 1.0)
    people = People(
        skeleton=COCO17,
        ids=np.arange(100, 100 + count),
        image_ids=np.arange(count),
        images=[f"{k}.jpg" for k in range(count)],
        sizes=np.full((count, 2), 200),
        boxes=boxes,
        areas=0.6 * sides**2,
        points=transform(invert(matrices), in_crop).numpy(),
        visibility=visibility,
    )
    digests = np.zeros((count, DIGEST), np.uint8)
    made = RawCrops(Path("made"), crops, digests, np.ones(count, bool))
    return CropPack(Path("made"), people, made, matrices.numpy(), 48, 1.25, 1.2, 1.0, "made", [])
