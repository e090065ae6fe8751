"""Measures of a predicted pose: OKS average precision and recall (COCO), PCK, per joint, each with a bootstrap
interval."""
