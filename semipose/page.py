"""The report as one self-contained HTML page: tables, figures inside the file, and the run behind every number."""

import base64
from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby

from semipose.results import Run
from semipose.tables import Table

STYLE = """
:root { color-scheme: light; background: #fff; }
body { max-width: 68rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.5 system-ui, sans-serif; color: #1a1a1a; }
h1, h2 { line-height: 1.2; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid #ccc; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
caption { text-align: left; font-weight: 600; padding: .5rem 0; }
th, td { padding: .3rem .6rem; text-align: right; vertical-align: top; white-space: nowrap; }
.text { text-align: left; }
td.text { white-space: normal; min-width: 11rem; }
th.group { text-align: center; border-bottom: 1px solid #999; }
thead { border-top: 2px solid #333; border-bottom: 1px solid #333; }
tbody { border-bottom: 2px solid #333; }
tbody tr:hover { background: #f3f3f3; }
.notes { font-size: .85rem; color: #333; padding-left: 1.2rem; }
.unequal { font-weight: 600; color: #8a2500; }
figure { margin: 1.5rem 0; }
figure img { max-width: 100%; height: auto; }
figcaption { font-size: .9rem; color: #333; max-width: 46rem; }
code { font-size: .85rem; }
@media print {
  @page { size: A4 landscape; margin: 12mm; }
  body { max-width: none; margin: 0; font-size: 9pt; }
  table { font-size: 8pt; }
  th, td { padding: .1rem .4rem; }
  figure, tr { break-inside: avoid; }
  figure img { max-height: 160mm; width: auto; }
  .wide { overflow: visible; }
  a { color: inherit; }
}
"""


def page(title: str, tables: Sequence[Table], figures: Iterable[tuple[str, str, bytes]], runs: Sequence[Run]) -> str:
    """The whole page; its links lead to `runs/<cell>.json` beside it. `figures`: caption, alternative text, PNG or JPEG."""
    drawn = "\n".join(_figure(*figure) for figure in figures) or "<p>not run: no run has left anything to draw.</p>"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<header><h1>{escape(title)}</h1></header>
<main>
<section><h2>Tables</h2>
{"".join(map(_table, tables))}
</section>
<section><h2>Figures</h2>
{drawn}
</section>
<section><h2>Runs</h2>
<p>Every number above comes from these runs; all their metrics are in <a href="results.csv">results.csv</a>.</p>
{_runs(runs)}
</section>
</main>
</body>
</html>
"""


def _table(table: Table) -> str:
    groups = [(group, len(list(members))) for group, members in groupby(table.columns, key=lambda column: column.group)]
    top = "".join(
        f'<th class="group" colspan="{size}" scope="colgroup">{escape(group)}</th>' if group else f'<td colspan="{size}"></td>'
        for group, size in groups
    )
    heads = "".join(f'<th scope="col"{_align(column.text)}>{escape(column.name)}</th>' for column in table.columns)
    rows = []
    for row in table.rows:
        cells = (f"<td{_align(column.text)}>{escape(text)}</td>" for text, column in zip(row[1:], table.columns[1:], strict=True))
        rows.append(f'<tr><th scope="row" class="text">{escape(row[0])}</th>{"".join(cells)}</tr>')
    notes = "".join(f"<li{_warning(note)}>{escape(note)}</li>\n" for note in table.notes)
    return (
        f'<div class="wide"><table id="{escape(table.name)}">\n<caption>{escape(table.caption)}</caption>\n'
        f"<thead><tr>{top}</tr>\n<tr>{heads}</tr></thead>\n<tbody>\n"
        + "\n".join(rows)
        + f'\n</tbody></table></div>\n<ul class="notes">\n{notes}</ul>\n'
    )


def _figure(caption: str, alt: str, image: bytes) -> str:
    source = base64.b64encode(image).decode("ascii")
    form, width = "jpeg", ""
    if image.startswith(b"\x89PNG"):
        form = "png"
        width = f' width="{int.from_bytes(image[16:20], "big") * 96 // 150}"'  # in CSS pixels, so that all texts are of one size
    image_tag = f'<img{width} src="data:image/{form};base64,{source}" alt="{escape(alt)}">'
    return f"<figure>{image_tag}<figcaption>{escape(caption)}</figcaption></figure>"


def _runs(runs: Sequence[Run]) -> str:
    if not runs:
        return "<p>not run</p>"
    rows = []
    for run in runs:
        value = "undefined" if run.score.value is None else f"{run.score.value:.2f}"
        link = f'<a href="runs/{escape(run.cell)}.json">{escape(run.cell)}</a>'
        codes = "".join(f'<td class="text"><code>{escape(code)}</code></td>' for code in (run.fingerprint, run.commit))
        rows.append(f'<tr><th scope="row" class="text">{link}</th><td>{value}</td>{codes}</tr>')
    names = {
        "run": True,
        runs[0].protocol["headline"]: False,
        "fingerprint of its parameters and inputs": True,
        "commit": True,
    }
    heads = "".join(f'<th scope="col"{_align(text)}>{escape(name)}</th>' for name, text in names.items())
    body = "\n".join(rows)
    return f'<div class="wide"><table id="runs">\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'


def _align(text: bool) -> str:
    return ' class="text"' if text else ""


def _warning(note: str) -> str:
    return ' class="unequal"' if note.startswith("unequal:") else ""
