"""How the lines of a journal become one run in MLflow, each line once."""

import json
import re
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.tracking.journal import Journal, Line
from pipeline.tracking.store import Store
from pipeline.tracking.views import NOTE, experiment_of, run_name, run_note
from semipose.utils.flat import flat

if TYPE_CHECKING:
    from mlflow.entities import Run

# MLflow's limits.
METRICS_PER_BATCH, PARAMS_PER_BATCH = 1000, 100
LONGEST_NAME, LONGEST_PARAM, LONGEST_TAG, LONGEST_DIGEST = 250, 6000, 8000, 36


class Upload:
    """Uploads one journal into its run; made again after every
    failure, since sending a line twice changes nothing.

    Each kind of line is sent by the method of that name.
    """

    def __init__(self, journal: Journal, store: Store, start: Line) -> None:
        self.journal, self.client, self.experiments = journal, store.client, store.experiments
        self.sent = 0  # lines
        run = self._run(start)
        self.run_id, self.experiment = run.info.run_id, run.info.experiment_id
        self.steps = {name: max(point.step for point in self.client.get_metric_history(self.run_id, name)) for name in run.data.metrics}

    def _run(self, start: Line) -> "Run":
        """The latest run of the fingerprint; a new one if there is
        none, or if another journal finished it.
        """
        experiment, fingerprint = self.experiments[experiment_of(start["stage"])], self.journal.fingerprint
        same = f"tags.`semipose.fingerprint` = '{fingerprint}'"
        for run in self.client.search_runs([experiment], same, max_results=1, order_by=["attributes.start_time DESC"]):
            if run.info.status != "FINISHED" or run.data.tags.get("semipose.journal") == self.journal.folder.name:
                return run
        stage, name = start["stage"], start["cell"]  # the name of the run; existing journals have this key
        tags = {"semipose.fingerprint": fingerprint, NOTE: run_note(stage, name, self.experiments)}
        return self.client.create_run(experiment, start["time"], tags, run_name(stage, name))

    def send(self, lines: list[Line]) -> None:
        """Of all lines of the journal, send those that this object has not sent yet."""
        from mlflow.exceptions import MlflowException

        for kind, same in groupby(lines[self.sent :], key=lambda line: line["kind"]):
            group = list(same)
            try:
                if kind == "metrics":
                    self.metrics(group)
                else:
                    for line in group:
                        getattr(self, kind)(line)
            except MlflowException as error:
                if error.error_code != "INVALID_PARAMETER_VALUE":
                    raise
                # A line that MLflow will never accept must not block those behind it.
                self.client.set_tag(self.run_id, "semipose.refused", f"{kind}: {error}"[:LONGEST_TAG])
            self.sent += len(group)

    def start(self, line: Line) -> None:
        """Params and tags; a killed run becomes running again."""
        from mlflow.entities import Param, RunTag

        run = self.client.get_run(self.run_id)
        tags = line["tags"] | {"semipose.journal": self.journal.folder.name}
        texts = {legal_name(key): value if isinstance(value, str) else json.dumps(value) for key, value in flat(line["params"]).items()}
        params = [Param(key, text[:LONGEST_PARAM]) for key, text in texts.items() if key not in run.data.params]
        for i in range(0, len(params), PARAMS_PER_BATCH):
            self.client.log_batch(self.run_id, params=params[i : i + PARAMS_PER_BATCH])
        self.client.log_batch(self.run_id, tags=[RunTag(key, value) for key, value in tags.items()])
        if "semipose.error" in run.data.tags:
            self.client.delete_tag(self.run_id, "semipose.error")
        self.client.update_run(self.run_id, "RUNNING")

    def metrics(self, lines: list[Line], model: str | None = None) -> None:
        """Send the values of steps that the store does not have yet;
        repeated steps of a resumed run are left out.

        Args:
            lines: Lines of the journal with metrics, each with its step and time.
            model: Id of a model to link the values to.
        """
        from mlflow.entities import Metric

        new = []
        for line in lines:
            for name, value in line["metrics"].items():
                name = legal_name(name)
                if line["step"] > self.steps.get(name, -1):
                    self.steps[name] = line["step"]
                    new.append(Metric(name, value, line["time"], line["step"], model_id=model))
        for i in range(0, len(new), METRICS_PER_BATCH):
            self.client.log_batch(self.run_id, metrics=new[i : i + METRICS_PER_BATCH])

    def dataset(self, line: Line) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        source, profile = json.dumps({"uri": line["source"]}), json.dumps(line["profile"])
        dataset = Dataset(line["name"], line["digest"][:LONGEST_DIGEST], "local", source, profile=profile)
        self.client.log_inputs(self.run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", line["context"])])])

    def artifact(self, line: Line) -> None:
        name = Path(line["name"])
        folder = None if name.parent == Path() else str(name.parent)
        self.client.log_artifact(self.run_id, str(self.journal.folder / "files" / name), folder)

    def note(self, line: Line) -> None:
        self.client.set_tag(self.run_id, NOTE, line["text"][:LONGEST_TAG])

    def model(self, line: Line) -> None:
        """Make a model entry that points at the weights, which DVC
        keeps; steps already done are left out.
        """
        import mlflow
        from mlflow.entities import LoggedModelOutput

        mlflow.set_tracking_uri(self.client.tracking_uri)
        found = self.client.search_logged_models([self.experiment], f"source_run_id = '{self.run_id}'")
        about = {"tags": line["tags"], "model_type": "pose network", "experiment_id": self.experiment}
        model = found[0] if found else mlflow.create_external_model(line["name"], self.run_id, **about)
        outputs = self.client.get_run(self.run_id).outputs
        if not outputs or not outputs.model_outputs:
            self.client.log_outputs(self.run_id, [LoggedModelOutput(model.model_id, line["step"])])
        self.metrics([line], model.model_id)
        source, name = f"models:/{model.model_id}", line["registered"]
        if name and not any(version.source == source for version in self.client.search_model_versions(f"name = '{name}'")):
            mlflow.register_model(source, name, await_registration_for=None, tags={"cell": line["name"]} | line["tags"])

    def end(self, line: Line) -> None:
        if line["error"]:
            self.client.set_tag(self.run_id, "semipose.error", line["error"])
        self.client.set_terminated(self.run_id, line["status"], line["time"])


def legal_name(name: str) -> str:
    """A name that MLflow accepts: `PCK@0.2 torso` becomes `PCK_0.2 torso`."""
    return re.sub(r"[^\w\-./ ]", "_", name, flags=re.ASCII)[:LONGEST_NAME]
