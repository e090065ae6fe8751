"""A table as Markdown, CSV and LaTeX."""

import csv
import io
import re
from itertools import groupby

from semipose.reporting.tables import Table


def to_csv(table: Table) -> str:
    """One row per cell of the pipeline: unrounded values, costs, protocol; run, fingerprint and commit."""
    file = io.StringIO()
    names = dict.fromkeys(name for record in sorted(table.records, key=len, reverse=True) for name in record)
    writer = csv.DictWriter(file, list(names), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(table.records)
    return file.getvalue()


def to_markdown(table: Table) -> str:
    heads = [f"{column.group}: {column.name}" if column.group else column.name for column in table.columns]
    lines = [[text.replace("|", r"\|") for text in line] for line in (heads, *_texts(table))]
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
    groups = [(group, len(list(members))) for group, members in groupby(table.columns, key=lambda column: column.group)]
    heads, rules, start = [], [], 1
    for group, size in groups:
        heads.append(rf"\multicolumn{{{size}}}{{c}}{{{escape(group)}}}")
        rules += [rf"\cmidrule(lr){{{start}-{start + size - 1}}}"] if group else []
        start += size
    align = "".join("l" if column.text else "r" for column in table.columns)
    names = [column.name for column in table.columns]
    body = "\n".join(" & ".join(map(escape, row)) + r" \\" for row in _texts(table))
    notes = "\\par\n".join(rf"\textbf{{{escape(note)}}}" if note.startswith("unequal:") else escape(note) for note in table.notes)
    return "\n".join(
        [
            r"% needs \usepackage{booktabs,graphicx}",
            r"\begin{table}",
            r"\centering",
            r"\setlength{\tabcolsep}{4pt}",
            rf"\caption{{{escape(table.caption)}}}",
            rf"\label{{tab:{table.name}}}",
            r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
            rf"\begin{{tabular}}{{@{{}}{align}@{{}}}}",
            r"\toprule",
            " & ".join(heads) + r" \\",
            "".join(rules),
            " & ".join(map(escape, names)) + r" \\",
            r"\midrule",
            body,
            r"\bottomrule",
            r"\end{tabular}}",
            r"\par\smallskip",
            r"\begin{minipage}{\linewidth}\footnotesize\raggedright",
            notes,
            r"\end{minipage}",
            r"\end{table}",
            "",
        ]
    )


def _texts(table: Table) -> list[list[str]]:
    return [[cell.text for cell in row] for row in table.rows]


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
