"""Exports of annotation tools, converted to the user's own set in COCO's format."""
