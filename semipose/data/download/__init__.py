"""From archives on the network to image folders."""
