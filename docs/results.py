"""The README's table of results, from the committed report: `python docs/results.py` after `dvc repro`."""

import csv
from pathlib import Path

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- results: python docs/results.py -->\n", "<!-- end of results -->\n"


def table(rows: list[dict[str, str]]) -> str:
    """Markdown of reports/tables/main.csv: a row for each method, score and gain for each number of labelled people."""
    budgets = list(dict.fromkeys(row["labels"] for row in rows))
    labelled = {row["labels"]: f"{int(row['labelled']):,}" for row in rows}
    heads = [head for budget in budgets for head in (f"{rows[0]['metric']}, {labelled[budget]} labelled people", "gain")]
    lines = [["method", *heads], ["---"] * (1 + len(heads))]
    for method in dict.fromkeys(row["method"] for row in rows):
        cells = {row["labels"]: row for row in rows if row["method"] == method}
        lines.append([f"`{method}`"])
        for budget in budgets:
            value, low, high, *gain = (cells[budget][name] for name in ("value", "low", "high", "gain", "gain_low", "gain_high"))
            lines[-1].append(f"{float(value):.1f} [{float(low):.1f}, {float(high):.1f}]")
            lines[-1].append("{:+.1f} [{:+.1f}, {:+.1f}]".format(*map(float, gain)) if all(gain) else "–")
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def renewed(readme: str, results: str) -> str:
    """The README with the table of this main.csv."""
    before, _, rest = readme.partition(BEGIN)
    return before + BEGIN + table(list(csv.DictReader(results.splitlines()))) + END + rest.partition(END)[2]


if __name__ == "__main__":
    page, results = ROOT / "README.md", ROOT / "reports/tables/main.csv"
    page.write_text(renewed(page.read_text(encoding="utf-8"), results.read_text(encoding="utf-8")), encoding="utf-8")
