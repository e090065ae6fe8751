"""Poses of images and videos from a trained network."""
