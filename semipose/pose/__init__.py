"""What a pose is: skeletons, pixel coordinates, heatmaps, pictures."""
