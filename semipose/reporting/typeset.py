"""A table as Markdown, CSV and LaTeX."""

import re
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader

from semipose.reporting.tables import Table


def to_csv(table: Table) -> str:
    """One row per run: unrounded values, costs, protocol; run, fingerprint and commit."""
    columns = dict.fromkeys(name for record in sorted(table.records, key=len, reverse=True) for name in record)
    return pd.DataFrame(table.records, columns=list(columns), dtype=object).to_csv(index=False, lineterminator="\n")


def to_markdown(table: Table) -> str:
    heads = [f"{column.group}: {column.name}" if column.group else column.name for column in table.columns]
    lines = [[text.replace("|", r"\|") for text in line] for line in (heads, *([cell.text for cell in row] for row in table.rows))]
    widths = [max(3, *map(len, texts)) for texts in zip(*lines, strict=True)]
    rule = ["-" * width if column.text else "-" * (width - 1) + ":" for column, width in zip(table.columns, widths, strict=True)]
    padded = [
        [text.ljust(width) if column.text else text.rjust(width) for text, column, width in zip(line, table.columns, widths, strict=True)]
        for line in (lines[0], rule, *lines[1:])
    ]
    body = "\n".join("| " + " | ".join(line) + " |" for line in padded)
    notes = "\n".join(f"- **{note}**" if note.startswith("unequal:") else f"- {note}" for note in table.notes)
    return f"# {table.caption}\n\n{body}\n\n{notes}\n"


def to_latex(table: Table) -> str:
    r"""A `table` environment for \input; needs the packages booktabs and graphicx (scales a table that is too wide)."""
    signs: dict[str, Any] = {
        "variable_start_string": "<<",
        "variable_end_string": ">>",
        "block_start_string": "<%",
        "block_end_string": "%>",
    }
    environment = Environment(loader=PackageLoader("semipose.reporting", ""), comment_start_string="<#", comment_end_string="#>", **signs)
    environment.filters["tex"] = escape
    return environment.get_template("table.tex.jinja").render(table=table) + "\n"


def escape(text: str) -> str:
    """Text for LaTeX: its special characters, and the signs that a table uses, as commands."""
    signs = {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "±": r"$\pm$",
        "×": r"$\times$",
        "–": "--",
        "−": "$-$",
    }
    signs |= {sign: f"${sign}$" for sign in "<>"} | {sign: f"\\{sign}" for sign in "_%&#${}"}
    return re.sub("|".join(map(re.escape, signs)), lambda match: signs[match[0]], text)
