"""The loop: same seed, same weights, killed or not; the schedule; a loss that is no number."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from semipose.augment.task import Task
from semipose.config.tree import Params
from semipose.data.loading.batch import Batch
from semipose.data.loading.batches import Batches
from semipose.data.loading.pack import CropPack
from semipose.methods import METHODS, Method, build
from semipose.models.network import build as build_network
from semipose.training import checkpoint
from semipose.training.devices import launch, precision_of
from semipose.training.trainer import Row, fit, learning_rate
from semipose.utils.errors import InputError, Stopped
from semipose.utils.seeding import generator_of, stream

PEOPLE = 16  # unlabelled ones, of whom `train` takes 8 at a time


class Killed(BaseException):
    """Stands for a process that dies between two steps."""


def batches_of(pack: CropPack, unlabelled: int = 40) -> Batches:
    return Batches(pack, (32, 32), np.arange(8), np.arange(unlabelled), batch_size=8, seed=stream(0, "train", 0))


def train(
    tiny: Params,
    task: Task,
    pack: CropPack,
    state: Path,
    name: str = "akm",
    die_at: int | None = None,
    ema: float = 0.0,
    precision: Any = "32-true",
    **settings: Any,
) -> tuple[Method, list[Row], list[Row]]:
    """Two steps are an epoch."""
    entry = tiny.method[name].model_copy(update={"ema": ema} if name == "akm" else {})
    made = build([build_network(tiny.model, 17, seed=k) for k in range(entry.trains)], entry, task)
    reported: list[Row] = []

    def report(row: Row) -> None:
        reported.append(row)
        if die_at is not None and row["step"] >= die_at:
            raise Killed

    options = {"steps": 5, "lr": 0.01, "decay_at": [0.5], "decay": 0.1, "checkpoint_seconds": 0.0} | settings
    rows = fit(
        made,
        batches_of(pack, PEOPLE),
        Fabric(accelerator="cpu", devices=1, plugins=precision_of(precision, "cpu")),
        state=state,
        observe=lambda trained, epoch, last: {"seen": float(epoch)},
        report=report,
        **options,
    )
    return made, rows, reported


def weights(method: Method) -> dict[str, torch.Tensor]:
    return method.state_dict()


def test_the_moving_average_follows_every_step(tiny: Params, task: Task, pack: CropPack, tmp_path: Path) -> None:
    """T_k = 0.5 T_(k-1) + 0.5 S_k, with the students S_k of trainings that end after k steps."""
    expected: dict[str, torch.Tensor] = {}
    for steps in range(4):
        method, _, _ = train(tiny, task, pack, tmp_path / str(steps), ema=0.5, steps=steps, decay_at=[])
        students = {name.removeprefix("net."): value for name, value in method.named_parameters() if name.startswith("net.")}
        teachers = {name.removeprefix("teacher."): value for name, value in method.named_parameters() if name.startswith("teacher.")}
        if steps:  # with no step at all, teacher and student are the same
            students = {name: 0.5 * expected[name] + 0.5 * value for name, value in students.items()}
        expected = {name: value.detach().clone() for name, value in students.items()}
        assert all(torch.allclose(teachers[name], value, atol=1e-6) for name, value in expected.items())


def test_under_bf16_points_and_matrices_stay_exact(tiny: Params, task: Task, pack: CropPack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the networks compute in bfloat16, whose eight bits would move keypoints by up to two cells."""
    fabric = launch(tiny.machine.model_copy(update={"accelerator": "cpu", "devices": 1}), "bf16-mixed")
    method = build([build_network(tiny.model, 17, seed=0)], tiny.method["supervised"], task)
    seen: list[Batch] = []
    method.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    inside: list[torch.dtype] = []
    method.net.backbone["layer1"].register_forward_hook(lambda _, given, features: inside.append(features.dtype))
    fabric.setup(method)(batches_of(pack)(0), generator_of(0, "s", 0))
    crops, points, visible = seen[0].labelled
    dtypes = [tensor.dtype for tensor in (crops.pixels, crops.base, points, visible, seen[0].unlabelled.base)]
    assert dtypes == [torch.uint8, torch.float32, torch.float32, torch.float32, torch.float32]
    assert inside == [torch.bfloat16]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        *((name, {}) for name in METHODS),
        ("akm", {"ema": 0.9}),
        ("akm", {"precision": "bf16-mixed"}),  # it has no loss scaler whose state there would be to keep
    ],
)
def test_killed_and_resumed_equals_never_killed(
    tiny: Params, task: Task, pack: CropPack, tmp_path: Path, name: str, settings: dict[str, Any]
) -> None:
    """The same seed gives the same weights, in one go or in two."""
    whole, rows, _ = train(tiny, task, pack, tmp_path / "whole", name, **settings)
    with pytest.raises(Killed):
        train(tiny, task, pack, tmp_path / "cut", name, die_at=4, **settings)
    saved = checkpoint.load(tmp_path / "cut")
    assert saved is not None
    assert saved["progress"]["step"] == 3, "the checkpoint lies within the second epoch"
    resumed, resumed_rows, _ = train(tiny, task, pack, tmp_path / "cut", name, **settings)
    assert [row["step"] for row in rows] == [2, 4, 5]
    assert rows[-1]["seen"] == 3
    assert resumed_rows == rows
    assert all(torch.equal(a, b) for a, b in zip(weights(whole).values(), weights(resumed).values(), strict=True))


