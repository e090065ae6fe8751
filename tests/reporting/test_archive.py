"""The archive of runs: a round trip, its size, and which runs a table may join."""

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from made_runs import SWEEP, record, write, write_resamples
from typer.testing import CliRunner

from pipeline import archive as command
from semipose.config.load import load
from semipose.reporting.archive import add_run, read_archive, write_archive_results
from semipose.reporting.results import Run, read_run
from semipose.reporting.tables import main_table
from semipose.utils.errors import InputError

PEOPLE = 2000
HERE = {"host": "here", "device": "cpu", "processor": "a CPU, AVX2"}


def archived(root: Path, method: str = "akm", value: float = 40.0, seed: int = 0, **changed: object) -> Path:
    """Archive a made-up run."""
    return add_run(root / "results" / "demo", root, finished(root, method, value, "L100", seed, **changed), "2026-01-02")


def finished(root: Path, method: str, value: float, labels: str, seed: int, **changed: object) -> Run:
    """Make up a finished run of 2,000 people and three networks."""
    made = record(method, labels, seed, value, **changed)
    generator = np.random.default_rng(seed)
    write_resamples(root, made["cell"], np.round(value + generator.normal(size=1000), 4))
    path = write(root, made)
    scores = {f"score/{name}": generator.random(PEOPLE, dtype=np.float32) for name in ("net1", "net2", "ensemble")}
    np.savez_compressed(path.with_suffix("") / "scores.npz", id=generator.choice(10**6, PEOPLE, replace=False), **scores)
    cost = {"seconds": 12.5, "device": "cpu", "processor": "a CPU, AVX2", "host": "here", "commit": made["commit"], "changed": True}
    split = {"counts": {"pool": 20000, "labelled": 10000, "unlabelled": 20000}, "unlabelled": "all", "digest": "d"}
    split["labelled"] = np.sort(generator.choice(10**6, 10000, replace=False)).tolist()
    for name, content in {f"runs/{made['cell']}/cost.json": cost, f"data/split/{labels}-s{seed}.json": split}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(json.dumps(content))
    return read_run(path, "demo", made["stage"], (method, labels, seed))


def test_a_run_comes_back_and_is_small(tmp_path: Path) -> None:
    path = archived(tmp_path)
    assert sum(file.stat().st_size for file in path.parent.iterdir()) < 200_000
    about = json.loads(path.read_text())
    assert (about["archived"], about["dirty"], about["cost"]["seconds"], about["machine"]) == ("2026-01-02", True, 12.5, HERE)
    assert about["split"]["counts"]["unlabelled"] == 20000
    with np.load(path.with_suffix(".npz")) as arrays, np.load(tmp_path / "reports/runs/demo-akm-L100-s0/scores.npz") as scores:
        assert all((arrays[name] == scores[name]).all() for name in scores)
        assert arrays["labelled"].tolist() == json.loads((tmp_path / "data/split/L100-s0.json").read_text())["labelled"]
    run = read_archive(path.parent.parent, "demo", SWEEP)["akm", "L100", 0]
    here = read_run(tmp_path / "reports/runs/demo-akm-L100-s0.json", "demo", "train", ("akm", "L100", 0))
    np.testing.assert_allclose(run.resamples, here.resamples, rtol=1e-6)
    assert run.metrics == here.metrics


def test_each_seed_keeps_its_own_labelled_people(tmp_path: Path) -> None:
    kept = [np.load(archived(tmp_path, seed=seed).with_suffix(".npz"))["labelled"].tolist() for seed in (0, 1)]
    assert kept == [json.loads((tmp_path / f"data/split/L100-s{seed}.json").read_text())["labelled"] for seed in (0, 1)]
    assert kept[0] != kept[1]


def test_again_changes_nothing_and_another_run_is_added_beside(tmp_path: Path) -> None:
    path = archived(tmp_path)
    before = {file: file.read_bytes() for file in path.parent.iterdir()}
    assert archived(tmp_path) == path
    assert {file: file.read_bytes() for file in path.parent.iterdir()} == before
    with pytest.raises(InputError, match="other numbers of the same fingerprint and commit"):
        archived(tmp_path, value=41.0)
    other = archived(tmp_path, value=41.0, fingerprint="f" * 32)
    assert other != path
    assert before.items() <= {file: file.read_bytes() for file in path.parent.iterdir()}.items()
    write_archive_results(path.parent.parent)
    assert len((path.parent.parent / "results.csv").read_text().splitlines()) == 1 + 2 * 4
    with pytest.raises(InputError, match=r"demo-akm-L100-s0 is archived with fingerprints 0123.* and ffff"):
        read_archive(path.parent.parent, "demo", SWEEP)


def test_a_table_joins_only_runs_of_equal_commits(tmp_path: Path) -> None:
    one, two = "a" * 40, "b" * 40
    archived(tmp_path, "supervised", 30.0, commit=one)
    folder = archived(tmp_path, "akm", 40.0, commit=two).parent.parent
    with pytest.raises(InputError, match=rf"commits {one} and {two}"):
        read_archive(folder, "demo", SWEEP)
    (folder.parent / "equal_commits.txt").write_text(f"# shown by hand\n{one} {two}\n")
    runs = read_archive(folder, "demo", SWEEP)
    assert "+10.0" in main_table(runs, SWEEP).rows[1][2].text


def test_broken_files_cost_one_message(tmp_path: Path) -> None:
    path = archived(tmp_path)
    path.with_suffix(".npz").write_bytes(b"PK broken")
    with pytest.raises(InputError, match=r"npz cannot be read"):
        read_archive(path.parent.parent, "demo", SWEEP)
    path.write_text("{}")
    with pytest.raises(InputError, match=r"json is not readable as an archived run|npz cannot be read"):
        read_archive(path.parent.parent, "demo", SWEEP)
    path.unlink()
    (tmp_path / "reports/runs/demo-akm-L100-s0/scores.npz").unlink()
    run = read_run(tmp_path / "reports/runs/demo-akm-L100-s0.json", "demo", "train", ("akm", "L100", 0))
    with pytest.raises(InputError, match=r"scores\.npz cannot be read.*evaluate this run again"):
        add_run(path.parent.parent, tmp_path, run, "2026-01-02")


def test_the_command_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = typer.Typer()
    app.command()(command.archive)
    (tmp_path / "params.yaml").write_text(Path("params.yaml").read_text())
    monkeypatch.chdir(tmp_path)
    for argument, said in (("demo", "no run of params.yaml has finished"), ("../x", "give the archive a name of letters")):
        done = CliRunner().invoke(app, [argument])
        assert done.exit_code == 1
        assert said in done.output


def test_the_command_archives_what_has_finished_of_sweep_and_ablation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = typer.Typer()
    app.command()(command.archive)
    (tmp_path / "params.yaml").write_text(Path("params.yaml").read_text())
    monkeypatch.chdir(tmp_path)
    p = load(Path("params.yaml"))
    methods = {p.sweep.methods[0], p.ablation.variants[0]}
    for method in methods:
        finished(tmp_path, method, 40.0, p.ablation.labels[0], p.ablation.seeds[0])
    done = CliRunner().invoke(app, ["mine"])
    assert done.exit_code == 0, done.output
    assert {path.stem.split("-")[1] for path in Path("results/mine/runs").glob("*.json")} == methods
    assert len(Path("results/mine/results.csv").read_text().splitlines()) == 1 + 2 * 4
