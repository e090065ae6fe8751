"""The report as one self-contained page: tables, figures,
pictures, and the run behind every number.
"""
