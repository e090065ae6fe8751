"""Records of runs to tables, figures and the report page."""
