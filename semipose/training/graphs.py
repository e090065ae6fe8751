"""A training step as CUDA graphs: all its kernels, of both passes and of the optimiser, launched at once.

A GPU repeats what it was given once, at the same places of its memory.
So the people of a step are copied into fixed tensors.
The learning rate, and numbers that the host decides, are tensors there too.
One generator is given each step's seed.
Words that the host decides (the place of Mixup), and the phase of a method, lead to other kernels:
each has its own graph.
"""

import sys
import warnings
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Generator, Tensor

from semipose.augment.strong import ON_HOST
from semipose.data.loading.batch import Batch
from semipose.data.loading.batches import Batches
from semipose.data.loading.prefetch import each
from semipose.methods.base import Losses, Method
from semipose.utils.seeding import on_host

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from lightning_fabric.wrappers import _FabricModule, _FabricOptimizer

WARM_UP = 3
"""Steps of each kind that are launched kernel by kernel before one is captured: libraries make their plans, Adam its state."""


def possible(method: Method, batches: Batches, device: torch.device) -> bool:
    """Whether steps of this training can be CUDA graphs; if not, standard error says why."""
    paths: list[Sequence[str]] = [method.task.augment.labelled, *method.paths.values()]
    on_host = [name for path in paths for name in path if name in ON_HOST]
    if device.type != "cuda":
        why = "there is no GPU"
    elif batches.groups > 1:
        why = "train.batch_groups is above 1"
    elif on_host:
        why = f"{on_host[0]} draws on the host"
    else:
        return True
    sys.stderr.write(f"semipose: machine.graphs is off for this training: {why}\n")
    return False


class Result(NamedTuple):
    """What a step leaves: names of the losses and of the measures, and the values of both, in one tensor that the next step overwrites."""

    terms: list[str]
    measures: list[str]
    values: Tensor

    def copied(self) -> Losses:
        values = iter(self.values.clone().unbind())
        return Losses(*({name: next(values) for name in names} for names in (self.terms, self.measures)))


class GraphedStep:
    """Performs the steps of a method and its optimiser one after the other.

    Args:
        method: The method.
        wrapped: The same method, as Fabric wraps it.
        optimiser: Adam whose learning rate is the tensor `rate`.
        batches: The people of each step.
        fabric: The launched Fabric.
        rate: The learning rate [], which each step sets.
    """

    def __init__(
        self, method: Method, wrapped: "_FabricModule", optimiser: "_FabricOptimizer", batches: Batches, fabric: "Fabric", rate: Tensor
    ) -> None:
        self.method, self.wrapped, self.optimiser, self.batches, self.fabric, self.rate = method, wrapped, optimiser, batches, fabric, rate
        self.device = fabric.device
        self.generator = Generator(self.device)
        self.batch: Batch | None = None
        self.numbers: list[Tensor] = []
        self.begun: Counter[Hashable] = Counter()
        self.graphs: dict[Hashable, tuple[Callable[[], None], Result]] = {}
        self.memory: Any = None  # of all graphs

    def __call__(self, step: int, rate: float) -> Losses:
        """Do a training step, with this learning rate. Its losses and measures are a copy."""
        decided = list(self.method.decisions(step, on_host(self.batches.generator_of(step, 0, self.device))))
        self.generator.manual_seed(self.batches.seed_of(step))
        self.lay_down(self.batches(step, self.device), [one for one in decided if isinstance(one, float)])
        self.rate.fill_(rate)
        kind = self.method.phase, *(one for one in decided if not isinstance(one, float))
        return self.perform(kind, lambda: self.work(decided)).copied()

    def lay_down(self, batch: Batch, numbers: list[float]) -> None:
        """Copy what the step needs into the fixed tensors."""
        if self.batch is None:
            # A step that is asked for would be that of the capture for ever: none is there, so that who asks fails.
            self.batch = each(batch, torch.clone)._replace(step=None)
            self.numbers = [torch.zeros((), device=self.device) for _ in numbers]
        for fixed, given in zip(_tensors(self.batch), _tensors(batch), strict=True):
            fixed.copy_(given)
        for place, number in zip(self.numbers, numbers, strict=True):
            place.fill_(number)

    def work(self, decided: list[Any]) -> Result:
        """The step itself, from and to fixed tensors."""
        numbers = iter(self.numbers)
        given = [next(numbers) if isinstance(one, float) else one for one in decided]
        self.optimiser.zero_grad()
        losses: Losses = self.wrapped(self.batch, self.generator, *([iter(given)] if given else []))
        self.fabric.backward(torch.stack(list(losses.terms.values())).sum())
        self.optimiser.step()
        self.method.after_step()
        values = [value.detach().float() for named in losses for value in named.values()]
        return Result(list(losses.terms), list(losses.measures), torch.stack(values))

    def perform(self, kind: Hashable, work: Callable[[], Result]) -> Result:
        """Perform a step of a kind.

        The first ones are launched kernel by kernel, then one is captured, and from then on
        repeated.

        Args:
            kind: The method's phase and the words that the host decided; each kind has its own
                graph.
            work: The step, from and to fixed tensors.
        """
        if self.begun[kind] < WARM_UP:
            self.begun[kind] += 1
            return self.aside(work)
        if kind not in self.graphs:
            self.graphs[kind] = self.captured(work)
        replay, result = self.graphs[kind]
        replay()
        return result

    def aside(self, work: Callable[[], Result]) -> Result:
        """On the stream of captures: the nodes of gradients, and cuBLAS's memory, belong to a stream."""
        now = torch.cuda.current_stream(self.device)
        self.stream.wait_stream(now)
        with torch.cuda.stream(self.stream):
            result = work()
        now.wait_stream(self.stream)
        return result

    def captured(self, work: Callable[[], Result]) -> tuple[Callable[[], None], Result]:
        """What repeats the work, which is not done yet, and where its result will lie."""
        graph = torch.cuda.CUDAGraph()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # newer versions of torch find the generator themselves, and say so
            graph.register_generator_state(self.generator)
        # thread_local: threads that read batches ahead pin memory meanwhile, which else would end the capture.
        with torch.cuda.graph(graph, pool=self.memory, stream=self.stream, capture_error_mode="thread_local"):
            result = work()
        self.memory = graph.pool()  # the next graph may use it too: none needs what another left there but for its result, which is held
        return graph.replay, result

    @cached_property
    def stream(self) -> torch.cuda.Stream:
        return torch.cuda.Stream(self.device)


def _tensors(batch: Batch) -> Iterable[Tensor]:
    return (*batch.labelled.crops, batch.labelled.points, batch.labelled.visible, *batch.unlabelled)
