import numpy as np
import pytest
from naive import PEOPLE, nets_of

from semipose.config.tree import Params
from semipose.data.loading.batch import Batch
from semipose.data.loading.batches import Batches
from semipose.data.loading.pack import CropPack
from semipose.models.network import PoseNet


@pytest.fixture
def net(tiny: Params) -> PoseNet:
    return nets_of(tiny)[0]


@pytest.fixture
def batch(pack: CropPack) -> Batch:
    everybody = np.arange(len(pack))
    return Batches(pack, (32, 32), everybody[:12], everybody, batch_size=PEOPLE, seed=3)(0)
