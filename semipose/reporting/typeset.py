"""A table as Markdown, CSV and LaTeX."""

import re

import pandas as pd
from jinja2 import Environment, PackageLoader

from semipose.reporting.tables import Table


def to_csv(table: Table) -> str:
    """One row per run: unrounded values, costs, protocol; run, fingerprint and commit."""
    columns = dict.fromkeys(name for record in sorted(table.records, key=len, reverse=True) for name in record)
    return pd.DataFrame(table.records, columns=list(columns), dtype=object).to_csv(index=False, lineterminator="\n")


def to_markdown(table: Table) -> str:
    columns = []
    for k, column in enumerate(table.columns):
        head = f"{column.group}: {column.name}" if column.group else column.name
        texts = [text.replace("|", r"\|") for text in (head, *(row[k].text for row in table.rows))]
        width = max(3, *map(len, texts))
        texts.insert(1, "-" * width if column.text else "-" * (width - 1) + ":")
        columns.append([text.ljust(width) if column.text else text.rjust(width) for text in texts])
    body = "\n".join(f"| {' | '.join(line)} |" for line in zip(*columns, strict=True))
    notes = "\n".join("- " + broken(f"**{note}**" if note.startswith("unequal:") else note, "  ") for note in table.notes)
    return f"# {table.caption}\n\n{body}\n\n{notes}\n"


def broken(text: str, indent: str = "") -> str:
    """Markdown broken after clauses into lines of about 100 characters; `indent` begins all lines but the first."""
    lines: list[str] = []
    for clause in re.split(r"(?<=[;,]) ", text):
        if lines and len(indent) + len(lines[-1]) + len(clause) < 99:
            lines[-1] += f" {clause}"
        else:
            lines.append(clause)
    return f"\n{indent}".join(lines)


def to_latex(table: Table) -> str:
    r"""A `table` environment for \input; needs the packages booktabs and graphicx (scales a table that is too wide)."""
    signs = ("<%", "%>", "<<", ">>", "<#", "#>")  # of blocks, variables and comments: LaTeX needs the braces itself
    environment = Environment(*signs, loader=PackageLoader("semipose.reporting", ""))
    environment.filters["tex"] = escape
    return environment.get_template("table.tex.jinja").render(table=table) + "\n"


def escape(text: str) -> str:
    """Text for LaTeX: its special characters, and the signs that a table uses, as commands."""
    signs = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    signs |= {"±": r"$\pm$", "×": r"$\times$", "–": "--", "−": "$-$", "<": "$<$", ">": "$>$"}
    signs |= {sign: f"\\{sign}" for sign in "_%&#${}"}
    return "".join(signs.get(sign, sign) for sign in text)
