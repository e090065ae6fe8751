"""A table of results: columns that can be sorted, a bar for every interval, a link from every number to its runs."""

from collections.abc import Collection, Iterable, Sequence
from html import escape
from itertools import groupby
from operator import itemgetter

from semipose.reporting.protocol import evaluation
from semipose.reporting.results import Run, Score
from semipose.reporting.tables import ABOVE, NOTHING, Cell, Column, Table

FORMS = {"csv": "CSV", "md": "Markdown", "tex": "LaTeX"}
UNEQUAL = ' class="unequal"'
LONG = 15  # rows; a longer table scrolls under its headings
WIDEST = 26  # characters of a column that is not to be narrower than its texts; longer ones are wrapped


def results_table(table: Table, runs: Iterable[Run], said: Collection[str] = ()) -> str:
    """The table with its notes, but for those that were `said` under a table above. Numbers of a method and a budget that are among `runs`
    lead to their lines in `runs_table`."""
    there = {anchor(run.method, run.labels) for run in runs}
    spans = [_span([row[k].number for row in table.rows], column.signed) for k, column in enumerate(table.columns)]
    rows = []
    for row in table.rows:
        cells = "".join(
            _cell(cell, column, span, there & {anchor(row[0].text, column.group)})
            for cell, column, span in zip(row[1:], table.columns[1:], spans[1:], strict=True)
        )
        name = escape(row[0].text).replace("_", "_<wbr>")
        rows.append(f'<tr><th scope="row" class="text">{name}</th>{cells}</tr>')
    new = [note for note in table.notes if note not in said]
    notes = "".join(f"<li{UNEQUAL if note.startswith('unequal:') else ''}>{escape(note)}</li>\n" for note in new)
    notes += "<li>All else as under the table above.</li>\n" if len(new) < len(table.notes) else ""
    long = " long" if len(rows) > LONG else ""
    name = escape(table.name)
    files = ", ".join(f'<a href="tables/{name}.{ending}">{form}</a>' for ending, form in FORMS.items())
    return (
        f'<div class="wide{long}" tabindex="0" role="region" aria-label="{escape(table.caption)}">'
        f'<table class="sortable" id="{name}">\n<caption>{escape(table.caption)}</caption>\n'
        f"<thead>{_heads(table)}</thead>\n<tbody>\n" + "\n".join(rows) + "\n</tbody></table></div>\n"
        '<p class="hint">Bars: the intervals, on one scale in each column; a grey stroke marks zero. Headings sort, numbers lead to their '
        f"runs. The table as {files}.</p>\n"
        f'<ul class="notes">\n{notes}</ul>\n'
    )


def summary(table: Table, runs: Sequence[Run]) -> str:
    """What the main table says first: the protocol, and at each budget the method with the largest number and its gain."""
    if not runs:
        return "<p>No run has finished.</p>\n"
    cards = []
    for labels in dict.fromkeys(run.labels for run in runs):
        value, gain = (k for k, column in enumerate(table.columns) if column.group == labels and column.name != ABOVE)
        known = [(number, row) for row in table.rows if (number := row[value].number.value) is not None]
        if known:
            best = max(known, key=itemgetter(0))[1]
            reference = next((row[0].text for row in table.rows if row[gain].text == NOTHING), "")
            people = next(run.labelled for run in runs if run.labels == labels)
            won = f"{best[gain].text} over {reference}" if best[gain].number.value is not None else "no method gains on it"
            cards.append(
                f"<li><span>{people:,} labelled people: best is {escape(best[0].text)}</span>"
                f"<b>{escape(table.columns[value].name)} {escape(best[value].text)}</b><span>{escape(won)}</span></li>\n"
            )
    return f'<ul class="cards">\n{"".join(cards)}</ul>\n<p>{escape(evaluation(runs))}.</p>\n'


def anchor(method: str, labels: str) -> str:
    """The name in the page of the runs of a method with a budget."""
    return f"runs-{method}-{labels}"


def _heads(table: Table) -> str:
    groups = [(group, len(list(members))) for group, members in groupby(table.columns, key=lambda column: column.group)]
    top = "".join(
        f'<th class="group" colspan="{size}" scope="colgroup">{escape(group)}</th>' if group else f'<td colspan="{size}"></td>'
        for group, size in groups
    )
    names = "".join(
        f'<th scope="col"{_align(column)}{_width(table, k)}>{escape(column.name)}</th>' for k, column in enumerate(table.columns)
    )
    return f"<tr>{top}</tr>\n<tr>{names}</tr>"


def _width(table: Table, k: int) -> str:
    """Room for the texts of a column of words, which would be squeezed before numbers are; the first column stands firm by itself."""
    longest = max((len(row[k].text) for row in table.rows), default=0)
    return f' style="min-width:{min(WIDEST, longest)}ch"' if k > 0 and table.columns[k].text else ""


def _cell(cell: Cell, column: Column, span: tuple[float, float], runs: set[str]) -> str:
    number = cell.number
    sort = "" if number.value is None else f' data-value="{number.value:.6g}"'
    text = "".join(f'<a href="#{escape(name)}">{escape(cell.text)}</a>' for name in runs) if sort else ""
    return f"<td{_align(column)}{sort}>{text or escape(cell.text)}{_bar(number, span, column.signed)}</td>"


def _span(numbers: Sequence[Score], signed: bool) -> tuple[float, float]:
    """The smallest and the largest bound of a column, and zero where it holds differences."""
    bounds = [bound for number in numbers for bound in number[1:] if bound is not None] + [0.0] * signed
    return min(bounds, default=0.0), max(bounds, default=0.0)


def _bar(number: Score, span: tuple[float, float], signed: bool) -> str:
    """The interval as a line, with strokes at its value and at zero. The text says the same, so it is hidden from screen readers."""
    value, low, high = number
    if value is None or low is None or high is None or span[0] == span[1]:
        return ""

    def at(bound: float) -> str:
        return f"{2 + 96 * (bound - span[0]) / (span[1] - span[0]):.1f}"

    def stroke(kind: str, bound: float) -> str:
        return f'<line class="{kind}" x1="{at(bound)}" x2="{at(bound)}" y2="10"/>'

    strokes = stroke("zero", 0.0) * signed + f'<line x1="{at(low)}" x2="{at(high)}" y1="5" y2="5"/>' + stroke("value", value)
    return f'<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">{strokes}</svg>'


def _align(column: Column) -> str:
    return ' class="text"' if column.text else ""
