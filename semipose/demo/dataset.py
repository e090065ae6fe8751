"""The built-in demo data: rendered images of people, with annotations in COCO's keypoint format.

Every image comes from its own seed (seed, part, number), so a
set is the same for any number of processes.
A keypoint has v = 2 if its body part is visible.
It has v = 1 if it is inside the image but covered (by the person's own body or hair, by another
person or by a thing).
It has v = 0 and x = y = 0 outside the image.
As with COCO's annotators, a point of the face that the head itself hides (nose and eyes from
behind, the far ear in profile) has v = 0 too.
"""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator, SeedSequence, default_rng
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from pycocotools import mask as rle

from semipose.demo.canvas import SCALE, Layer, Points, mark, paint
from semipose.demo.figure import FACE, Figure, draw_figure
from semipose.demo.outfit import PARTS, Person, draw_outfit
from semipose.demo.person import paint_held, paint_person, paint_seat
from semipose.demo.scene import draw_backdrop, draw_obstacle, draw_wash
from semipose.pose.skeleton import COCO17
from semipose.utils.files import replacing, write_text
from semipose.utils.progress import followed
from semipose.utils.workers import in_processes

SIZE = 320, 240  # px, width and height of an image
MIN_KEYPOINTS = 6  # labelled keypoints that a person must have to stay in the image
MIN_AREA = 600  # visible pixels that a person must have to stay in the image
SEEN_SHARE = 1 / 3  # of the 3 x 3 pixels around a joint: share that must show a part of the joint

# Body parts in which a joint is seen; shoulders and hips also on the trunk, from the side where they are.
_SEGMENTS = {"shoulder": ("arm",), "elbow": ("arm", "forearm"), "wrist": ("forearm", "hand"), "hip": ("thigh",),
             "knee": ("thigh", "shin"), "ankle": ("shin", "foot")}  # fmt: skip

Annotation = dict[str, Any]


def seen_in(name: str, figure: Figure) -> list[str]:
    """The parts of the body in which a keypoint counts as seen."""
    if name in FACE:
        return ["head"]
    side, joint = name.split("_")
    parts = [f"{side}_{segment}" for segment in _SEGMENTS[joint]]
    if joint in ("shoulder", "hip"):
        centre = figure.joints["neck" if joint == "shoulder" else "middle"]
        # A far shoulder is behind the trunk once the body has turned by about 35 degrees; a far hip likewise.
        limit = -0.06 if joint == "shoulder" else -0.034
        if figure.joints[name][2] - centre[2] > limit * figure.stature:
            parts += ["trunk", "pelvis"]
    return parts


def locate(person: Person, labels: NDArray[np.uint8]) -> list[float]:
    """The 51 numbers x, y, v of a person, from the label map [H, W]."""
    height, width = labels.shape
    numbers: list[float] = []
    for name in COCO17.joints:
        x, y = (round(float(value), 2) for value in person.figure.joints[name][:2])
        column, row = round(x), round(y)
        if name in person.figure.turned_away or not (0 <= column < width and 0 <= row < height):
            numbers += [0, 0, 0]
            continue
        around = labels[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2].ravel().tolist()
        own = {person.label(part) for part in seen_in(name, person.figure)}
        seen = sum(label in own for label in around) >= SEEN_SHARE * len(around)
        numbers += [max(x, 0.0), max(y, 0.0), 2 if seen else 1]
    return numbers


def annotate(person: Person, labels: NDArray[np.uint8]) -> Annotation | None:
    """COCO's annotation of one person without ids; None if
    too little of the person is in the image.
    """
    mask = (labels >= person.first_label) & (labels < person.first_label + len(PARTS))
    numbers = locate(person, labels)
    count = sum(v > 0 for v in numbers[2::3])
    if mask.sum() < MIN_AREA or count < MIN_KEYPOINTS:
        return None
    segment = rle.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {
        "segmentation": {"size": list(segment["size"]), "counts": segment["counts"].decode("ascii")},
        "num_keypoints": count,
        "area": int(mask.sum()),
        "iscrowd": 0,
        "keypoints": numbers,
        "bbox": [float(value) for value in rle.toBbox(segment)],
        "category_id": 1,
    }


def place(generator: Generator, figure: Figure, centre: float, size: tuple[int, int]) -> None:
    """Put a figure into the image around a column; the frame cuts about a quarter of the people."""
    points = np.stack(list(figure.joints.values()))[:, :2]
    low, high = points.min(0), points.max(0)
    extent = high - low
    x = centre + generator.normal(0, 0.06) * size[0] - (low[0] + high[0]) / 2
    room = size[1] - extent[1]
    y = generator.uniform(min(room, 0.06 * size[1]), max(room, 0.06 * size[1])) - low[1]
    if generator.random() < 0.1:
        y += generator.uniform(0.1, 0.45) * extent[1] * (1 if generator.random() < 0.75 else -0.4)
    figure.move(np.array([x, y]))


