"""Draws that the host must know at once (which layer is mixed, one weight for a batch), without a wait for the device."""

import hashlib

from torch import Generator


def on_host(generator: Generator) -> Generator:
    """A generator on the CPU: this very one where it draws there; else one whose stream belongs to a GPU's generator as it is now. Ask
    once for draws that follow each other: asked again before the GPU's generator has drawn, it begins the same stream anew."""
    if generator.device.type == "cpu":
        return generator
    # The seed and how far it is are known to the host, unlike what it draws.
    digest = hashlib.sha256(f"{generator.initial_seed()} {generator.get_offset()}".encode()).digest()
    return Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
