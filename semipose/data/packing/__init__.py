"""From image files to a crop pack."""
