"""Random streams: every draw comes from a generator that depends on seed, purpose and step alone."""

import hashlib

import torch
from torch import Generator


def stream(seed: int, purpose: str, number: int) -> int:
    """A 63-bit seed for one purpose and one step (or epoch): independent streams that need no state."""
    digest = hashlib.sha256(f"{seed} {purpose} {number}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator_of(seed: int, purpose: str, number: int, device: torch.device | str = "cpu") -> Generator:
    """The generator of one step's random operations, on the device where they run."""
    generator = Generator(device)
    generator.manual_seed(stream(seed, purpose, number))
    return generator


def on_host(generator: Generator) -> Generator:
    """A generator on the CPU: this very one where it draws there; else one whose stream belongs to a GPU's generator as it is now. Ask
    once for draws that follow each other: asked again before the GPU's generator has drawn, it begins the same stream anew."""
    if generator.device.type == "cpu":
        return generator
    # The seed and how far it is are known to the host, unlike what it draws.
    digest = hashlib.sha256(f"{generator.initial_seed()} {generator.get_offset()}".encode()).digest()
    return Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