def test_a_training_that_is_asked_to_stop_leaves_a_checkpoint(tiny: Params, task: Task, pack: CropPack, tmp_path: Path) -> None:
    whole, rows, _ = train(tiny, task, pack, tmp_path / "whole")
    asked = iter([None] * 2 + ["out of time"])
    with pytest.raises(Stopped, match="out of time: a checkpoint was left after step 3 of 5"):
        train(tiny, task, pack, tmp_path / "cut", checkpoint_seconds=1e9, stop=lambda: next(asked))
    saved = checkpoint.load(tmp_path / "cut")
    assert saved is not None
    assert saved["progress"]["step"] == 3
    resumed, resumed_rows, _ = train(tiny, task, pack, tmp_path / "cut", checkpoint_seconds=1e9)
    assert resumed_rows == rows
    assert all(torch.equal(a, b) for a, b in zip(weights(whole).values(), weights(resumed).values(), strict=True))


def test_a_training_goes_on_on_the_kind_of_device_that_began_it(tiny: Params, task: Task, pack: CropPack, tmp_path: Path) -> None:
    asked = iter([None, "out of time"])
    with pytest.raises(Stopped):
        train(tiny, task, pack, tmp_path, checkpoint_seconds=1e9, stop=lambda: next(asked))
    saved = checkpoint.load(tmp_path)
    assert saved is not None
    saved["progress"]["device"] = "cuda"
    checkpoint.save(tmp_path, saved)
    with pytest.raises(InputError, match=r"began on a GPU, and a CPU has other random numbers; set machine\.accelerator: gpu"):
        train(tiny, task, pack, tmp_path)


