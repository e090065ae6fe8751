"""What MLflow's UI shows first: saved views of each
experiment's runs, and a note that links to them.

A saved view is a tag of its experiment, as the UI itself writes it (the button `Views` above the
table of runs, MLflow 3.17).
It has the columns, their order and widths, the sorting, the filter and the grouping.
A UI that does not know this format ignores the view.
"""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

DATA, TRAINING, RESULTS = "semipose data", "semipose training", "semipose results"
DATA_STAGES = {"check", "download", "prepare", "split"}
RESULT_STAGES = {"evaluate", "evaluate_ablation", "report"}
NOTE = "mlflow.note.content"  # where MLflow keeps the text above an experiment or a run
NAME_PX, COLUMN_PX = 400, 105  # widths of the names of runs and groups, and of a number


def _view(title: str, columns: tuple[str, ...], sort: str = "", mean_of: str = "") -> tuple[str, str]:
    """The title of a table of runs, and the text in which MLflow keeps it.

    Columns are metrics.`x`, params.`x` or tags.`x`; columns without values are not shown.
    With `mean_of` (a stage), the table has only that stage's runs, and groups those that differ in
    the seed, with their mean.
    """
    widths = {"attributes.`Run Name`": NAME_PX} | dict.fromkeys(columns, COLUMN_PX)
    state: dict[str, Any] = {"selectedColumns": columns, "columnOrder": list(widths), "columnWidths": widths}
    if sort:
        state |= {"orderByKey": sort, "orderByAsc": False}
    if mean_of:
        keys = [{"mode": "tag", "groupByData": tag} for tag in ("method", "labels", "data")]
        state["searchFilter"] = f"tags.`semipose.stage` = '{mean_of}'"
        state["groupBy"] = {"aggregateFunction": "average", "groupByKeys": keys}
    return title, json.dumps({"name": title, "createdAt": 0, "state": json.dumps(state)})


FIGURES = tuple(f"metrics.`{name}`" for name in ("AP", "AP50", "AP75", "AR", "PCKh_0.5", "PCK_0.2 torso"))
CURVES = tuple(f"metrics.`{name}`" for name in ("val/AP", "val/PCK_0.2 torso", "loss/supervised", "pseudo/PCK_0.1 box", "masks", "seconds"))
RUN_TAGS = tuple(f"tags.`{name}`" for name in ("method", "labels", "seed"))
VIEWS = {  # experiment -> key in addresses (existing ones too) -> view; the note names the first one first
    DATA: {"stages": _view("Stages of the data", ("metrics.`train/people`", "metrics.`val/people`"))},
    TRAINING: {
        "cells": _view("Every training", (*CURVES, *RUN_TAGS), "metrics.`val/AP`"),
        "methods": _view("Methods, mean over seeds", CURVES, "metrics.`val/AP`", mean_of="train"),
    },
    RESULTS: {
        "methods": _view("Methods, mean over seeds", FIGURES, "metrics.`AP`", mean_of="evaluate"),
        "cells": _view("Every evaluated run", (*FIGURES, *RUN_TAGS), "metrics.`AP`"),
    },
}
ABOUT = {
    DATA: "Origin of the data: one run for each stage that downloads, crops and splits.",
    TRAINING: "One run for each warm-up and training: parameters, data inputs, live curves, pictures of its views.",
    RESULTS: "One run for each evaluation: scores, best and worst people, the model. The run `report` holds the tables and figures.",
}


def experiment_of(stage: str) -> str:
    """The experiment of the runs of a stage."""
    return DATA if stage in DATA_STAGES else RESULTS if stage in RESULT_STAGES else TRAINING


def run_name(stage: str, name: str) -> str:
    """The name of a run: as in reports/runs/, with the stage's
    name if the experiment does not tell it.
    """
    return name if name == stage or stage not in DATA_STAGES | {"warmup"} else f"{stage} {name}"


def address(experiment: str, view: str = "", only: str = "", charts: bool = False) -> str:
    """Make the address at which the UI shows an experiment, without the server's own part.

    Args:
        experiment: Id of the experiment.
        view: Key of a saved view.
        only: Filter of the runs, in MLflow's language.
        charts: Show curves instead of the table.
    """
    parts = {"workflowType": "machine_learning", "viewStateShareKey": view, "searchFilter": only}
    parts |= {"compareRunsMode": "CHART"} if charts else {}
    return f"#/experiments/{experiment}/runs?" + "&".join(f"{key}={quote(value)}" for key, value in parts.items() if value)


def experiment_tags(name: str, experiment: str) -> dict[str, str]:
    """The note and the saved views of an experiment (its id)."""
    links = [f"**[{title}]({address(experiment, key)})**" for key, (title, _) in VIEWS[name].items()]
    if name == TRAINING:
        links.append(f"**[Curves]({address(experiment, charts=True)})**")
    views = {f"mlflow.sharedViewState.{key}": text for key, (_, text) in VIEWS[name].items()}
    return {NOTE: " · ".join([*links, ABOUT[name]])} | views


def run_note(stage: str, name: str, experiments: Mapping[str, str]) -> str:
    """Make links between a training and its evaluation; "" for other runs.

    Args:
        stage: Name of the stage.
        name: Name of the run.
        experiments: Name -> id.
    """
    leads = {TRAINING: ("Its figures", RESULTS), RESULTS: ("How it was trained", TRAINING)}.get(experiment_of(stage))
    if leads is None or stage in ("warmup", "report"):
        return ""
    title, other = leads
    place = address(experiments[other], only=f"tags.`semipose.cell` = '{name}'")
    return f"[{title}]({place})"
