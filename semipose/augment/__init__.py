"""Augmentations: pure batched functions, whose every draw comes from the generator that is handed in."""
