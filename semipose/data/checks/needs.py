"""What params.yaml needs for a data set, as text to put there."""

from pathlib import Path

from semipose.data.checks.layout import Layout
from semipose.data.people import People

METRIC = {"coco": "oks", "custom": "oks", "lsp": "pck", "flic": "oks", "mpii": "pckh", "aic": "oks"}
SHARES = (100, 20, 5)  # one labelled person in so many


def needs(root: Path, layout: Layout, train: People) -> str:
    """The lines of the sections `data`, `split` and `evaluate` that differ from the demo's; budgets are a hundredth, a twentieth and a
    fifth of the people."""
    lines = ["data:", f"  source: {layout.source}", f"  root: {root.resolve()}"]
    if layout.custom is None:
        lines.append("  custom: null")
    else:
        lines.append("  custom:")
        for part, where in (("train", layout.custom.train), ("val", layout.custom.val)):
            lines += [f"    {part}:", f"      annotations: {where.annotations}", f"      images: {where.images}"]
        lines += [f"    {key}: null" for key in ("category", "pairs", "sigmas", "torso")]
    budgets = dict.fromkeys(max(2, len(train) // share) for share in SHARES)
    lines += ["split:", "  budgets:", *(f"    L{count}: {count}" for count in budgets)]
    lines += ["sweep:", "  labels:", *(f"    - L{count}" for count in budgets)]
    lines += ["ablation:", "  labels:", f"    - L{next(iter(budgets))}"]
    lines += ["evaluate:", f"  metric: {METRIC[layout.source]}"]
    if METRIC[layout.source] == "pck":
        lines.append("  pck_reference: torso")
    return "\n".join(lines) + "\n"