def draw_people(generator: Generator, size: tuple[int, int], light: Points) -> list[tuple[Person, list[Layer]]]:
    """One to three people with their layers and the things that belong to them, from far to near."""
    count = int(generator.choice([1, 2, 3], p=[0.45, 0.35, 0.2]))
    top = (230, 215, 190)[count - 1]
    statures = np.sort(np.exp(generator.uniform(np.log(115), np.log(top), count))) * size[1] / 240
    columns = generator.permutation((np.arange(count) + generator.uniform(0.2, 0.8, count)) / count) * size[0]
    if generator.random() < 0.12:
        columns[0] = generator.choice([0, size[0]])
    people = []
    for index, (stature, column) in enumerate(zip(statures, columns, strict=True)):
        figure = draw_figure(generator, float(stature))
        place(generator, figure, float(column), size)
        person = Person(figure, draw_outfit(generator), light, 1 + index * len(PARTS))
        seat = paint_seat(person, generator) if figure.pose == "sit" and generator.random() < 0.75 else []
        held = paint_held(person, generator) if generator.random() < 0.1 else []
        layers = seat + paint_person(person) + held
        if generator.random() < 0.1:
            layers += draw_obstacle(generator, figure.joints["middle"][:2], figure.stature, light)
        people.append((person, layers))
    return people


def develop(generator: Generator, picture: Image.Image) -> NDArray[np.uint8]:
    """What a camera does to an image: uneven light, grain, contrast,
    a tint, and sometimes blur; uint8 [H, W, 3].
    """
    if generator.random() < 0.2:
        picture = picture.filter(ImageFilter.BoxBlur(generator.uniform(0.2, 1.1)))
    contrast, gain = generator.uniform(0.85, 1.1), generator.uniform(0.9, 1.15) * generator.normal(1, 0.03, (3, 1))
    curve = np.clip(((np.arange(256) - 118) * contrast + 118) * gain, 0, 255)
    values = np.array(picture.point(curve.ravel().astype(int).tolist()), dtype=np.float32)
    height, width = values.shape[:2]
    blotches = generator.integers(0, 256, generator.integers(3, 60, 2), dtype=np.uint8)
    light = Image.fromarray(blotches).resize((width, height), Image.Resampling.BILINEAR)
    strength = generator.uniform(0.0, 0.15)
    field = np.asarray(light, dtype=np.float32) * np.float32(strength / 255) + np.float32(1 - strength / 2)
    grain = generator.standard_normal((height, width), dtype=np.float32) * np.float32(generator.uniform(1, 4))
    rows = values.reshape(height, 3 * width)  # repeated rows are faster here than a broadcast over three colours
    rows *= np.repeat(field, 3, axis=1)
    rows += np.repeat(grain, 3, axis=1)
    return np.clip(values, 0, 255, out=values).astype(np.uint8)


def draw_image(generator: Generator) -> tuple[NDArray[np.uint8], list[Annotation]]:
    """Render one image of one to three people.

    Everybody in it is annotated, with at least MIN_KEYPOINTS
    labelled keypoints and MIN_AREA visible pixels.

    Returns:
        uint8 [H, W, 3] in RGB, and COCO's annotations without ids.
    """
    while True:
        angle = generator.uniform(-np.pi, 0)
        light = generator.uniform(0.06, 0.3) * np.array([np.cos(angle), np.sin(angle)])
        picture = draw_wash(generator, SIZE)
        paint(draw_backdrop(generator, SIZE, light), picture)
        people = draw_people(generator, SIZE, light)
        while people:
            marks = Image.new("L", SIZE)
            for _, layers in people:
                mark(layers, marks)
            labels = np.asarray(marks)
            annotations = [annotate(person, labels) for person, _ in people]
            if all(annotations):
                for _, layers in people:
                    paint(layers, picture)
                return develop(generator, picture.reduce(SCALE)), [kept for kept in annotations if kept]
            # People who are hardly visible are left out; then the others may show more.
            people = [pair for pair, kept in zip(people, annotations, strict=True) if kept]


def draw_file(number: int, root: Path, part: str, seed: int) -> tuple[dict[str, Any], list[Annotation]]:
    """Render image `number` (from 1) of a part to disk; return its entries in the annotation file."""
    generator = default_rng(SeedSequence([seed, *part.encode(), number]))
    pixels, annotations = draw_image(generator)
    name = f"{number:012d}.jpg"
    with replacing(root / f"{part}2017" / name) as path:
        Image.fromarray(pixels).save(path, "JPEG", quality=int(generator.integers(70, 93)))
    entry = {"id": number, "file_name": name, "width": SIZE[0], "height": SIZE[1], "license": 1}
    return entry, [{"image_id": number} | annotation for annotation in annotations]


def annotation_file(rendered: list[tuple[dict[str, Any], list[Annotation]]], description: str) -> dict[str, Any]:
    """The content of a COCO keypoint file, from the entries of its images and people."""
    annotations = [annotation for _, found in rendered for annotation in found]
    category = {
        "supercategory": "person",
        "id": 1,
        "name": "person",
        "keypoints": COCO17.joints,
        "skeleton": [(start + 1, end + 1) for start, end in COCO17.limbs],
    }
    return {
        "info": {"description": description, "version": "1.0", "year": 2024},
        "licenses": [{"id": 1, "name": "Apache License 2.0", "url": ""}],
        "images": [entry for entry, _ in rendered],
        "annotations": [annotation | {"id": number} for number, annotation in enumerate(annotations, 1)],
        "categories": [category],
    }


def render_set(root: Path, counts: dict[str, int], seed: int, processes: int = 1) -> None:
    """Render a set in COCO's layout: `counts[part]` images
    into root/{part}2017, and root/annotations.

    The files are the same for any number of processes.
    """
    for part, count in counts.items():
        draw = partial(draw_file, root=root, part=part, seed=seed)
        made = in_processes(draw, range(1, count + 1), processes, chunk=16)
        rendered = list(followed(made, count, "images", part))
        content = annotation_file(rendered, f"drawn people, seed {seed}")  # an old word that stays: the manifest has the file's digest
        write_text(root / "annotations" / f"person_keypoints_{part}2017.json", json.dumps(content))
