"""Measurements during a training: the network on validation
people, its pseudo-labels on unlabelled people.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semipose.augment.task import Task
from semipose.config.tree import Train
from semipose.data.loading.pack import CropPack
from semipose.evaluation.evaluate import validate
from semipose.methods import Method
from semipose.training.probe import Probe, probe
from semipose.training.reliability import Columns, reliability
from semipose.training.trainer import Row

PROBED = 512  # unlabelled people whose pseudo-labels are compared with the truth


@dataclass
class Observer:
    """Validates the running network and its pseudo-labels every few epochs.

    `probe` is the result of the last validation, `reliability` that of the end of training.
    """

    task: Task
    pack: CropPack
    val: CropPack
    unlabelled: NDArray[np.int64]
    p: Train
    probe: Probe | None = None
    reliability: Columns | None = None

    def __call__(self, method: Method, epoch: int, last: bool) -> Row:
        if not last and epoch % self.p.validate_every:
            return {}
        shown = np.arange(min(self.p.validation_people, len(self.val)))
        row = validate(method.net, self.task, self.val, shown, self.p.batch_size)
        chosen = self.unlabelled[np.linspace(0, len(self.unlabelled) - 1, min(PROBED, len(self.unlabelled))).astype(int)]
        asked = (method, self.task, self.pack, chosen, self.p.batch_size, next(method.parameters()).device)
        self.probe = probe(*asked)
        if last:
            self.reliability = reliability(*asked)
        return row | (self.probe.row() if self.probe else {})
