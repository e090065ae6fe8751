"""What params.yaml needs for a data set, as text to paste."""

from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from semipose.data.checks.layout import Layout
from semipose.data.people import People

METRIC = {"coco": "oks", "custom": "oks", "lsp": "pck", "flic": "oks", "mpii": "pckh", "aic": "oks"}
SHARES = (100, 20, 5)  # one labelled person in this many


def needs(root: Path, layout: Layout, train: People) -> str:
    """Write the lines of params.yaml that differ from the demo's.

    Their sections are `data`, `split`, `sweep`, `ablation` and `evaluate`.
    Budgets are a hundredth, a twentieth and a fifth of the people.

    Args:
        root: Folder of the data set.
        layout: What was recognised there.
        train: The training people.

    Returns:
        YAML.
    """
    budgets = {f"L{count}": count for count in (min(len(train), max(2, len(train) // share)) for share in SHARES)}
    custom = layout.custom.model_dump() if layout.custom else None
    exif = {"exif": layout.exif} if layout.exif else {}
    metric = {"metric": METRIC[layout.source]} | ({"pck_reference": "torso"} if METRIC[layout.source] == "pck" else {})
    tree: dict[str, dict[str, Any]] = {
        "data": {"source": layout.source, "root": str(root.resolve()), "custom": custom} | exif,
        "split": {"budgets": budgets},
        "sweep": {"labels": [*budgets]},
        "ablation": {"labels": [*budgets][:1]},
        "evaluate": metric,
    }
    text, yaml = StringIO(), YAML(typ="safe", pure=True)
    yaml.width = 4096  # a long path stays on one line
    yaml.indent(mapping=2, sequence=4, offset=2)  # as params.yaml
    yaml.default_flow_style, yaml.sort_base_mapping_type_on_output = False, False  # type: ignore[assignment]
    yaml.dump(tree, text)
    return text.getvalue()
