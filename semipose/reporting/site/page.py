"""The page: page.html.jinja, filled with tables, pictures and runs."""

import base64
from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from statistics import fmean
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from PIL import Image

from semipose.reporting.cells import NOTHING
from semipose.reporting.protocol import evaluation
from semipose.reporting.results import Run, Score, read_columns
from semipose.reporting.tables import ABOVE, Table
from semipose.utils.errors import InputError
from semipose.utils.flat import flat

PER_INCH = 150  # pixels of a chart; a page has 96 per inch, so that all texts of charts have one size
WEAK = 5.0  # a headline metric, 0-100, below which no network is of use
TOO_WEAK = "These networks are far too weak to use: train more steps, start from pretrained weights, or label more people."
ENDS = 4  # people at either end that are shown at once; those between are folded


def page(reports: Path, title: str, main: Table, runs: Sequence[Run], first: Sequence[Run], **parts: Any) -> str:
    """A whole HTML document that loads nothing from outside.

    Args:
        reports: Folder of the pictures.
        title: Heading of the page.
        main: The main table, of the runs of stage train.
        runs: Every run, those of one method and budget one after the other.
        first: One run of each method, for the gallery.
        parts: The template's `beside` and `ablations` (tables), `pictures` (by name), `curves` and
            `masking` (a run of each variant whose pictures of training are shown).

    Raises:
        InputError: As `same_people`.
    """
    template = _environment().get_template("page.html.jinja")
    trained = [run for run in runs if run.stage == "train"]
    measure = next(("OKS" if run.protocol["metric"] == "oks" else run.protocol["headline"] for run in first), "")
    told: dict[str, Any] = {"cards": _cards(main, trained), "evaluation": evaluation(trained) if trained else ""}
    groups = [list(group) for _, group in groupby(runs, key=lambda run: (run.method, run.labels))]
    ran = {(run.method, run.labels) for run in runs}
    told |= {"groups": groups, "ran": ran, "gallery": same_people(reports, first), "measure": measure}
    told["more"] = {run.method for run in runs if run.stage == "ablate"} - {run.method for run in parts["masking"]}
    told["compared"] = {run.name: {"metrics": run.metrics, "parameters": _flat_texts(run.parameters)} for run in runs}
    return template.render(reports=reports, title=title, main=main, first=first, **told, **parts) + "\n"


def _environment() -> Environment:
    made = Environment(loader=PackageLoader("semipose.reporting", "site"), autoescape=True, trim_blocks=False, undefined=StrictUndefined)
    made.filters |= {"data_uri": _data_uri, "chart_width": _chart_width, "spans": _spans, "places": _places, "flat_texts": _flat_texts}
    made.filters["breakable"] = lambda text: escape(text).replace("_", Markup("_<wbr>"))
    return made


def _cards(table: Table, runs: Sequence[Run]) -> list[dict[str, str]]:
    """At each budget the method with the largest number and its gain, or that no difference is shown."""
    cards = []
    for labels, people in {run.labels: run.labelled for run in runs}.items():
        value, gain = (k for k, column in enumerate(table.columns) if column.group == labels and column.name != ABOVE)
        known = [(number, row) for row in table.rows if (number := row[value].number.value) is not None]
        if not known:
            continue
        largest, best = max(known, key=itemgetter(0))
        # The reference has no gain: if it is the best, the closest method decides.
        compared = [best] if best[gain].number.value is not None else [row for _, row in known if row[gain].number.value is not None]
        closest = max(compared, key=lambda row: row[gain].number.value or 0.0, default=best)
        gained = closest[gain].number
        shown = gained.low is None or gained.high is None or not gained.low <= 0 <= gained.high
        card = {"people": f"{people:,}", "method": best[0].text if shown else ""}
        score = f"{table.columns[value].name} {best[value].text}"
        card |= {"score": score if shown else f"{score} ({best[0].text})", "gain": "no method gains on it"}
        reference = next((row[0].text for row in table.rows if row[gain].text == NOTHING), "")
        if gained.value is not None:
            card["gain"] = f"{closest[0].text}: {closest[gain].text} over {reference}"
        ours, theirs = ({run.seed for run in runs if (run.method, run.labels) == (name, labels)} for name in (closest[0].text, reference))
        card["sure"] = " ".join(filter(None, [_sure(gained, len(ours & theirs)), TOO_WEAK if largest < WEAK else ""]))
        cards.append(card)
    return cards


def _sure(gain: Score, seeds: int) -> str:
    """How sure a gain is, by its 95 % interval and the number of seeds."""
    if gain.low is None or gain.high is None:
        return ""
    excluded = not gain.low <= 0 <= gain.high
    said = f"Its 95 % interval {'excludes' if excluded else 'contains'} 0."
    if seeds == 1:
        return f"{said} It covers validation people only: with one seed, another seed may change the result by more."
    return f"{said} Other validation people would hardly reverse it." if excluded else said


def _spans(table: Table) -> list[tuple[float, float]]:
    """The smallest and the largest bound of each column, and zero if it holds differences."""
    spans = []
    for k, column in enumerate(table.columns):
        bounds = [bound for row in table.rows for bound in row[k].number[1:] if bound is not None] + [0.0] * column.signed
        spans.append((min(bounds, default=0.0), max(bounds, default=0.0)))
    return spans


def _places(number: Score, span: tuple[float, float]) -> dict[str, str]:
    """Positions of the marks of an interval's bar, of 100; {} if there is no interval."""
    value, low, high = number
    if value is None or low is None or high is None or span[0] == span[1]:
        return {}
    bounds = {"zero": 0.0, "low": low, "high": high, "value": value}
    return {name: f"{2 + 96 * (bound - span[0]) / (span[1] - span[0]):.1f}" for name, bound in bounds.items()}


def _data_uri(path: Path) -> str:
    kind = {".png": "png", ".jpg": "jpeg"}[path.suffix]
    return f"data:image/{kind};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"


def _chart_width(path: Path) -> int:
    with Image.open(path) as picture:
        return picture.width * 96 // PER_INCH


def _flat_texts(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Dotted key and value of everything that is set."""
    texts = {key: " + ".join(map(str, value)) if isinstance(value, list) else value for key, value in flat(parameters).items()}
    return {key: str(text) for key, text in texts.items() if text is not None}


def same_people(reports: Path, runs: Sequence[Run]) -> dict[str, Any]:
    """The people of whom every run has pictures, and their scores (0-1).

    Returns:
        scores (method -> person -> OKS or PCK), people (number), and the ids of the best, the worst
        and those between; {} if a run has no pictures.

    Raises:
        InputError: The scores of a run are missing.
    """
    if not runs or not all((reports / "pictures" / run.name).is_dir() for run in runs):
        return {}
    scores = {run.method: people_scores(reports / "runs" / run.name / "people.csv") for run in runs}
    people = sorted(set.intersection(*map(set, scores.values())), key=lambda person: -fmean(own[person] for own in scores.values()))
    ends = {"best": people[:ENDS], "worst": people[ENDS:][-ENDS:], "between": people[ENDS:-ENDS]}
    return {"scores": scores, "people": len(people), **ends}


def people_scores(path: Path) -> dict[int, float]:
    """Person -> score (0-1), of a run's people.csv."""
    if not path.exists():
        raise InputError(f"{path} is missing; run the stage `evaluate` of this run again")
    columns = read_columns(path)
    return dict(zip(map(int, columns["id"]), columns["score"], strict=True))
