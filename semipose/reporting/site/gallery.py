"""People as the methods see them: in training, and on the validation set beside the truth."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from statistics import fmean

from semipose.reporting.results import Run, read_columns
from semipose.reporting.site.pictures import sheet, tile
from semipose.reporting.site.tables import anchor
from semipose.utils.errors import InputError

ENDS = 4  # people at either end that are shown at once; those between unfold

Scores = Mapping[str, Mapping[int, float]]  # method -> person -> OKS or PCK, 0-1


def gallery(reports: Path, runs: Sequence[Run]) -> list[str]:
    """Pieces of HTML on one run of each method, all of one budget and seed: what training shows them, their poses of the same people,
    and the best and worst of each. The pictures lie in `reports`; the last method's are open, the others' unfold."""
    if not runs:
        return []
    last = runs[-1]
    parts = {
        "The same validation people, every method": _same_people(reports, runs),
        "The same unlabelled people in training": "".join(
            _unfolding(run.method, _strip(reports, run), run is last) for run in reversed(runs)
        ),
        "Best, middling and worst of each method": "".join(
            _unfolding(run.method, _extremes(reports, run), run is last) for run in reversed(runs)
        ),
    }
    return [f"<h3>{heading}</h3>\n{content}" for heading, content in parts.items() if content]


def _unfolding(summary: str, content: str, unfolded: bool) -> str:
    if not content:
        return ""
    return f"<details{' open' * unfolded}><summary>{escape(summary)}</summary>\n{content}</details>\n"


def _strip(reports: Path, run: Run) -> str:
    views = reports / "views" / run.cell
    return sheet(
        views / "strip.jpg",
        f"What {run.cell} is shown and says in training.",
        "One row per person: the weak view with the teacher's heatmaps, then each strong view with its pseudo-label and the student's "
        "heatmaps; for AKM a mixed view last.",
    ) + sheet(
        views / "masks.jpg",
        f"A clear and a hard person under fixed and adaptive masking ({run.cell}).",
        "A clear person above and a hard person below: weak view, the teacher's heatmaps, a fixed number of masks, an adaptive number.",
    )


def _extremes(reports: Path, run: Run) -> str:
    ranks = {"best": "The best", "median": "Middling", "worst": "The worst"}
    return "".join(
        sheet(
            reports / "pictures" / run.cell / f"{rank}.jpg",
            f"{words} validation people of {run.cell}: truth above, prediction with its score below.",
            "Two rows of people with skeletons: annotated above, predicted below.",
        )
        for rank, words in ranks.items()
    )


def _same_people(reports: Path, runs: Sequence[Run]) -> str:
    if not all((reports / "pictures" / run.cell).is_dir() for run in runs):
        return ""
    scores = {run.method: _scores(reports / "runs" / run.cell / "people.csv") for run in runs}
    people = sorted(set.intersection(*map(set, scores.values())), key=lambda person: -fmean(own[person] for own in scores.values()))
    measure = "OKS" if runs[0].protocol["metric"] == "oks" else runs[0].protocol["headline"]
    parts = {"Best": people[:ENDS], "Worst": people[ENDS:][-ENDS:], "Between": people[ENDS:-ENDS]}
    tables = {name: _people_table(reports, runs, scores, chosen, measure) for name, chosen in parts.items() if chosen}
    ends = "".join(f"<div><h4>{name}</h4>\n{tables[name]}</div>\n" for name in ("Best", "Worst") if name in tables)
    between = _unfolding(f"The {len(parts['Between'])} between", tables.get("Between", ""), False)
    return (
        f"<p>{len(people)} people, taken evenly from the validation set, in the order of their mean {escape(measure)} over the methods "
        f"({escape(runs[0].labels)}, seed {runs[0].seed}). Blue is the person's left, orange the right; joints that a network is unsure of "
        f'are not drawn.</p>\n<div class="ends">\n{ends}</div>\n{between}'
    )


def _scores(path: Path) -> dict[int, float]:
    if not path.exists():
        raise InputError(f"{path} is missing; run the stage `evaluate` of this cell again")
    columns = read_columns(path)
    return dict(zip(map(int, columns["id"]), columns["score"], strict=True))


def _people_table(reports: Path, runs: Sequence[Run], scores: Scores, people: Sequence[int], measure: str) -> str:
    links = (f'<a href="#{escape(anchor(run.method, run.labels))}">{escape(run.method)}</a>' for run in runs)
    heads = "".join(f'<th scope="col">{head}</th>' for head in ("truth", *links))
    rows = []
    for person in people:
        truth = tile(reports / "pictures" / runs[0].cell / f"{person}-truth.jpg", f"Annotated pose of person {person}")
        cells = [f"<td>{truth}<span>person {person}</span></td>"]
        for run in runs:
            said = f"{measure} {scores[run.method][person]:.2f}"
            picture = tile(reports / "pictures" / run.cell / f"{person}.jpg", f"Pose of person {person} by {run.method}, {said}")
            cells.append(f"<td>{picture}<span>{said}</span></td>")
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return (
        '<div class="wide" tabindex="0" role="region" aria-label="Poses of the same people">'
        f'<table class="people">\n<thead><tr>{heads}</tr></thead>\n<tbody>\n' + "\n".join(rows) + "\n</tbody></table></div>\n"
    )
