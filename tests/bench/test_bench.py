"""The benchmark: what it counts, that its floor does what the method does, and the known cost of a published network."""

import json
import re
import runpy
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from semipose.bench import clock, components, run
from semipose.bench.check_gpu import advice, check_gpu
from semipose.bench.clock import Clock, gaps, in_turn
from semipose.bench.gpu_tests import outcomes
from semipose.bench.packs import projected
from semipose.bench.run import as_published, bench
from semipose.bench.training import Subject
from semipose.bench.ways import FLOAT, HALF, REPEATABLE, TF32, Found
from semipose.cli.app import app
from semipose.config.text import whole_text
from semipose.config.tree import Params
from semipose.data.loading.pack import CropPack
from semipose.models.network import PoseNet
from semipose.training.devices import forget_peak, launch, peak_memory
from semipose.utils.errors import InputError

ROOT = Path(__file__).parent.parent.parent
CPU = torch.device("cpu")


def test_parts_within_parts_count_their_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter([0, 1, 2, 5, 6, 7, 9, 10])
    monkeypatch.setattr(clock, "now", lambda device: float(next(seconds)))
    watch = Clock(CPU)
    with watch("outer"):  # 0 to 9
        with watch("inner"), watch("innermost"):  # 1 to 6 and 2 to 5
            pass
        with watch("inner"):  # 7 to 9
            pass
    assert watch.seconds == {"innermost": 3, "inner": 2 + 2, "outer": 10 - 5 - 2}
    assert sum(watch.shares().values()) == pytest.approx(1)


def test_watching_counts_calls_from_inside_and_ends() -> None:
    class Thing:
        def outer(self) -> int:
            return self.inner() + 1

        def inner(self) -> int:
            time.sleep(0.01)
            return 1

    thing, watch = Thing(), Clock(CPU)
    with watch.watching("inner", thing, "inner"):
        assert thing.outer() == 2
    assert watch.seconds["inner"] >= 0.01
    assert not vars(thing)


def test_rounds_go_through_all_and_the_first_is_not_counted() -> None:
    order: list[str] = []

    def note(name: str) -> float:
        order.append(name)
        return float(len(order))

    found = in_turn({"a": lambda: note("a"), "b": lambda: note("b")}, rounds=2)
    assert order == ["a", "b"] * 3
    assert found == {"a": [3, 5], "b": [4, 6]}


def subject(name: str, p: Params, pack: CropPack, tmp_path: Path) -> Subject:
    return Subject(name, p, pack, launch(p.machine, "32-true"), steps=2, folder=tmp_path)


@pytest.mark.parametrize("name", ["supervised", "akm", "posecons", "posedual", "sspcm"])
def test_the_floor_makes_the_passes_of_the_method(name: str, demo: Params, tiny: Params, pack: CropPack, tmp_path: Path) -> None:
    """Counted at the networks themselves: with gradient and without, as often in the floor as in a step."""
    p = tiny.model_copy(
        update={
            "method": demo.method | {"akm": tiny.method["akm"]},
            "model": tiny.model.model_copy(update={"networks": ["net", "net2", "net3"]}),
            "train": tiny.train.model_copy(update={"batch_size": 4}),
        }
    )
    one = subject(name, p, pack, tmp_path)
    calls: list[bool] = []
    for net in (module for module in one.method.modules() if isinstance(module, PoseNet)):
        net.register_forward_pre_hook(lambda *_: calls.append(torch.is_grad_enabled()))
    if name == "sspcm":
        one.method.after_epoch()  # from the second epoch on, the teachers of the one before are asked too
    one.floor()
    floor, calls[:] = sorted(calls), []
    one.step()
    assert sorted(calls) == floor
    assert len(floor) == 2 * sum(one.cost.passes.values())