def test_checkpoints_are_written_beside_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written is the state as it was; the next one is due when the last took a thirtieth of the time, and tells if it failed."""
    now, going_on, save = [0.0], threading.Event(), checkpoint.save
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: now[0])

    def slowly(folder: Path, state: dict[str, Any]) -> None:
        assert going_on.wait(10)
        now[0] += 4
        if state["step"] == 2:
            raise OSError(28, "No space left on device")
        save(folder, state)

    monkeypatch.setattr(checkpoint, "save", slowly)
    writer, weights = checkpoint.Writer(tmp_path, every=60), torch.ones(3)
    now[0] = 59
    assert not writer.due
    now[0] = 61
    assert writer.due
    writer.begin({"step": 1, "nested": [{"weights": weights}]})
    weights.zero_()
    going_on.set()
    writer.wait()
    found = checkpoint.load(tmp_path)
    assert found is not None
    assert torch.equal(found["nested"][0]["weights"], torch.ones(3))
    now[0] = 61 + 119
    assert not writer.due, "it took 4 s: the next one waits for 120 s"
    now[0] = 61 + 121
    assert writer.due
    writer.begin({"step": 2})
    with pytest.raises(OSError, match="No space left"):
        writer.wait()
    with pytest.raises(OSError, match="No space left"):
        assert writer.due
    writer.close()
    found = checkpoint.load(tmp_path)
    assert found is not None
    assert found["step"] == 1


def test_batches_go_through_everybody_once_an_epoch(pack: CropPack) -> None:
    batches = batches_of(pack)
    assert batches.per_epoch == 5
    epochs = [np.concatenate([batches.positions(epoch * 5 + k)[1] for k in range(5)]) for epoch in range(3)]
    assert all(sorted(epoch) == list(range(40)) for epoch in epochs)
    assert not np.array_equal(epochs[0], epochs[1])
    sampled = np.concatenate([batches.positions(step)[0] for step in range(200)])
    assert np.bincount(sampled, minlength=8) == pytest.approx(np.full(8, 200), abs=60)
    assert len(sampled) == 1600


def test_unlabelled_people_come_without_labels(pack: CropPack) -> None:
    batch = batches_of(pack)(0)
    assert batch.unlabelled.pixels.dtype == torch.uint8
    assert [field for field in batch._fields if "unlabelled" in field] == ["unlabelled"]


def test_streams_are_independent() -> None:
    seeds = {stream(seed, purpose, number) for seed in range(3) for purpose in ("a", "b") for number in range(50)}
    assert len(seeds) == 300
    first, second = (torch.rand(1000, generator=generator_of(0, "x", k)) for k in range(2))
    assert abs(float(torch.corrcoef(torch.stack([first, second]))[0, 1])) < 0.1


def test_learning_rate_counts_steps() -> None:
    rates = [learning_rate(step, 10, 1.0, [0.7, 0.9], 0.1) for step in range(10)]
    assert rates == pytest.approx([1] * 7 + [0.1] * 2 + [0.01])
    rates = [learning_rate(step, 4, 2.0, [0.7, 0.9], 0.1, cosine=True) for step in range(4)]
    assert rates == pytest.approx([2, 1 + 0.5**0.5, 1, 1 - 0.5**0.5])


@pytest.mark.parametrize(("lr", "value"), [(1e30, r"(nan|inf)"), (1e3, r"\S*e\+\d+")])
def test_a_loss_that_is_no_number_or_explodes_is_named(
    tiny: Params, task: Task, pack: CropPack, tmp_path: Path, lr: float, value: str
) -> None:
    with pytest.raises(InputError, match=rf"step \d+: loss/\w+ is {value}\. .*: labelled 10\d, .*; unlabelled 1\d\d, ") as raised:
        train(tiny, task, pack, tmp_path, "supervised", lr=lr, steps=13)
    step = int(str(raised.value).split(":")[0].removeprefix("step "))
    labelled, _ = batches_of(pack, PEOPLE).positions(step)
    assert f"labelled {', '.join(str(100 + k) for k in labelled)};" in str(raised.value)


def test_a_damaged_checkpoint_leads_to_the_one_before(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for step in range(3):
        checkpoint.save(tmp_path, {"step": step, "weights": torch.full((100,), float(step))})
    content = bytearray((tmp_path / "checkpoint.pt").read_bytes())
    content[len(content) // 2] ^= 1  # one bit
    (tmp_path / "checkpoint.pt").write_bytes(content)
    found = checkpoint.load(tmp_path)
    assert found is not None
    assert found["step"] == 1
    assert torch.equal(found["weights"], torch.ones(100))
    assert "checkpoint.pt is damaged: the training continues from the checkpoint before it" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint_before.pt"], "the next one does not take its place"
    for path in (tmp_path / "checkpoint.pt", tmp_path / "checkpoint_before.pt"):
        path.write_bytes(b"no checkpoint")
    assert checkpoint.load(tmp_path) is None
    assert "checkpoint_before.pt are damaged: the training starts over" in capsys.readouterr().err


def test_a_kill_between_the_two_files_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint.save(tmp_path, {"step": 0})
    replace = Path.replace

    def die_at_the_second(path: Path, target: Path) -> Path:
        if target.name == "checkpoint.pt":
            raise Killed
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", die_at_the_second)
    with pytest.raises(Killed):
        checkpoint.save(tmp_path, {"step": 1})
    found = checkpoint.load(tmp_path)
    assert found == {"step": 0}
