"""The commands of `semipose`, a file each. Heavy libraries are imported inside them, so that `--help` comes at once."""
