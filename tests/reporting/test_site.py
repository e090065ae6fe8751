"""The report's page in a browser: whole, sorted, narrow, printed, and with a run behind every number."""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlparse

import numpy as np
import pytest
from made_runs import FINGERPRINT, record, write, write_resamples
from PIL import Image
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select

from pipeline.stages.report import report
from semipose.reporting.results import Grid, read_runs
from semipose.reporting.site.page import same_people
from semipose.utils.errors import InputError

if TYPE_CHECKING:
    from browser import Browser

pytest_plugins = ["browser"]
pytestmark = pytest.mark.slow  # a browser is several processes

METHODS = ("supervised", "posecons", "akm")
SWEEP = Grid("train", METHODS, ("L100", "L400"), (0, 1))
VARIANTS = tuple(f"akm_variant_{number}" for number in range(20))
ABLATION = Grid("ablate", VARIANTS, ("L100",), (0,))
DIFFERS = {name: {"n_max": number} for number, name in enumerate(VARIANTS)} | {"akm_variant_3": {"masking": "shuffled"}}
VALUES = {"supervised": 30.0, "posecons": 8.5, "akm": 40.0}
SCORES = {person: 0.05 * person for person in range(12)}


def fill(root: Path) -> None:
    """All runs but posecons-L400 and the last variant; pictures of twelve people by the first run of each method."""
    generator = np.random.default_rng(0)
    runs = [(method, labels, seed, VALUES[method] + 10 * (labels == "L400") + seed) for method, labels, seed in SWEEP.runs()]
    runs = [run for run in runs if run[:2] != ("posecons", "L400")]
    runs += [(name, "L100", 0, 35.0 + 3 * number % 20) for number, name in enumerate(VARIANTS[:-1])]
    for method, labels, seed, value in runs:
        made = record(method, labels, seed, value)
        write(root, made)
        write_resamples(root, made["cell"], value + generator.normal(size=50))
        folder = root / "reports" / "runs" / made["cell"]
        (folder / "history.csv").write_text("epoch,step,lr,loss/a,val/AP\n1,10,0.1,2.0,\n2,20,0.1,1.0,31\n")
        (folder / "masks.csv").write_text("id,count,simple,teacher_error\n7,5,9,0.01\n8,1,2,0.5\n")
        if method in METHODS and (labels, seed) == ("L100", 0):
            (folder / "people.csv").write_text("id,score\n" + "".join(f"{person},{score}\n" for person, score in SCORES.items()))
            people = [f"pictures/{made['cell']}/{name}" for person in SCORES for name in (f"{person}", f"{person}-truth")]
            sheets = [f"pictures/{made['cell']}/{rank}" for rank in ("best", "median", "worst")]
            for name in (*people, *sheets, f"views/{made['cell']}/strip", f"views/{made['cell']}/masks"):
                path = root / "reports" / f"{name}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (150, 200) if name in people else (1200, 400), (90, 90, 90)).save(path)


def write_report(root: Path) -> Path:
    report(root, "Title <&>", "demo", SWEEP, ABLATION, dict.fromkeys(VARIANTS, "akm"), DIFFERS, {})
    return root / "reports" / "index.html"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("site")
    fill(root)
    return write_report(root)


@pytest.fixture
def page(written: Path, chromium: "Browser") -> "Browser":
    chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    chromium.get("about:blank")
    chromium.requested(), chromium.complaints()
    chromium.get(written.as_uri())
    return chromium


def column(page: "Browser", table: str, number: int) -> list[str]:
    """Texts of a column of a table's body, as they stand."""
    cells = page.find_elements(By.CSS_SELECTOR, f"#{table} tbody tr > :nth-child({number})")
    return [cell.text.splitlines()[0] for cell in cells]


def heading(page: "Browser", table: str, number: int):
    return page.find_element(By.CSS_SELECTOR, f"#{table} thead tr:last-child > :nth-child({number})")


def test_all_of_it_is_in_the_page(page: "Browser", written: Path) -> None:
    pictures = page.execute_script("return [...document.images].map((image) => [image.complete && image.naturalWidth, image.alt])")
    people = 12 * (1 + len(METHODS))
    figures = 3 + len(SWEEP.labels) + 2  # budgets, costs, keypoints; curves; shuffled, masks
    assert len(pictures) == figures + people + len(METHODS) * (2 + 3)
    assert all(width > 0 and len(alt) > 20 for width, alt in pictures)
    assert page.requested() == [written.as_uri()]
    assert page.complaints() == []
    assert page.title == "Title <&>"
    names = page.execute_script("return [...document.querySelectorAll('[id]')].map((element) => element.id)")
    assert len(set(names)) == len(names)


