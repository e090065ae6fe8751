"""A reproducible laboratory for semi-supervised 2D human pose estimation."""
