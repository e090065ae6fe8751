"""Metrics of predicted poses: OKS average precision and recall (COCO), PCK, scores per joint, with
bootstrap intervals.
"""
