"""A trained network for use elsewhere: ONNX with any batch size, and
safetensors, with a model card and an example.

The ONNX network takes plain crops, RGB uint8 [B, 3, H, W], and gives heatmaps [B, K, H/4, W/4]:
normalisation is inside.
"""

import json
import logging
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from semipose.data.loading.normalise import MEAN, STD
from semipose.inference.export.card import model_card
from semipose.models.network import PoseNet
from semipose.models.weight_file import load_network, save_network
from semipose.utils.errors import InputError
from semipose.utils.files import read_json, replacing, write_text

PARITY = 1e-4  # largest difference of a heatmap's value between ONNX and PyTorch


class FromPixels(nn.Module):
    """A network with its normalisation."""

    def __init__(self, net: PoseNet) -> None:
        super().__init__()
        self.net = net
        self.mean, self.std = (nn.Buffer(255 * torch.tensor(value)[:, None, None]) for value in (MEAN, STD))

    def forward(self, images: Tensor) -> Tensor:
        return self.net((images.float() - self.mean) / self.std)


def export(weights: Path, out: Path, licence: str) -> float:
    """Write model.onnx, model.safetensors, card.json, README.md (the model card) and example.py.

    Args:
        weights: A weights.safetensors of semipose.
        out: Where the files go.
        licence: Of the weights, for the model card.

    Returns:
        The largest difference of a heatmap's value between ONNX and PyTorch.

    Raises:
        InputError: The weight file is not semipose's, a package is missing, or ONNX and PyTorch
            differ by more than PARITY (then no ONNX file is left).
    """
    missing = [name for name in ("onnx", "onnxscript", "onnxruntime") if find_spec(name) is None]
    if missing:
        raise InputError(f"semipose export needs {', '.join(missing)}; run pip install 'semipose[export]'")
    net, card = load_network(weights)
    # The record of the run that made the weights, if they are in their repository: runs/<run>/ and reports/runs/<run>.json.
    folder = weights.resolve().parent
    record = folder.parent.parent / "reports" / "runs" / f"{folder.name}.json"
    run = read_json(record) if record.exists() else None
    model = card["model"]
    difference = export_onnx(net, (model["height"], model["width"]), out / "model.onnx")
    save_network(net, out / "model.safetensors", card)
    facts = {key: model[key] for key in ("height", "width")} | {"padding": card["padding"], "joints": card["skeleton"]["joints"]}
    write_text(out / "card.json", json.dumps(facts, indent=1) + "\n")
    write_text(out / "README.md", model_card(card, run, licence, sum(weight.numel() for weight in net.parameters())))
    write_text(out / "example.py", Path(__file__).with_name("example.py").read_text(encoding="utf-8"))
    return difference


def export_onnx(net: PoseNet, size: tuple[int, int], path: Path) -> float:
    """Write a network as ONNX, with its normalisation.

    Args:
        net: The network.
        size: (H, W) of its input in px.
        path: The file.

    Returns:
        The largest difference of a heatmap's value from PyTorch, over batches of 1 and 3 of noise.

    Raises:
        InputError: The difference is above PARITY; no file is left then.
    """
    import onnxruntime

    whole = FromPixels(net).eval()
    generator = torch.Generator().manual_seed(0)
    batches = [torch.randint(0, 256, (count, 3, *size), generator=generator, dtype=torch.uint8) for count in (1, 3)]
    for name in ("torch.onnx", "onnxscript", "onnx_ir"):
        logging.getLogger(name).setLevel(logging.ERROR)  # they report every pass
    program = torch.onnx.export(
        whole,
        (batches[1],),
        input_names=["images"],
        output_names=["heatmaps"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        verbose=False,
    )
    assert program is not None  # it is None only if a file name was given
    with replacing(path) as temporary:
        program.save(temporary, external_data=False)
        session = onnxruntime.InferenceSession(temporary, providers=["CPUExecutionProvider"])
        difference = 0.0
        for images in batches:
            with torch.inference_mode():
                expected = whole(images).numpy()
            (found,) = session.run(None, {"images": images.numpy()})
            difference = max(difference, float(np.abs(found - expected).max()))
        if not difference <= PARITY:
            raise InputError(f"{path}: ONNX differs from PyTorch by {difference:.2g}, allowed is {PARITY:g}; nothing was written")
    return difference
