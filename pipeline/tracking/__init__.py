"""MLflow: runs, metrics and files."""
