"""RandAugment (Cubuk et al. 2020) and TrivialAugment (Müller and Hutter 2021), without operations
that move the person.

Each person of a batch has its own random operations and strengths.
Images are RGB uint8 [B, 3, H, W], as `denormalise` makes them.
Operations, ranges, and how a level of 0 ... 30 becomes a strength are those of the released code
(RandAugment: PoseCons; TrivialAugment: MultiAugs).
That code gives BGR images to Pillow as if they were RGB; here they are RGB.
Pixels may differ from Pillow's by one or two of 255, and
CutoutAbs grows with the width as all patches do.
"""

from collections.abc import Callable

import torch
import torchvision.transforms.v2.functional as F
from torch import Tensor

from semipose.augment.patches import REFERENCE_WIDTH
from semipose.data.loading.normalise import constant
from semipose.utils.seeding import on_host

LEVELS = 30  # the strongest level
FILL = (125, 123, 114)  # RGB colour of CutoutAbs, the mean colour of the released code

Op = Callable[[Tensor, Tensor, Tensor], Tensor]  # images, level [B] of whole numbers, uniform samples [B, 3] -> new images


def rand_augment(images: Tensor, count: int, level: int, generator: torch.Generator, cutout: bool = True) -> Tensor:
    """Apply random operations, sampled with replacement, to each person.

    PoseCons has count 2, level 20; MultiAugs has no CutoutAbs.

    Args:
        images: uint8 RGB [B, 3, H, W].
        count: Number of operations.
        level: Strength of all of them, 0-30.
        generator: For operations and their random numbers.
        cutout: Whether CutoutAbs is one of the operations.

    Returns:
        New uint8 images [B, 3, H, W].
    """
    constant(FILL, images.device)  # kept there from the first step on; to make it in a later one, the host would wait
    ops = RAND_AUGMENT if cutout else RAND_AUGMENT[:-1]
    kinds, uniforms = draw(len(images), count, len(ops), generator)
    return apply(images, ops, kinds, torch.full(kinds.shape, level, device=uniforms.device), uniforms)


def trivial_augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Apply one of nine operations to each person, at a random level of 0 ... 30.

    Returns:
        New uint8 images [B, 3, H, W].
    """
    kinds, uniforms = draw(len(images), 1, len(TRIVIAL_AUGMENT), generator)
    levels = torch.randint(LEVELS + 1, kinds.shape, generator=generator, device=generator.device)
    return apply(images, TRIVIAL_AUGMENT, kinds, levels, uniforms)


def draw(n: int, count: int, ops: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Sample operations and their random numbers for each person.

    Args:
        n: Number of people.
        count: Number of turns.
        ops: Number of operations to choose from.
        generator: For all of them.

    Returns:
        The operation of each turn, [n, count], on the host, which calls the operations; and uniform
        numbers for them, [n, count, 3] in [0, 1).
    """
    kinds = torch.randint(ops, (n, count), generator=on_host(generator))
    return kinds, torch.rand(n, count, 3, generator=generator, device=generator.device)


def apply(images: Tensor, ops: tuple[Op, ...], kinds: Tensor, levels: Tensor, uniforms: Tensor) -> Tensor:
    """Apply each person's operations.

    Args:
        images: uint8 RGB [B, 3, H, W].
        ops: The operations to choose from.
        kinds: Positions in `ops`, [B, turns], on the host.
        levels: Strengths, [B, turns], whole numbers of 0-30.
        uniforms: Random numbers for the operations, [B, turns, 3] in [0, 1).

    Returns:
        New uint8 images [B, 3, H, W].
    """
    result = images.clone()
    levels, uniforms = levels.to(images.device), uniforms.to(images.device)
    for turn in range(kinds.shape[1]):
        for kind, op in enumerate(ops):
            people = (kinds[:, turn] == kind).nonzero()[:, 0].to(images.device, non_blocking=True)
            if len(people):
                result[people] = op(result[people], levels[people, turn], uniforms[people, turn])
    return result


def posterise(images: Tensor, bits: Tensor) -> Tensor:
    """Keep the highest `bits` [B] of each value."""
    return images & _each(256 - 2 ** (8 - bits)).to(torch.uint8)


def solarise(images: Tensor, threshold: Tensor) -> Tensor:
    """Invert the values from `threshold` [B] on."""
    return torch.where(images >= _each(threshold), 255 - images, images)


def solarise_add(images: Tensor, addition: Tensor) -> Tensor:
    """Add `addition` [B], up to 255, then invert the values from 128 on."""
    brighter = (images + _each(addition)).clamp(max=255).to(torch.uint8)
    return solarise(brighter, torch.full_like(addition, 128))