def test_every_link_leads_somewhere(page: "Browser", written: Path) -> None:
    links = page.execute_script("return [...document.links].map((link) => link.href)")
    names = page.execute_script("return [...document.querySelectorAll('[id]')].map((element) => element.id)")
    assert len(links) > 80
    for link in map(urlparse, links):
        assert link.scheme == "file"
        target = Path(unquote(link.path))
        assert target.is_file()
        assert not link.fragment or (target == written and link.fragment in names)
    sections = [section.get_attribute("id") for section in page.find_elements(By.TAG_NAME, "section")]
    assert sections == ["results", "ablations", "cost", "masks", "keypoints", "training", "gallery", "compare", "runs"]
    assert [link.split("#")[1] for link in links[: len(sections)]] == sections


def test_a_number_leads_to_its_runs(page: "Browser", written: Path) -> None:
    page.find_element(By.CSS_SELECTOR, "#main tbody tr:nth-child(3) td:nth-child(2) a").click()
    shown = page.find_element(By.CSS_SELECTOR, "tbody:target")
    links = shown.find_elements(By.CSS_SELECTOR, "th a")
    assert [link.text for link in links] == ["demo-akm-L100-s0", "demo-akm-L100-s1"]
    assert FINGERPRINT in shown.text
    assert page.execute_script("const { top } = arguments[0].getBoundingClientRect(); return top > 0 && top < innerHeight", shown)
    shown.find_element(By.TAG_NAME, "summary").click()
    assert "tau: 0.7, mixup.place: input + stem" in shown.text
    made = json.loads((written.parent / "runs" / "demo-akm-L100-s1.json").read_text())
    assert links[1].get_attribute("href").endswith(f"runs/{made['cell']}.json")


def test_two_runs_side_by_side(page: "Browser", written: Path) -> None:
    """Each metric of both with its difference, and the parameter that the variant changes."""
    chosen = ("demo-akm-L100-s1", "demo-akm_variant_3-L100-s0")
    for side, run in zip("ab", chosen, strict=True):
        Select(page.find_element(By.ID, f"run-{side}")).select_by_visible_text(run)
    one, other = (json.loads((written.parent / "runs" / f"{run}.json").read_text())["metrics"]["AP"] for run in chosen)
    rows = [[cell.text for cell in row.find_elements(By.XPATH, "*")] for row in page.find_elements(By.CSS_SELECTOR, "#compared tbody tr")]
    values = [f"{score['value']:.2f} [{score['low']:.2f}, {score['high']:.2f}]" for score in (one, other)]
    assert ["AP", *values, f"{other['value'] - one['value']:+.2f}"] in rows


def test_numbers_are_sorted_both_ways_and_back(page: "Browser") -> None:
    printed = column(page, "main", 1)
    assert printed == list(METHODS)
    head = heading(page, "main", 2)
    assert head.get_attribute("aria-sort") == "none"
    page.execute_script("arguments[0].focus()", head.find_element(By.TAG_NAME, "button"))
    for order, first in (("descending", "40.5"), ("ascending", "9.0")):
        page.switch_to.active_element.send_keys(Keys.ENTER)
        assert head.get_attribute("aria-sort") == order
        found = [float(text.split()[0]) for text in column(page, "main", 2)]
        assert found == sorted(found, reverse=order == "descending")
        assert column(page, "main", 2)[0].startswith(first)  # as texts, 9 would come after 40
    page.switch_to.active_element.send_keys(Keys.SPACE)
    assert head.get_attribute("aria-sort") == "none"
    assert column(page, "main", 1) == printed


def test_what_has_not_run_stays_last(page: "Browser") -> None:
    button = heading(page, "main", 5).find_element(By.TAG_NAME, "button")  # AP with L400
    for first in ("akm", "supervised"):
        button.click()
        assert column(page, "main", 5)[-1] == "not run"
        assert column(page, "main", 1) == [first, {"akm": "supervised", "supervised": "akm"}[first], "posecons"]
    words = heading(page, "ablation", 1)
    words.find_element(By.TAG_NAME, "button").click()
    assert words.get_attribute("aria-sort") == "ascending"
    assert column(page, "ablation", 1) == ["akm", *VARIANTS]  # 2 before 10


