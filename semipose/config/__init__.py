"""What a setting is: the tree of params.yaml and how it is read."""
