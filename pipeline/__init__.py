"""The stages of the pipeline, one thin module each; the only package that knows DVC and MLflow."""
