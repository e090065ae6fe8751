"""The page around its sections: style, script and the way through it."""

from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files


def page(title: str, lead: str, sections: Mapping[str, Sequence[str]]) -> str:
    """A whole HTML document that asks for nothing outside itself. `lead`: HTML below the title; `sections`: heading -> pieces of HTML,
    left out where there is none."""
    filled = {heading: pieces for heading, pieces in sections.items() if any(pieces)}
    links = "\n".join(f'<li><a href="#{_anchor(heading)}">{escape(heading)}</a></li>' for heading in filled)
    body = "\n".join(
        f'<section id="{_anchor(heading)}">\n<h2>{escape(heading)}</h2>\n{"".join(pieces)}</section>' for heading, pieces in filled.items()
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>
{_file("style.css")}</style>
</head>
<body>
<nav aria-label="Sections"><ul>
{links}
</ul></nav>
<main>
<header><h1>{escape(title)}</h1>
{lead}</header>
{body}
</main>
<script>
{_file("sort.js")}</script>
</body>
</html>
"""


def _anchor(heading: str) -> str:
    return heading.lower().replace(" ", "-")


def _file(name: str) -> str:
    return files("semipose.reporting.site").joinpath(name).read_text(encoding="utf-8")
