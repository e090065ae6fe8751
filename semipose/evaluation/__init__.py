"""Scores of predicted poses."""
