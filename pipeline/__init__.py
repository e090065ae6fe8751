"""The stages of the pipeline, one thin module each, and the only place that knows DVC and MLflow."""
