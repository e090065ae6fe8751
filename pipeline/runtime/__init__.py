"""What the stages share: parameters, locks, fingerprints, networks and outputs."""
