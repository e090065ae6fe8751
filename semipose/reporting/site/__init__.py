"""The report as one self-contained page: tables, figures and pictures inside the file, and the run behind every number."""
