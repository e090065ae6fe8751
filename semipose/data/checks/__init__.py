"""What `semipose doctor` checks in a data set."""
