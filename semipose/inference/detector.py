"""Boxes of people in images, by torchvision's detectors trained on COCO."""

from pathlib import Path
from typing import Literal

import torch
from PIL import Image
from torchvision.models import detection
from torchvision.ops import box_convert
from torchvision.transforms.functional import pil_to_tensor

from semipose.inference.boxes import Boxes
from semipose.utils.errors import InputError
from semipose.utils.precision import full_float32

PERSON = 1  # the detectors' label
CLASSES = 91
MODELS = {
    "small": (detection.fasterrcnn_mobilenet_v3_large_fpn, detection.FasterRCNN_MobileNet_V3_Large_FPN_Weights.DEFAULT),
    "large": (detection.fasterrcnn_resnet50_fpn_v2, detection.FasterRCNN_ResNet50_FPN_V2_Weights.DEFAULT),
}


class Detector:
    """A person detector; small: a MobileNet, a fraction of a second per image on a CPU; large: a
    ResNet-50, better and ten times slower.
    """

    def __init__(
        self, name: Literal["small", "large"], weights: Path | None, score: float, device: torch.device, key: str = "--detector-weights"
    ) -> None:
        """Load the detector.

        Args:
            name: Which one (see above).
            weights: A weight file of torchvision; None: download it once.
            score: People with a lower score are left out.
            device: Where it computes.
            key: What messages call the option that names the file.

        Raises:
            InputError: The weights cannot be loaded.
        """
        make, known = MODELS[name]
        self.net = make(weights=None, weights_backbone=None, num_classes=CLASSES)
        self.score, self.device = score, device
        try:
            state = torch.load(weights, map_location="cpu", weights_only=True) if weights else known.get_state_dict(progress=False)
            self.net.load_state_dict(state)
        except FileNotFoundError:
            raise InputError(f"{key} {weights}: no such file; check the path") from None
        except Exception as error:  # network, zip, pickle and shape errors have no common base class
            where = f"{key} {weights} is not this detector's file" if weights else f"{known.url} cannot be downloaded"
            remedy = (
                "give the file of this detector"
                if weights
                else f"download that file by hand and name it with {key}, or give a file of boxes"
            )
            raise InputError(f"{where} ({str(error).splitlines()[0]}); {remedy}") from None
        self.net.to(device).eval()

    @torch.inference_mode()
    def __call__(self, image: Image.Image) -> Boxes:
        """The people of an RGB image, best first."""
        with full_float32():
            (found,) = self.net([pil_to_tensor(image).to(self.device) / 255])
        chosen = (found["labels"] == PERSON) & (found["scores"] >= self.score)
        # Its corners are on the edges of pixels; ours name the first pixel of a box.
        boxes = box_convert(found["boxes"][chosen], "xyxy", "xywh")
        return Boxes(boxes.cpu().numpy(), found["scores"][chosen].double().cpu().numpy())