def saturate(images: Tensor, factor: Tensor) -> Tensor:
    """Move away from the grey image by `factor` [B] (Pillow's Color): 0 is grey, 1 changes nothing."""
    return _blend(images, F.rgb_to_grayscale(images), factor)


def contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Move away from the mean grey by `factor` [B]."""
    grey = F.rgb_to_grayscale(images).float().mean(dim=(1, 2, 3), keepdim=True)
    return _blend(images, grey.round(), factor)


def brighten(images: Tensor, factor: Tensor) -> Tensor:
    """Multiply by `factor` [B]."""
    return _blend(images, torch.zeros_like(images), factor)


def sharpen(images: Tensor, factor: Tensor) -> Tensor:
    """Move away from the smoothed image by `factor` [B]; the outermost pixels stay."""
    (height, width), smooth = images.shape[-2:], images.clone()
    around = [images[..., y : height - 2 + y, x : width - 2 + x].float() for y in range(3) for x in range(3)]
    smooth[..., 1:-1, 1:-1] = ((torch.stack(around).sum(dim=0) + 4 * around[4]) / 13).round().to(torch.uint8)  # Pillow's SMOOTH
    return _blend(images, smooth, factor)


def cutout_abs(images: Tensor, side: Tensor, place: Tensor) -> Tensor:
    """Put a square of `side` [B] px in the colour FILL at a uniformly random centre.

    As in the released code, a square that would begin left of or above the image is moved inside.

    Args:
        images: uint8 RGB [B, 3, H, W].
        side: Side of the square in px, [B].
        place: The centre [B, 2] (x, y), as shares of the extent.
    """
    height, width = images.shape[-2:]
    columns, rows = (_covered(extent, place[:, axis] * extent, side) for axis, extent in enumerate((width, height)))
    inside = rows[:, None, :, None] & columns[:, None, None, :]
    return torch.where(inside, constant(FILL, images.device).to(images.dtype), images)


def _covered(extent: int, centre: Tensor, side: Tensor) -> Tensor:
    """Which pixels of one axis the side of a square covers, [B, extent]."""
    first = (centre - side / 2).clamp(min=0).floor()[:, None]
    grid = torch.arange(extent, device=centre.device)
    return (grid >= first) & (grid < first + side[:, None])


def _blend(images: Tensor, other: Tensor, factor: Tensor) -> Tensor:
    """`other` + `factor` [B] (images - other), clipped to 0 and
    255, truncated to whole numbers as in Pillow.
    """
    share = _each(factor)
    return (images * share + other * (1 - share)).clamp(0, 255).to(torch.uint8)


def _each(values: Tensor) -> Tensor:
    """[B] -> [B, 1, 1, 1]."""
    return values[:, None, None, None]


def _mirrored(level: Tensor, uniforms: Tensor) -> Tensor:
    """RandAugment's factor 1 ± 0.9 level / 30, both signs equally likely."""
    return 1 + torch.where(uniforms[:, 0] < 0.5, -0.9, 0.9) * level / LEVELS


def _rising(level: Tensor) -> Tensor:
    """TrivialAugment's factor 0.1 ... 1.9."""
    return 0.1 + 1.8 * level / LEVELS


RAND_AUGMENT: tuple[Op, ...] = (
    lambda x, level, u: F.autocontrast(x),
    lambda x, level, u: F.equalize(x),
    lambda x, level, u: F.invert(x),
    lambda x, level, u: posterise(x, (6 - 4 * level // LEVELS).clamp(min=2)),
    lambda x, level, u: solarise(x, 256 - 256 * level / LEVELS),
    lambda x, level, u: solarise_add(x, 110 * level // LEVELS),
    lambda x, level, u: saturate(x, _mirrored(level, u)),
    lambda x, level, u: contrast(x, _mirrored(level, u)),
    lambda x, level, u: brighten(x, _mirrored(level, u)),
    lambda x, level, u: sharpen(x, _mirrored(level, u)),
    lambda x, level, u: cutout_abs(x, 80 * level / LEVELS * x.shape[-1] / REFERENCE_WIDTH, u[:, 1:]),
)

TRIVIAL_AUGMENT: tuple[Op, ...] = (
    lambda x, level, u: x,
    lambda x, level, u: F.autocontrast(x),
    lambda x, level, u: F.equalize(x),
    lambda x, level, u: posterise(x, 8 - 4 * level // LEVELS),
    lambda x, level, u: solarise(x, 256 - 256 * level // LEVELS),
    lambda x, level, u: saturate(x, _rising(level)),
    lambda x, level, u: contrast(x, _rising(level)),
    lambda x, level, u: brighten(x, _rising(level)),
    lambda x, level, u: sharpen(x, _rising(level)),
)
