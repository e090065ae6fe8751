"""The commands of `semipose`, one file each.

Heavy libraries are imported inside the commands, so that `--help` answers at once.
"""
