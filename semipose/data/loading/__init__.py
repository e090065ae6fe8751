"""From a crop pack to batches on the device."""
