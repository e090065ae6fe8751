"""What params.yaml needs for a data set, as text to paste."""

from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from semipose.data.checks.layout import Layout
from semipose.data.people import People

METRIC = {"coco": "oks", "custom": "oks", "lsp": "pck", "flic": "oks", "mpii": "pckh", "aic": "oks"}
SHARES = (100, 20, 5)  # one labelled person in this many
SMALL = 2000  # up to this many people a hundredth is too few to train on
SMALL_SHARES = (4, 2)
LEAST = 10  # people of a budget of a small set


def needs(root: Path, layout: Layout, train: People) -> str:
    """Write the lines of params.yaml that differ from the demo's.

    Their sections are `data`, `split`, `sweep`, `ablation` and `evaluate`.
    Of a small set no variants are trained: one more person changes its figures more than they do.

    Args:
        root: Folder of the data set.
        layout: What was recognised there.
        train: The training people.

    Returns:
        YAML.
    """
    budgets = budgets_of(len(train))
    custom = layout.custom.model_dump() if layout.custom else None
    exif = {"exif": layout.exif} if layout.exif else {}
    metric = {"metric": METRIC[layout.source]} | ({"pck_reference": "torso"} if METRIC[layout.source] == "pck" else {})
    tree: dict[str, dict[str, Any]] = {
        "data": {"source": layout.source, "root": str(root.resolve()), "custom": custom} | exif,
        "split": {"budgets": budgets},
        "sweep": {"labels": [*budgets]},
        "ablation": ({"variants": []} if len(train) <= SMALL else {}) | {"labels": [*budgets][:1]},
        "evaluate": metric,
    }
    text, yaml = StringIO(), YAML(typ="safe", pure=True)
    yaml.width = 4096  # a long path stays on one line
    yaml.indent(mapping=2, sequence=4, offset=2)  # as params.yaml
    yaml.default_flow_style, yaml.sort_base_mapping_type_on_output = False, False  # type: ignore[assignment]
    yaml.dump(tree, text)
    return text.getvalue()


def budgets_of(count: int) -> dict[str, int | str]:
    """Propose numbers of labelled people, by name, as `split.budgets` has them.

    They are a hundredth, a twentieth and a fifth of all; of a small set a quarter and a half, if that is not too few, and all.
    """
    if count > SMALL:
        return {f"L{count // share}": count // share for share in SHARES}
    return {f"L{count // share}": count // share for share in SMALL_SHARES if count // share >= LEAST} | {"All": "all"}
