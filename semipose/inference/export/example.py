"""Poses with onnxruntime only: python example.py IMAGE [X Y WIDTH HEIGHT]

Prints one line per joint: name, x and y in px of the image as viewers show it (a pixel's centre is
an integer), confidence.
The box is the person's, in px; without a box, one person fills the image.
Needs numpy, pillow and onnxruntime, and model.onnx and card.json beside it.
Heatmaps are decoded with quarter-cell offsets.
`semipose predict` decodes as in the evaluation (see the card): `--decode quarter` gives the same points,
DARK gives slightly others.
"""

import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

MEAN_COLOUR = (124, 116, 104)  # what is outside an image
STRIDE = 4  # px per heatmap cell


def poses(folder: Path, image: Image.Image, boxes: list[list[float]]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Points [N, K, 2] in px of the image and confidence [N, K] of the
    people in these boxes (x, y, width, height).
    """
    import onnxruntime

    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    height, width = card["height"], card["width"]
    crops, starts = [], []
    for x, y, w, h in boxes:
        scale = width / (card["padding"] * max(w, h * width / height))  # crop px per px of the image
        # The crop's upper left edge, in px of the image from the edge of its first pixel.
        left, top = x + w / 2 - width / scale / 2, y + h / 2 - height / scale / 2
        crops.append(cut(image, (left, top, left + width / scale, top + height / scale), (width, height)))
        starts.append((left, top, 1 / scale))
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    (heatmaps,) = session.run(None, {"images": np.stack(crops).transpose(0, 3, 1, 2)})
    cells, confidence = decode(heatmaps)
    edges = (cells + 0.5) * STRIDE  # in crop px, from the edge
    corner, size = np.array(starts)[:, None, :2], np.array(starts)[:, None, 2:]
    return corner + edges * size - 0.5, confidence


def cut(image: Image.Image, box: tuple[float, float, float, float], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The part of an image in a box (left, top, right, bottom), resampled to `size` (width, height)."""
    margin = math.ceil(max(1.0, (box[2] - box[0]) / size[0])) + 1
    x, y = math.floor(box[0]) - margin, math.floor(box[1]) - margin
    canvas = Image.new("RGB", (math.ceil(box[2]) + margin - x, math.ceil(box[3]) + margin - y), MEAN_COLOUR)
    canvas.paste(image, (-x, -y))
    return np.asarray(canvas.resize(size, Image.Resampling.BILINEAR, (box[0] - x, box[1] - y, box[2] - x, box[3] - y)))


def decode(heatmaps: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The position (x, y) of each map's maximum with a quarter-cell offset towards the higher
    neighbour, [N, K, 2]; and its value, [N, K].
    """
    count, joints, height, width = heatmaps.shape
    cells, confidence = np.zeros((count, joints, 2)), heatmaps.max((2, 3))
    for n in range(count):
        for k in range(joints):
            one = heatmaps[n, k]
            y, x = divmod(int(one.argmax()), width)
            cells[n, k] = x, y
            if 1 < x < width - 1 and 1 < y < height - 1:
                cells[n, k] += 0.25 * np.sign([one[y, x + 1] - one[y, x - 1], one[y + 1, x] - one[y - 1, x]])
    return cells, confidence


if __name__ == "__main__":
    here = Path(__file__).parent
    opened = Image.open(sys.argv[1])
    if opened.mode.startswith(("I", "F")):
        sys.exit(f"{sys.argv[1]}: pixels of mode {opened.mode} cannot be read; save the image as 8-bit grey or RGB")
    shown = ImageOps.exif_transpose(opened)
    if shown.has_transparency_data:  # on white, as `semipose predict` shows it
        shown = Image.alpha_composite(Image.new("RGBA", shown.size, "white"), shown.convert("RGBA"))
    shown = shown.convert("RGB")
    person = [float(number) for number in sys.argv[2:6]] or [0.0, 0.0, *map(float, shown.size)]
    found, sure = poses(here, shown, [person])
    for name, (px, py), value in zip(json.loads((here / "card.json").read_text())["joints"], found[0], sure[0], strict=True):
        print(f"{name:16} {px:8.1f} {py:8.1f} {value:6.2f}")