def test_bars_are_the_intervals(page: "Browser", written: Path) -> None:
    """Places of the strokes are one linear function of the numbers of a column."""
    plotted = page.execute_script("""
        const bars = [...document.querySelectorAll("#ablation tbody td:nth-child(3) svg")];
        const ends = (line) => [line.x1.baseVal.value, line.x2.baseVal.value];
        return bars.map((bar) => [...bar.children].flatMap(ends));
    """)
    runs = [f"demo-{name}-L100-s0" for name in ("akm", *VARIANTS[:-1])]
    scores = [json.loads((written.parent / "runs" / f"{run}.json").read_text())["metrics"]["AP"] for run in runs]
    numbers = [[score[name] for name in ("low", "high", "value", "value")] for score in scores]
    assert len(plotted) == len(numbers)
    slope, start = np.polyfit(np.ravel(numbers), np.ravel(plotted), 1)
    assert slope > 0
    np.testing.assert_allclose(slope * np.array(numbers) + start, plotted, atol=0.15)
    gains = page.find_elements(By.CSS_SELECTOR, "#main tbody td:nth-child(3) svg")
    zeros = {gain.find_element(By.CLASS_NAME, "zero").get_attribute("x1") for gain in gains}
    assert len(gains) == 2
    assert len(zeros) == 1


@pytest.mark.parametrize("width", [390])
def test_narrow_screens(page: "Browser", width: int) -> None:
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 800, "deviceScaleFactor": 2, "mobile": width < 700}
    )
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    assert page.execute_script("return innerWidth") == width  # a phone would zoom out of a page that is too wide
    wide = page.find_element(By.CSS_SELECTOR, "div:has(> #main)")
    page.execute_script("arguments[0].scrollLeft = 150", wide)
    name = wide.find_element(By.CSS_SELECTOR, "tbody th")
    assert page.execute_script("return arguments[0].scrollLeft", wide) == 150
    assert page.execute_script("return arguments[0].getBoundingClientRect().left", name) >= 0, "names stay in sight"


def test_long_tables_keep_their_headings_in_sight(page: "Browser") -> None:
    wide = page.find_element(By.CSS_SELECTOR, "div.long:has(> #ablation)")
    page.execute_script("arguments[0].scrollTop = 400", wide)
    top, head = (
        page.execute_script("return arguments[0].getBoundingClientRect().top", one) for one in (wide, heading(page, "ablation", 1))
    )
    assert top <= head < top + 80


def test_print_unfolds_everything(page: "Browser") -> None:
    hidden = "return [...document.images].filter((image) => !image.checkVisibility({ contentVisibilityAuto: true })).length"
    assert page.execute_script(hidden) > 0
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        assert page.execute_script(hidden) == 0
        assert not page.find_element(By.TAG_NAME, "nav").is_displayed()
        assert page.execute_script("const long = document.querySelector('.long'); return long.scrollHeight <= long.clientHeight + 1")
    finally:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_thesame_people_for_every_method_from_best_to_worst(page: "Browser") -> None:
    tables = page.find_elements(By.CLASS_NAME, "people")
    assert [head.text for head in tables[0].find_elements(By.TAG_NAME, "th")] == ["truth", *METHODS]
    spans = [[span.get_attribute("textContent") for span in table.find_elements(By.TAG_NAME, "span")] for table in tables]
    people = [[int(text.split()[1]) for text in texts if text.startswith("person")] for texts in spans]
    assert people == [[11, 10, 9, 8], [3, 2, 1, 0], [7, 6, 5, 4]]
    assert spans[0][:4] == ["person 11", *["OKS 0.55"] * 3]


def test_people_without_scores_are_named(written: Path, tmp_path: Path) -> None:
    runs = read_runs(written.parent / "runs", "demo", Grid("train", METHODS, ("L100",), (0,)))
    shutil.copytree(written.parent / "pictures", tmp_path / "pictures")
    with pytest.raises(InputError, match=r"demo-supervised-L100-s0.people\.csv is missing; run the stage `evaluate`"):
        same_people(tmp_path, list(runs.values()))
    shutil.rmtree(tmp_path / "pictures")
    assert same_people(tmp_path, list(runs.values())) == {}
