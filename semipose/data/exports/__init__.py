"""What annotation tools export, made into a set of the user's own in COCO's format."""
