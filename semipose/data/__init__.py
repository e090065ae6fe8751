"""From archives and annotation files to batches."""
