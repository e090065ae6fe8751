"""Words that gave way to the field's own terms do not come back into pages, parameters, docstrings and messages."""

import ast
import re
from pathlib import Path

import pytest
from pages import ROOT

# Each with what to say instead. The demo's bodies have a trunk and heatmaps have cells, so those words are not here alone.
WORDS = {
    r"the peers?|peers'": "the released code",
    r"drawn people(?!, seed)": "synthetic people",
    r"taught": "pseudo-label, learnt from",
    r"looked at": "checked, searched, measured",
    r"people table": "person annotations, annotation table",
    r"tally": "loss log",
    r"(trained|evaluated|stage|this|other) cells?": "run",
    r"anew": "again",
    r"of (its|their|his|one's) own": "its own",
    r"so many": "this many, at most",
    r"whoever": "people who",
    r"in the place of": "instead of",
    r"held against": "compared with",
    r"where there (is|are)": "if there is",
    r"is no (number|mapping|JSON|YAML|XML)": "is not a",
}
WIDTH = 110
OLD = re.compile("|".join(rf"(?<!\w)(?:{word})(?!\w)" for word in WORDS), flags=re.IGNORECASE)
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "params.yaml", *(ROOT / "pipeline/presets").glob("*.yaml")]
CODE = [path for folder in ("semipose", "pipeline") for path in (ROOT / folder).rglob("*.py")]


def texts(path: Path) -> list[str]:
    """The lines of a page without its code blocks; the docstrings and messages of a module."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return re.sub(r"^ *```.*?^ *```$", "", text, flags=re.DOTALL | re.MULTILINE).splitlines()
    return [node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant) and isinstance(node.value, str)]


@pytest.mark.parametrize("paths", [PAGES, CODE], ids=["pages", "code"])
def test_old_words_do_not_come_back(paths: list[Path]) -> None:
    """The changelog is left out: it lists old names."""
    found = [
        f"{path.relative_to(ROOT)}: {match[0]!r} in: {' '.join(text.split())[:150]}"
        for path in paths
        if path.name != "CHANGELOG.md"
        for text in texts(path)
        if (match := OLD.search(" ".join(text.split())))
    ]
    assert not found, "\n".join([*found, "", *(f"instead of {word}: {better}" for word, better in WORDS.items())])


def test_lines_of_pages_are_short() -> None:
    """Tables, headings, equations, pictures, code and the targets of links may be longer."""
    found = []
    for path in PAGES:
        text = re.sub(
            r"^ *```.*?^ *```$",
            lambda block: re.sub("[^\n]", "", block[0]),
            path.read_text(encoding="utf-8"),
            flags=re.DOTALL | re.MULTILINE,
        )
        for number, line in enumerate(text.splitlines() if path.suffix == ".md" else (), 1):
            prose = re.sub(r"\]\([^)]*\)", "]", line)
            if len(prose) > WIDTH and not line.lstrip().startswith(("|", "#", "$$", "![", "<")) and not line.startswith("    semipose "):
                found.append(f"{path.relative_to(ROOT)}:{number}: {len(prose)} characters")
    assert not found, "\n".join([*found, "one sentence a line; break long ones after a clause"])
