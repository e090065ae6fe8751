"""The pictures of README and docs, rendered from what the demo left: `python docs/pictures/redraw.py` after `dvc repro`."""

from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from semipose.augment import mixing
from semipose.augment.task import Task, task_of
from semipose.config.load import load
from semipose.data.loading.normalise import denormalise
from semipose.data.loading.pack import CropPack
from semipose.methods import build
from semipose.models.weight_file import load_network
from semipose.pose.drawing import sheet
from semipose.reporting.site.page import people_scores
from semipose.training.gallery import strip
from semipose.utils.seeding import generator_of

REPORTS, HERE = Path("reports"), Path(__file__).parent
METHODS = ("supervised", "akm")
PEOPLE = 7  # of those in the report, evenly from the best to the worst
STRIP, ROWS = 5, 2  # people in a strip of reports/views, and how many of them are kept
SHOWN = (12, 40)  # unlabelled people, by their place in the pack, whose views are shown
# AKM's picture is its training's.
METHOD_PAGES = ("supervised", "posecons", "posedual", "sspcm", "multiaugs", "pseudopose", "denoise_select", "reviewer", "jointmix")
ALPHAS = (1.0, 0.8, 0.6, 0.4, 0.2, 0.0)
TILE = (120, 160)  # px


def predictions() -> Image.Image:
    """The truth above each method's poses of the same people."""
    scores = {method: people_scores(REPORTS / "runs" / f"demo-{method}-L50-s0" / "people.csv") for method in METHODS}
    order = sorted(scores["akm"], key=lambda person: -fmean(own[person] for own in scores.values()))
    people = [order[round(k * (len(order) - 1) / (PEOPLE - 1))] for k in range(PEOPLE)]
    folder = REPORTS / "pictures"
    tiles = [Image.open(folder / f"demo-akm-L50-s0/{person}-truth.jpg") for person in people]
    captions = ["truth"] * PEOPLE
    for method in METHODS:
        tiles += [Image.open(folder / f"demo-{method}-L50-s0/{person}.jpg") for person in people]
        captions += [f"{method}\nOKS {scores[method][person]:.2f}" for person in people]
    return sheet(tiles, captions, PEOPLE, TILE)


def at_work() -> Image.Image:
    """The upper rows of AKM's strip: one unlabelled person in each."""
    strip = Image.open(REPORTS / "views/demo-akm-L50-s0/strip.jpg")
    return strip.crop((0, 0, strip.width, strip.height * ROWS // STRIP))


def views(task: Task, pack: CropPack) -> Image.Image:
    """Two people as they are, in weak views, and the last weak view in strong ones."""
    generator = generator_of(0, "views", 0)
    crops = pack.read(SHOWN, task.size)
    shown = {"the person": task.view(*crops)}
    for k in range(1, 4):
        weak = task.weak_view(crops, generator)
        shown[f"weak view {k}"] = weak
    for k in range(1, 4):
        shown[f"strong view {k} of it"] = task.move_images(weak, task.strong(len(SHOWN), generator))
    return _people_in_rows(shown)


def mixed(task: Task, pack: CropPack) -> Image.Image:
    """alpha X_i + (1 - alpha) X_j."""
    images = task.view(*pack.read(SHOWN, task.size))
    return _people_in_rows({f"alpha {alpha:.1f}": mixing.mix(images, torch.tensor([1, 0]), alpha)[:1] for alpha in ALPHAS})


def ways(pack: CropPack) -> dict[str, Image.Image]:
    """What each method makes of two unlabelled people, all with the network that AKM left, with the settings of `demo-methods`."""
    p = load(Path("pipeline/presets/demo-methods.yaml"))
    task = task_of(p, pack)
    found = {}
    for name in METHOD_PAGES:
        entry = p.method[name]
        nets = [load_network(Path("runs/demo-akm-L50-s0/weights.safetensors"))[0] for _ in range(entry.trains)]
        found[f"methods/{name}"] = strip(build(nets, entry, task), task, pack, np.array(SHOWN))
    return found


def _people_in_rows(columns: dict[str, Tensor]) -> Image.Image:
    pictures: dict[str, NDArray[np.uint8]] = {name: denormalise(images).permute(0, 2, 3, 1).numpy() for name, images in columns.items()}
    people = len(next(iter(pictures.values())))
    tiles = [own[person] for person in range(people) for own in pictures.values()]
    return sheet(tiles, list(columns) * people, len(columns), TILE)


if __name__ == "__main__":
    train = CropPack.open(Path("data/packs/train"))
    task = task_of(load(Path("params.yaml")), train)
    pictures = {
        "predictions": predictions(),
        "akm": at_work(),
        "masking": Image.open(REPORTS / "views/demo-akm-L50-s0/masks.jpg"),
        "views": views(task, train),
        "mixup": mixed(task, train),
    } | ways(train)
    (HERE / "methods").mkdir(exist_ok=True)
    for name, picture in pictures.items():
        picture.save(HERE / f"{name}.jpg", quality=88)
