"""Augmentations: pure batched functions; all random numbers come from the generator passed in."""
