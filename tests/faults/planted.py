"""Fifty-two faults that are easy to make, each planted by hand in a copy of the project and caught by a fast test:
`python tests/faults/planted.py [NUMBER...]`.

A test suite that lets one of them pass guards too little. Nothing is changed in the checkout.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
COPIED = ("semipose", "pipeline", "tests", "docs", "params.yaml", "dvc.yaml", "pyproject.toml", "README.md", "mkdocs.yml")


class Fault(NamedTuple):
    """`before` stands once in `file`; with `after` in its place a test of `tests` must fail."""

    what: str
    file: str
    before: str
    after: str
    tests: str


FAULTS = [
    Fault(
        "a mirrored person keeps left and right",
        "semipose/augment/task.py",
        "points[:, self.flip], points)",
        "points, points)",
        "tests/evaluation tests/augment",
    ),
    Fault(
        "the strong view's labels stay where they were",
        "semipose/augment/task.py",
        "geometry.transform(labels, points)",
        "points",
        "tests/augment tests/methods",
    ),
    Fault(
        "a view's content grows where its box grows",
        "semipose/augment/views.py",
        "1 + p.scale).reciprocal()",
        "1 + p.scale)",
        "tests/augment",
    ),
    Fault(
        "mixed targets are the person's own twice",
        "semipose/methods/akm.py",
        "view.targets[partner]",
        "view.targets",
        "tests/methods tests/augment",
    ),
    Fault(
        "both networks of PoseDual teach themselves",
        "semipose/methods/posedual.py",
        "task.weak_view(batch.unlabelled, generator)\n",
        "task.weak_view(batch.unlabelled, generator)\n        f1, f2 = f2, f1\n",
        "tests/methods tests/augment",
    ),
    Fault(
        "SSPCM believes the pair that disagrees most",
        "semipose/methods/sspcm.py",
        "inconsistency.argmin(dim=0)",
        "inconsistency.argmax(dim=0)",
        "tests/methods tests/augment",
    ),
    Fault(
        "a teacher in eval mode leaves the network there",
        "semipose/methods/base.py",
        "    net.train(mode)\n",
        "",
        "tests/methods tests/training",
    ),
    Fault(
        "the count of masks is cut off, not rounded",
        "semipose/augment/adaptive.py",
        "/ keypoints + 0.5)",
        "/ keypoints)",
        "tests/methods/test_methods.py",
    ),
    Fault(
        "the moving average follows too fast",
        "semipose/models/ema.py",
        "values, 1 - decay)",
        "values, decay)",
        "tests/models/test_ema.py",
    ),
    Fault(
        "the loss divides by visible keypoints too late", "semipose/pose/heatmap.py", ".square().mean()", ".square().sum()", "tests/pose"
    ),
    Fault(
        "a quarter cell away from the larger neighbour",
        "semipose/pose/heatmap.py",
        "0.25 * torch.sign(around",
        "-0.25 * torch.sign(around",
        "tests/pose/test_heatmap.py",
    ),
    Fault(
        "every epoch has the same order",
        "semipose/data/loading/batches.py",
        'stream(self.seed, "order", epoch)',
        'stream(self.seed, "order", 0)',
        "tests/data/test_batches.py",
    ),
    Fault(
        "labelled people of a step are those of another seed",
        "semipose/data/loading/batches.py",
        'stream(self.seed, "labelled", step)',
        'stream(0, "labelled", step)',
        "tests/data/test_batches.py",
    ),
    Fault(
        "smaller budgets are no part of larger ones",
        "semipose/data/splits.py",
        "np.sort(order[:budget])",
        "np.sort(order[-budget:])",
        "tests/data",
    ),
    Fault(
        "a joint at the threshold is not found",
        "semipose/evaluation/metrics/pck.py",
        "errors <= threshold * sizes",
        "errors < threshold * sizes",
        "tests/evaluation",
    ),
    Fault(
        "suppressed poses suppress others",
        "semipose/evaluation/metrics/nms.py",
        "stays[worse] &= not stays[one]",
        "stays[worse] = False",
        "tests/evaluation/test_nms.py",
    ),
    Fault(
        "the interval is that of 90 %",
        "semipose/evaluation/metrics/statistics.py",
        "[(1 - level) / 2, (1 + level) / 2]",
        "[1 - level, level]",
        "tests/evaluation",
    ),
    Fault(
        "colours are normalised in the order BGR",
        "semipose/data/loading/normalise.py",
        "MEAN = (0.485, 0.456, 0.406)",
        "MEAN = (0.406, 0.456, 0.485)",
        "tests/augment/test_views.py",
    ),
    Fault(
        "a damaged checkpoint is taken",
        "semipose/training/checkpoint.py",
        "!= content[:DIGEST]",
        "== b''",
        "tests/training/test_trainer.py",
    ),
    Fault(
        "a resumed training begins at its first step again",
        "semipose/training/trainer.py",
        "for step in range(training.step, steps)",
        "for step in range(0, steps)",
        "tests/training/test_trainer.py",
    ),
    Fault(
        "the learning rate falls an epoch late",
        "semipose/training/trainer.py",
        "sum(step >= fraction",
        "sum(step > fraction",
        "tests/training",
    ),
    Fault(
        "one variant's keys replace a whole mapping of its base",
        "semipose/config/load.py",
        "_fill(_mapping(entry, key), value)",
        "pass",
        "tests/config",
    ),
    Fault(
        "a mirrored labelled person keeps which side is hidden",
        "semipose/augment/task.py",
        "people.visible[:, self.flip], people.visible)",
        "people.visible, people.visible)",
        "tests/augment/test_views.py tests/evaluation",
    ),
    Fault(
        "no moving average follows",
        "semipose/training/trainer.py",
        "        self.method.after_step()\n",
        "",
        "tests/training/test_trainer.py",
    ),
    Fault(
        "no moving average follows steps that are CUDA graphs",
        "semipose/training/graphs.py",
        "        self.method.after_step()\n",
        "",
        "tests/training/test_graphs.py",
    ),
    Fault(
        "unsure joints count in a person's score",
        "semipose/inference/predict.py",
        "np.where(sure, confidence, 0)",
        "confidence",
        "tests/inference/test_predict.py",
    ),
    Fault(
        "every box is as sure as any other",
        "semipose/inference/boxes.py",
        'entry.get("score", 1.0)',
        "1.0",
        "tests/inference/test_boxes.py",
    ),
    Fault(
        "times of a video are those of the recorder's clock",
        "semipose/inference/videos.py",
        "else now - start",
        "else now",
        "tests/inference/test_videos.py",
    ),
    Fault(
        "a phone's video lies on its side",
        "semipose/inference/videos.py",
        "image.rotate(frame.rotation, expand=True) if frame.rotation else image",
        "image",
        "tests/inference/test_videos.py",
    ),
    Fault(
        "the answer to a mirrored view keeps left and right",
        "semipose/inference/suggestions.py",
        "found[:, poser.skeleton.flip] if mirror else found",
        "found",
        "tests/inference/test_suggest.py",
    ),
    Fault(
        "a gain's resamples are not those of the baseline",
        "semipose/reporting/differences.py",
        "np.subtract(ours.resamples, theirs.resamples)",
        "np.subtract(ours.resamples, theirs.resamples[::-1])",
        "tests/reporting/test_tables.py",
    ),
    Fault(
        "the interval of a mean over seeds is that of single seeds",
        "semipose/reporting/differences.py",
        "np.mean([resamples for _, resamples in found], axis=0)",
        "np.concatenate([resamples for _, resamples in found])",
        "tests/reporting/test_tables.py",
    ),
    Fault(
        "a gain over seeds that the baseline does not have",
        "semipose/reporting/differences.py",
        "ours, theirs = runs.get((method, labels, seed)), runs.get((reference, labels, seed))",
        "ours, theirs = runs.get((method, labels, seed)), runs.get((reference, labels, 0))",
        "tests/reporting/test_tables.py",
    ),
    Fault(
        "a table joins runs of different code",
        "semipose/reporting/archive.py",
        "if len(commits) > 1:",
        "if len(commits) > 9:",
        "tests/reporting/test_archive.py",
    ),
    Fault(
        "joints of MPII are a pixel off",
        "semipose/data/sources/mpii.py",
        "rows.joints[keep] - 1",
        "rows.joints[keep]",
        "tests/data/test_mpii.py",
    ),
    Fault(
        "LSP trains on the people that validate",
        "semipose/data/sources/lsp.py",
        "else np.arange(count - validation)",
        "else np.arange(count)",
        "tests/data/test_sources.py",
    ),
    Fault(
        "the doctor sees swapped sides where there are none",
        "semipose/data/checks/labels.py",
        "now - exchanged > CROSSED",
        "exchanged - now > CROSSED",
        "tests/data/test_doctor.py",
    ),
    Fault(
        "a box of Ultralytics begins at its centre",
        "semipose/data/exports/ultralytics.py",
        "[(x - w / 2) * width, (y - h / 2) * height,",
        "[x * width, y * height,",
        "tests/data/test_exports.py",
    ),
    Fault(
        "corrected labels bring validation images into training",
        "semipose/data/exports/join.py",
        'if held_out(image["path"]):',
        'if known(image["path"]) and held_out(image["path"]):',
        "tests/data/test_exports.py tests/inference/test_suggest.py",
    ),
    Fault(
        "crops are half a pixel off",
        "semipose/data/packing/cutting.py",
        "((-0.5 - float(shift)) * step + 0.5 for",
        "(-float(shift) * step for",
        "tests/data/test_packs.py tests/data/test_pixels.py",
    ),
    Fault(
        "after a broken image, crops have the places of other people",
        "semipose/data/packing/writing.py",
        "matrices[kept]",
        "matrices[: len(kept)]",
        "tests/data/test_packs.py",
    ),
    Fault(
        "a covered joint of the demo counts as seen",
        "semipose/demo/dataset.py",
        "2 if seen else 1]",
        "2]",
        "tests/demo",
    ),
    Fault(
        "results of `predict` do not have the scores of their boxes",
        "semipose/cli/predict.py",
        "None if shot.boxes is None else shot.boxes.scores",
        "None",
        "tests/cli/test_cli.py",
    ),
    Fault(
        "`doctor` succeeds with a set that cannot be read",
        "semipose/cli/doctor.py",
        "            raise typer.Exit(1)\n",
        "            pass\n",
        "tests/data/test_doctor.py",
    ),
    Fault(
        "an entry knows only what its method itself imports",
        "pipeline/stages/check.py",
        "                waiting.append(path)\n",
        "",
        "tests/pipeline/test_dependencies.py",
    ),
    Fault(
        "an edited `build` reruns nothing",
        "pipeline/stages/check.py",
        ' | {"build": build}',
        "",
        "tests/pipeline/test_dependencies.py",
    ),
    Fault(
        "all seeds of a sweep have the labelled people of one",
        "pipeline/stages/split.py",
        "(p.seed, seed) if p.per_seed else p.seed",
        "p.seed",
        "tests/data/test_splits.py",
    ),
    Fault(
        "an archive names the labelled people of another run",
        "semipose/reporting/archive.py",
        'f"{run.labels}-s{run.seed}.json"',
        'f"{run.labels}-s0.json"',
        "tests/reporting/test_archive.py",
    ),
    Fault(
        "the ablation's runs are not archived",
        "pipeline/archive.py",
        "for grid in grids(p) for run",
        "for grid in grids(p)[:1] for run",
        "tests/reporting/test_archive.py",
    ),
    Fault(
        "JointMix learns each person's own pseudo-labels twice",
        "semipose/methods/jointmix.py",
        "strong.targets[partner]",
        "strong.targets",
        "tests/methods/test_jointmix.py",
    ),
    Fault(
        "JointMix mixes labelled people too",
        "semipose/methods/jointmix.py",
        "torch.cat([x[:few], mixing.mix(x[few:], partner, alpha, rest)])",
        "torch.cat([mixing.mix(x[:few], torch.arange(few).flip(0), alpha, rest), mixing.mix(x[few:], partner, alpha, rest)])",
        "tests/methods/test_jointmix.py",
    ),
    Fault(
        "the warm-up augments its labelled people",
        "semipose/training/warmup.py",
        "labelled=[])",
        "labelled=None)",
        "tests/training/test_warmup.py",
    ),
]


def caught(fault: Fault) -> bool:
    """Whether the fast tests that are named fail with the fault in place, or what they begin with does."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "semipose"
        folder.mkdir()
        for name in COPIED:
            source = ROOT / name
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, folder / name)
        path = folder / fault.file
        text = path.read_text(encoding="utf-8")
        if text.count(fault.before) != 1:
            raise SystemExit(f"{fault.file} has {text.count(fault.before)} places with {fault.before!r}: change this list with the code")
        path.write_text(text.replace(fault.before, fault.after), encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-rfE", "-m", "not slow", "-p", "no:cacheprovider", *fault.tests.split()]
        ran = subprocess.run(command, cwd=folder, env=os.environ | {"PYTHONPATH": str(folder)}, capture_output=True, text=True, check=False)
        failed = [line for line in ran.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
        print("   ", failed[0].split(" - ")[0] if failed else ran.stdout[-500:], flush=True)
        return ran.returncode == 1 and bool(failed)


if __name__ == "__main__":
    numbers = [int(number) for number in sys.argv[1:]] or range(1, len(FAULTS) + 1)
    passed = []
    for number in numbers:
        fault = FAULTS[number - 1]
        print(f"{number}. {fault.what} ({fault.file})", flush=True)
        if not caught(fault):
            passed.append(number)
    print(f"{len(numbers) - len(passed)} of {len(numbers)} caught" + (f"; not caught: {passed}" if passed else ""))
    sys.exit(bool(passed))
