"""The runs behind the numbers: files, fingerprint, commit and parameters of each."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import groupby
from typing import Any

from semipose.reporting.results import Run
from semipose.reporting.site.tables import anchor


def runs_table(runs: Sequence[Run]) -> str:
    """A line for each run; those of one method and budget stand together under the name that `results_table` leads to."""
    if not runs:
        return "<p>not run</p>\n"
    columns = {"run": True, runs[0].protocol["headline"]: False, "fingerprint of its parameters and inputs": True, "commit": True}
    heads = "".join(f'<th scope="col"{_align(text)}>{escape(name)}</th>' for name, text in columns.items())
    return (
        "<p>Every number above comes from these runs. A run's name opens its record: protocol, parameters and all metrics, "
        'which are also in <a href="results.csv">results.csv</a>.</p>\n'
        '<div class="wide" tabindex="0" role="region" aria-label="Runs"><table class="runs">\n'
        f"<thead><tr>{heads}</tr></thead>\n"
        + "\n".join(_group(list(group)) for _, group in groupby(runs, key=lambda run: (run.method, run.labels)))
        + "\n</table></div>\n"
    )


def _group(runs: Sequence[Run]) -> str:
    first = runs[0]
    parameters = ", ".join(f"{key}: {value}" for key, value in _flat(first.parameters))
    return (
        f'<tbody id="{escape(anchor(first.method, first.labels))}">\n'
        + "\n".join(map(_row, runs))
        + f'\n<tr><td colspan="4" class="text"><details><summary>parameters of {escape(first.method)} at {escape(first.labels)}</summary>'
        f"<code>{escape(parameters)}</code></details></td></tr>\n</tbody>"
    )


def _row(run: Run) -> str:
    value, low, high = run.score
    interval = "" if low is None or high is None else f" [{low:.2f}, {high:.2f}]"
    score = "undefined" if value is None else f"{value:.2f}{interval}"
    link = f'<a href="runs/{escape(run.cell)}.json">{escape(run.cell)}</a>'
    codes = "".join(f'<td class="text"><code>{escape(code)}</code></td>' for code in (run.fingerprint, run.commit))
    return f'<tr><th scope="row" class="text">{link}</th><td>{score}</td>{codes}</tr>'


def _flat(parameters: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted key and value of everything that is set."""
    for key, value in parameters.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{key}.")
        elif value is not None:
            yield f"{above}{key}", " + ".join(map(str, value)) if isinstance(value, list) else value


def _align(text: bool) -> str:
    return ' class="text"' if text else ""
