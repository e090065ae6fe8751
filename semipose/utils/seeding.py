"""Random streams: every random number comes from a generator
that depends only on seed, purpose and step.
"""

import hashlib

import torch
from torch import Generator


def stream(seed: int, purpose: str, number: int) -> int:
    """A 63-bit seed for one purpose and one step (or epoch): independent streams without state."""
    digest = hashlib.sha256(f"{seed} {purpose} {number}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator_of(seed: int, purpose: str, number: int, device: torch.device | str = "cpu") -> Generator:
    """The generator for the random operations of one step, on their device."""
    generator = Generator(device)
    generator.manual_seed(stream(seed, purpose, number))
    return generator


def on_host(generator: Generator) -> Generator:
    """A generator on the CPU: the given one if it is there, else
    one derived from the GPU generator's state.

    Ask once for samples that follow each other.
    Asked again before the GPU's generator has advanced, it starts the same stream again.
    """
    if generator.device.type == "cpu":
        return generator
    # The host knows seed and offset of a GPU's generator, but not its numbers.
    digest = hashlib.sha256(f"{generator.initial_seed()} {generator.get_offset()}".encode()).digest()
    return Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
