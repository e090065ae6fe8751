"""Random streams: every random number comes from a generator
that depends only on seed, purpose and step.
"""

import hashlib

import torch
from torch import Generator


def stream(seed: int, purpose: str, number: int) -> int:
    """Make the seed of a stream; streams are independent and have no state.

    Args:
        seed: Seed of the run.
        purpose: Any text.
        number: A step or an epoch.

    Returns:
        A seed of 63 bits.
    """
    digest = hashlib.sha256(f"{seed} {purpose} {number}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator_of(seed: int, purpose: str, number: int, device: torch.device | str = "cpu") -> Generator:
    """Make the generator for the random operations of one step.

    Args:
        seed: As for `stream`.
        purpose: As for `stream`.
        number: As for `stream`.
        device: Where the operations are.
    """
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
