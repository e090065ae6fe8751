"""A trained network for use elsewhere."""