def test_the_loop_itself_is_timed_from_its_first_step_to_its_last_but_one(
    tiny: Params, pack: CropPack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = subject("supervised", tiny.model_copy(update={"train": tiny.train.model_copy(update={"batch_size": 4})}), pack, tmp_path)
    steps: list[int] = []
    one.method.register_forward_pre_hook(lambda method, given: steps.append(given[0].step))
    moments = iter([0.0, 4.0])
    monkeypatch.setattr("semipose.bench.training.now", lambda device: (steps.append(-1), next(moments))[1])
    assert one.end_to_end() == 2 * 4 / 4
    assert steps == [0, -1, 1, 2, -1, 3]


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer people to draw and to score than a measurement needs."""
    monkeypatch.setattr(run, "DEMO_IMAGES", 16)
    monkeypatch.setattr(components, "SCORED", 64)


@pytest.mark.slow
def test_everything_is_measured(tiny: Params, few: None) -> None:
    p = tiny.model_copy(
        update={
            "train": tiny.train.model_copy(update={"batch_size": 4}),
            "data": tiny.data.model_copy(update={"crop": tiny.data.crop.model_copy(update={"size": 48})}),
            "machine": tiny.machine.model_copy(update={"workers": 1, "threads": 1}),
        }
    )
    found = bench(p, ["supervised", "akm"], root=None, people=16, rounds=1, steps=1)
    json.dumps(found)
    for one in found["methods"].values():
        assert min(one[name] for name in ("floor", "step", "end_to_end", "of_floor", "gflop", "floor_of_matrix")) > 0
        assert sum(one["shares"].values()) == pytest.approx(1)
        assert set(one["shares"]) == {"network", "views", "targets", "method", "optimiser", "data", "transfer"}
    ratio = found["methods"]["akm"]["gflop"] / found["methods"]["supervised"]["gflop"]
    assert ratio == pytest.approx(10 / 3, rel=0.02)  # three passes there and back and one there, against one there and back
    assert min(found["cutting"], found["scoring"]["pycocotools"]) > 0
    assert min(found[name] for name in ("data_road", "three_views", "prediction", "matrix_gflops")) > 0


def test_a_published_network_is_measured_as_published(demo: Params) -> None:
    p = as_published(demo, "resnet18", (256, 192))
    assert (p.model.head_channels, p.model.sigma, p.data.crop.size) == ([256, 256, 256], 2.0, 320)


@pytest.mark.slow
def test_the_command_writes_numbers_and_page(tmp_path: Path, few: None) -> None:
    """Of one device, however many params.yaml trains on."""
    text = whole_text(ROOT / "pipeline/presets/smoke.yaml")
    for several in ("  devices: 1", "  batch_groups: 1"):
        assert several in text
        text = text.replace(several, several.replace("1", "2"))
    (tmp_path / "params.yaml").write_text(text.replace("  workers: 2 ", "  workers: 1 "))
    arguments = ["bench", "--params", str(tmp_path / "params.yaml"), "--methods", "supervised", "--people", "16"]
    files = ["--json", str(tmp_path / "bench.json"), "--page", str(tmp_path / "bench.md")]
    result = CliRunner().invoke(
        app, [*arguments, "--batch-size", "2", "--threads", "1", "--rounds", "1", "--steps", "1", "--precision", "bf16-mixed", *files]
    )
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "bench.json").read_text())
    assert found["precision"] == "bf16-mixed"
    page = (tmp_path / "bench.md").read_text()
    assert page.startswith("# Benchmark")
    assert f"{found['methods']['supervised']['end_to_end']:.1f}" in page
    assert np.isfinite(found["methods"]["supervised"]["of_floor"])


def test_gaps_are_where_nothing_ran() -> None:
    idle, between = gaps([(6.0, 7.0), (0.0, 4.0), (1.0, 2.0), (3.0, 5.0), (9.0, 10.0)])
    assert (idle, between) == (0.3, [1.0, 2.0])


def test_the_fastest_sound_way_is_advised() -> None:
    def found(pairs: float, loss: float) -> Found:
        return Found([{"loss/supervised": loss}], pairs, 1.0, 0.0)

    slow, quick, wrong, hardly = found(100, 1.0), found(200, 1.05), found(900, 1.5), found(205, 1.0)
    assert advice({FLOAT: slow, TF32: hardly._replace(pairs=102)}) == "train.precision: 32-true (1.0 times float32)"
    assert (
        advice({FLOAT: slow, TF32: quick, HALF: wrong, REPEATABLE: hardly})
        == "train.precision: 32-true, machine.tf32: true (2.0 times float32)"
    )
    assert advice({HALF: quick}) == "nothing: float32 did not train"


@pytest.mark.slow
def test_tests_that_fail_are_rows(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -q -rs\nmarkers = gpu: needs a GPU\n")
    file, log = tmp_path / "test_it.py", tmp_path / "said.txt"
    file.write_text(
        "import pytest, time\npytestmark = pytest.mark.gpu\n"
        "def test_well(): pass\ndef test_ill(): assert 1 == 2\ndef test_long(): time.sleep(0)\n"
    )
    assert outcomes([file], 100, log) == {"tests: FAILED": "2 passed, 1 failed", "test test_ill: FAILED": "assert 1 == 2"}
    assert "assert 1 == 2" in log.read_text()
    file.write_text(file.read_text().replace("sleep(0)", "sleep(600)"))
    late = outcomes([file], 12, log)
    assert late == {"tests: CUT OFF": "1 passed, 1 failed after 12 s, at test_long", "test test_ill: FAILED": f"see {log}"}
    gone = outcomes([tmp_path / "gone.py"], 100, log)
    assert list(gone) == ["tests: FAILED"]
    assert "gone.py" in gone["tests: FAILED"]


@pytest.mark.slow
def test_the_check_of_a_gpu_goes_through_on_a_cpu(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    check_gpu(dry=True, out=tmp_path / "table.txt")
    table = (tmp_path / "table.txt").read_text()
    assert capsys.readouterr().out.endswith(f"\n{table}\n")
    found = {name.strip(): value for name, value in (line.split(" | ", 1) for line in table.splitlines())}
    assert not [name for name in found if name.endswith((": FAILED", ": CUT OFF", ": LEFT OUT"))]
    assert "the device is idle" in found["kernels"]
    ours, fabrics = found["labels beside their image in bf16"].split("; with Fabric's own plugin ")
    assert ours == "0.000 cells (95 %), at most 0.000"
    assert re.match(r"0\.0[1-9]", fabrics)
    assert re.search(r"together, \d\.\d\d times one alone", found["2 trainings on this device"])
    assert found["to the last bit, train.precision: 32-true, machine.deterministic: true"] == "again: equal, resumed: equal"
    assert found["set in params.yaml"] == "nothing: a dry try says nothing of a GPU"


@pytest.mark.parametrize(("device", "reached"), [("CPU", [0.95, 0.951, 0.946]), ("NVIDIA H100", [0.85, 0.9, 0.846])])
def test_goals_are_reached_where_they_are(device: str, reached: list[float]) -> None:
    goals = runpy.run_path(str(ROOT / "docs/goals.py"))["goals"]
    names = ("even", "over", "under")
    methods = {name: {"of_floor": share, "floor_of_matrix": 0.19, "end_to_end": 2272.0} for name, share in zip(names, reached, strict=True)}
    scoring = {"pycocotools": 8000.0, "faster-coco-eval": 8300.0}
    known = {"backbone": "resnet18", "input": "256x192", "image_px": 199, "device": device, "methods": methods, "scoring": scoring}
    table = goals(known | {"data_road": 740.0, "cutting": 1800.0})
    assert table
    found = {row["what"]: row["reached"] for row in table.records}
    kind, other = ("CPU", "GPU") if device == "CPU" else ("GPU", "CPU")
    assert [found[f"{kind}: {name} end to end, share of its floor"] for name in names] == ["yes", "yes", "no"]
    assert all(said == "not measured" for what, said in found.items() if what.startswith(other))
    if kind == "GPU":
        assert found["GPU: over's floor, share of the matrix rate"] == "no"
        assert found["GPU: over end to end, pairs/s: the output of 16 loaders of PoseDual's code"] == "yes"
    assert list(found.values())[-4:] == ["yes", "no", "no", "yes"]
    large = goals(known | {"data_road": 340.0, "cutting": 853.0, "image_px": 640})
    assert large
    assert [row["reached"] for row in large.records][-4:-2] == ["no", "yes"]
    assert goals(known | {"input": "64x48"}) is None


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--methods", "akn"], "--methods akn"),
        (["--backbone", "resnet18"], "need each other"),
        (["--trunk", "resnet18"], "need each other"),  # the option's former name
        (["--backbone", "resnet18", "--size", "256"], "--size 256"),
        (["--backbone", "resnet18", "--size", "250x192"], "multiple"),
    ],
)
def test_what_cannot_be_measured_is_named(more: list[str], words: str) -> None:
    result = CliRunner().invoke(app, ["bench", "--params", str(ROOT / "pipeline/presets/demo.yaml"), *more])
    assert result.exit_code == 1
    assert words in result.output


def test_real_data_needs_a_folder(demo: Params) -> None:
    with pytest.raises(InputError, match="--root"):
        bench(demo.model_copy(update={"data": demo.data.model_copy(update={"source": "lsp"})}), ["akm"], None, 8, 1, 1)


@pytest.mark.slow
def test_packs_at_size_are_measured_and_projected(real_data: Path, tmp_path: Path) -> None:
    arguments = ["bench-packs", "--params", str(ROOT / "pipeline/presets/lsp.yaml"), "--root", str(real_data / "lspet")]
    sizes = ["--people", "128", "--entries", "1000", "--crop", "32", "--rounds", "1"]
    result = CliRunner().invoke(app, [*arguments, *sizes, "--out", str(tmp_path / "out"), "--json", str(tmp_path / "packs.json")])
    assert result.exit_code == 0, result.output
    assert not list((tmp_path / "out").iterdir())
    found = json.loads((tmp_path / "packs.json").read_text())
    raw, jpeg = found["format"]["raw"], found["format"]["jpeg"]
    assert 3 * 32**2 < raw["disk"] < 3 * 32**2 + 500
    assert jpeg["disk"] < raw["disk"]
    assert min(one[rate] for one in (raw, jpeg) for rate in ("cutting", "in order", "in any order", "from disk")) > 0
    assert [one["people"] for one in raw["writing"]] == [32, 128]
    assert found["start"]["people"] == 1000
    assert found["start"]["opening"] > 0
    assert 0 < found["difference"] < 10
    assert projected(found, "raw", 1280)["disk"] == pytest.approx(1280 * raw["disk"])
    assert f"{jpeg['disk']:,.0f}" in result.output


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux counts a process's largest memory anew")
def test_the_largest_memory_is_counted_anew() -> None:
    here = torch.device("cpu")
    filled = np.ones(300 << 17)  # 300 MiB
    high = peak_memory(here)
    del filled
    forget_peak(here)
    assert peak_memory(here) < high - 200


def test_a_gpu_is_begun_before_its_memory_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a new process there is nothing to reset yet, and torch does not begin by itself there."""
    called: list[str] = []
    monkeypatch.setattr(torch.cuda, "init", lambda: called.append("init"))
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: called.append("reset"))
    forget_peak(torch.device("cuda", 0))
    assert called == ["init", "reset"]


@pytest.mark.parametrize(
    ("way", "asked"),
    [({}, "0.200"), ({"compile": "none", "graphs": False}, "0.200"), ({"compile": "default"}, "0.400"), ({"graphs": True}, "0.400")],
)
def test_more_is_asked_where_kernels_are_launched_together(way: dict[str, object], asked: str) -> None:
    goals = runpy.run_path(str(ROOT / "docs/goals.py"))["goals"]
    methods = {"akm": {"of_floor": 0.9, "floor_of_matrix": 0.3, "end_to_end": 2272.0}}
    known = {"backbone": "resnet18", "input": "256x192", "image_px": 199, "device": "NVIDIA H200", "methods": methods, "scoring": {}}
    table = goals(known | {"data_road": 740.0, "cutting": 1800.0} | way)
    assert table
    (row,) = (row for row in table.records if row["what"] == "GPU: akm's floor, share of the matrix rate")
    assert (row["target"], row["reached"]) == (asked, "yes" if asked == "0.200" else "no")
