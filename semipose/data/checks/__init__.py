"""What `semipose doctor` looks for in a data set."""
