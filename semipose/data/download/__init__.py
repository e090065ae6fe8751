"""Archives from the network to image folders."""
