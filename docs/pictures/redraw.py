"""The README's two pictures, drawn from what the demo left in reports/: `python docs/pictures/redraw.py` after `dvc repro`."""

from pathlib import Path
from statistics import fmean

from PIL import Image

from semipose.draw import sheet
from semipose.results import read_columns

REPORTS, HERE = Path("reports"), Path(__file__).parent
METHODS = ("supervised", "akm")
PEOPLE = 7  # of those in the report, evenly from the best to the worst
STRIP, ROWS = 5, 2  # people in a strip of reports/views, and how many of them are kept


def predictions() -> Image.Image:
    """The truth above each method's poses of the same people."""
    columns = {method: read_columns(REPORTS / "runs" / f"demo-{method}-L50-s0" / "people.csv") for method in METHODS}
    scores = {method: dict(zip(map(int, own["id"]), own["score"], strict=True)) for method, own in columns.items()}
    order = sorted(scores["akm"], key=lambda person: -fmean(own[person] for own in scores.values()))
    people = [order[round(k * (len(order) - 1) / (PEOPLE - 1))] for k in range(PEOPLE)]
    folder = REPORTS / "pictures"
    tiles = [Image.open(folder / f"demo-akm-L50-s0/{person}-truth.jpg") for person in people]
    captions = ["truth"] * PEOPLE
    for method in METHODS:
        tiles += [Image.open(folder / f"demo-{method}-L50-s0/{person}.jpg") for person in people]
        captions += [f"{method}\nOKS {scores[method][person]:.2f}" for person in people]
    return sheet(tiles, captions, PEOPLE, (120, 160))


def at_work() -> Image.Image:
    """The upper rows of AKM's strip: one unlabelled person in each."""
    strip = Image.open(REPORTS / "views/demo-akm-L50-s0/strip.jpg")
    return strip.crop((0, 0, strip.width, strip.height * ROWS // STRIP))


if __name__ == "__main__":
    predictions().save(HERE / "predictions.jpg", quality=88)
    at_work().save(HERE / "akm.jpg", quality=88)
