"""How the lines of a journal become one run in MLflow, each of them once."""

import hashlib
import json
import re
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.tracking.journal import Journal, Line
from pipeline.tracking.views import NOTE, VIEWS, experiment_of, run_name, run_note

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

# MLflow's limits.
METRICS_PER_BATCH, OTHERS_PER_BATCH = 1000, 100
LONGEST_NAME, LONGEST_PARAM, LONGEST_TAG, LONGEST_DIGEST = 250, 6000, 8000, 36


class Upload:
    """A journal on its way into its run. Made anew after every failure, so that it knows what the store really has."""

    def __init__(self, journal: Journal, client: "MlflowClient") -> None:
        self.journal, self.client = journal, client
        self.store = hashlib.sha256(client.tracking_uri.encode()).hexdigest()
        run, self.sent = self._find_run(next(journal.lines())[0])
        self.run_id, self.experiment = run.info.run_id, run.info.experiment_id
        self.finished = run.info.status == "FINISHED"
        self.ended = any(line["kind"] == "end" for line, stop in journal.lines() if stop <= self.sent)
        self.steps = {name: max(metric.step for metric in client.get_metric_history(self.run_id, name)) for name in run.data.metrics}
        journal.set_mark(self.store, self.run_id, self.sent)

    def _find_run(self, start: Line) -> "tuple[Run, int]":
        """The run and the bytes that it has: the marked run, else the open one of the fingerprint, else a new one."""
        from mlflow.exceptions import MlflowException

        mark = self.journal.mark()
        if mark and mark["store"] == self.store:
            try:
                run = self.client.get_run(mark["run"])
                if run.info.lifecycle_stage == "active":
                    return run, mark["bytes"]
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
        experiment = self.client.get_experiment_by_name(experiment_of(start["stage"]))
        if experiment is None:
            raise LookupError(f"the experiment {experiment_of(start['stage'])!r} has gone from MLflow")
        fingerprint = self.journal.fingerprint
        found = self.client.search_runs([experiment.experiment_id], f"tags.`semipose.fingerprint` = '{fingerprint}'")
        attempts = {int(run.data.tags.get("semipose.attempt", 1)): run for run in found}
        latest = max(attempts, default=0)
        if latest and attempts[latest].info.status != "FINISHED":
            return attempts[latest], 0
        tags = {"semipose.fingerprint": fingerprint, "semipose.attempt": str(latest + 1)}
        name = run_name(start["stage"], start["cell"])
        return self.client.create_run(experiment.experiment_id, start["time"], tags, name), 0

    def pump(self) -> bool:
        """Send the lines that the store does not have; True once the journal has ended and all of it is there."""
        for kind, group in groupby(list(self.journal.lines(self.sent)), key=lambda pair: pair[0]["kind"]):
            pairs = list(group)
            self._send(kind, [line for line, _ in pairs])
            self.ended = kind == "end"
            self.sent = pairs[-1][1]
            self.journal.set_mark(self.store, self.run_id, self.sent)
        return self.ended

    def _send(self, kind: str, lines: list[Line]) -> None:
        from mlflow.exceptions import MlflowException

        send = {
            "start": self._start,
            "dataset": self._dataset,
            "artifact": self._artifact,
            "note": self._note,
            "model": self._model,
            "end": self._end,
        }
        try:
            if kind == "metrics":
                self._metrics(lines)
            else:
                for line in lines:
                    send[kind](line)
        except MlflowException as error:
            if error.error_code != "INVALID_PARAMETER_VALUE":
                raise
            # A line that MLflow will never take must not hold up those behind it.
            self.client.set_tag(self.run_id, "semipose.refused", f"{kind}: {error}"[:LONGEST_TAG])

    def _start(self, line: Line) -> None:
        """Params and tags; a run that was killed runs again."""
        from mlflow.entities import Param, RunTag

        run = self.client.get_run(self.run_id)
        known, params, tags = run.data.params, flat(line["params"]), dict(line["tags"])
        if NOTE not in run.data.tags:
            experiments = {name: found.experiment_id for name in VIEWS if (found := self.client.get_experiment_by_name(name))}
            tags |= {NOTE: note} if (note := run_note(line["stage"], line["cell"], experiments)) else {}
        differ = [f"{k}: {known[k]} -> {v}" for k, v in params.items() if known.get(k, v) != v]
        if differ:  # MLflow's params are immutable
            tags["semipose.params_changed"] = "\n".join(differ)[:LONGEST_TAG]
        new_params = [Param(key, value) for key, value in params.items() if key not in known]
        new_tags = [RunTag(key, value) for key, value in tags.items()]
        for i in range(0, max(len(new_params), len(new_tags)), OTHERS_PER_BATCH):
            part = slice(i, i + OTHERS_PER_BATCH)
            self.client.log_batch(self.run_id, params=new_params[part], tags=new_tags[part])
        if not self.finished:
            if "semipose.error" in run.data.tags:
                self.client.delete_tag(self.run_id, "semipose.error")
            self.client.update_run(self.run_id, "RUNNING")

    def _metrics(self, lines: list[Line]) -> None:
        """Values of steps that the store does not have; steps that a resumed run repeats are left out."""
        from mlflow.entities import Metric

        new = []
        for line in lines:
            for name, value in legal(line["metrics"]).items():
                if line["step"] > self.steps.get(name, -1):
                    self.steps[name] = line["step"]
                    new.append(Metric(name, value, line["time"], line["step"]))
        for i in range(0, len(new), METRICS_PER_BATCH):
            self.client.log_batch(self.run_id, metrics=new[i : i + METRICS_PER_BATCH])

    def _dataset(self, line: Line) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        source, profile = json.dumps({"uri": line["source"]}), json.dumps(line["profile"])
        dataset = Dataset(line["name"], line["digest"][:LONGEST_DIGEST], "local", source, profile=profile)
        self.client.log_inputs(self.run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", line["context"])])])

    def _artifact(self, line: Line) -> None:
        name = Path(line["name"])
        folder = None if name.parent == Path() else str(name.parent)
        self.client.log_artifact(self.run_id, str(self.journal.files / name), folder)

    def _note(self, line: Line) -> None:
        self.client.set_tag(self.run_id, NOTE, line["text"][:LONGEST_TAG])

    def _model(self, line: Line) -> None:
        """A model that points at the weights, which DVC keeps. Each step is done only where it is missing."""
        import mlflow
        from mlflow.entities import LoggedModelOutput, Metric

        mlflow.set_tracking_uri(self.client.tracking_uri)
        found = self.client.search_logged_models([self.experiment], f"source_run_id = '{self.run_id}'")
        model = (
            found[0]
            if found
            else mlflow.create_external_model(
                line["name"], self.run_id, line["tags"], model_type="pose network", experiment_id=self.experiment
            )
        )
        outputs = self.client.get_run(self.run_id).outputs
        if model.model_id not in [output.model_id for output in (outputs.model_outputs if outputs else [])]:
            self.client.log_outputs(self.run_id, [LoggedModelOutput(model.model_id, line["step"])])
        known = [metric.key for metric in model.metrics or []]
        linked = []
        for name, value in legal(line["metrics"]).items():
            if name in known:
                continue
            # The same point with the same time: the run keeps it once, and the model is linked to it.
            point = {m.step: m for m in self.client.get_metric_history(self.run_id, name)}.get(line["step"])
            value, time = (point.value, point.timestamp) if point else (value, line["time"])
            linked.append(Metric(name, value, time, line["step"], model_id=model.model_id))
            self.steps[name] = max(self.steps.get(name, -1), line["step"])
        if linked:
            self.client.log_batch(self.run_id, metrics=linked)
        if registered := line.get("registered"):
            self._register(f"models:/{model.model_id}", registered, {"cell": line["name"]} | line["tags"])

    def _register(self, source: str, name: str, tags: dict[str, str]) -> None:
        """The model as a version of the registered model `name`, unless it is one."""
        import mlflow

        if not any(version.source == source for version in self.client.search_model_versions(f"name = '{name}'")):
            mlflow.register_model(source, name, await_registration_for=None, tags=tags)

    def _end(self, line: Line) -> None:
        if self.finished:  # a later process finished this run; that the earlier one was killed is no news
            return
        if line["error"]:
            self.client.set_tag(self.run_id, "semipose.error", line["error"])
        self.client.set_terminated(self.run_id, line["status"], line["time"])


def flat(params: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested params as MLflow has them: dotted names, values as text (lists as JSON), long ones cut off."""
    texts: dict[str, str] = {}
    for key, value in params.items():
        name = f"{prefix}{legal_name(str(key))}"
        if isinstance(value, Mapping) and value:
            texts |= flat(value, f"{name}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value)
            texts[name[:LONGEST_NAME]] = text[:LONGEST_PARAM]
    return texts


def legal(metrics: Mapping[str, float]) -> dict[str, float]:
    return {legal_name(name)[:LONGEST_NAME]: value for name, value in metrics.items()}


def legal_name(name: str) -> str:
    """A name that MLflow takes: `PCK@0.2 torso` becomes `PCK_0.2 torso`."""
    clean = re.sub(r"[^A-Za-z0-9_\-./ ]", "_", name)
    return "/".join(part for part in clean.split("/") if part not in ("", ".", "..")) or "_"
