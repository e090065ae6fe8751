"""Keypoint masking (Joint Cutout of PoseCons, Xie et al. 2021): patches over keypoints, set to the mean colour.

Unlike the released code, the joints are the K real ones, drawn without replacement, patches reach every row of a
portrait crop (it clamps rows by the width and columns by the height), and the input is never written to. The first two
are options, ``channels`` and ``clamp``, so that the released code's results can be measured too.
"""

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

if TYPE_CHECKING:
    from semipose.params import Patch

REFERENCE_WIDTH = 192  # px; the input width for which patch sizes are given

Clamp = Literal["frame", "peers"]


def patches(
    points: Tensor,
    counts: Tensor,
    eligible: Tensor | None,
    size: tuple[int, int],
    patch: "Patch",
    generator: torch.Generator,
    *,
    channels: int | None = None,
    clamp: Clamp = "frame",
) -> Tensor:
    """Draw a mask [B, H, W] (bool, True: to be hidden) over ``counts`` [B] of the K keypoints of every image.

    ``points`` [B, K, 2] in px of the image of ``size`` (H, W); ``eligible`` [B, K] bool, or None for all. Exactly
    min(counts, number eligible) distinct keypoints are chosen, uniformly.

    The peers' traps: ``channels`` (24 in their networks; ``eligible`` must be None, or ValueError is raised) draws
    ``counts`` times with replacement among that many heatmap channels, of which only K are keypoints (T3);
    ``clamp`` as in ``paint`` (T1).
    """
    if channels is not None:
        if eligible is not None:
            raise ValueError("the draw among the peers' channels has no eligible keypoints: eligible must be None")
        chosen = choose_with_replacement(counts.to(points.device), channels, generator)
        points = add_unreal(points, channels, size, generator)
    else:
        if eligible is None:
            eligible = torch.ones(points.shape[:2], dtype=torch.bool, device=points.device)
        chosen = choose(counts, eligible, generator)
    centres, halves = draw_patches(points, size[1] / REFERENCE_WIDTH, patch, generator)
    return paint(chosen, centres, halves, size, clamp)


def choose(counts: Tensor, eligible: Tensor, generator: torch.Generator) -> Tensor:
    """Choose min(counts, number eligible) of the ``eligible`` [B, K] keypoints without replacement; [B, K] bool."""
    keys = torch.rand(eligible.shape, generator=generator, device=generator.device).to(eligible.device)
    rank = keys.masked_fill(~eligible, 2.0).argsort(dim=1).argsort(dim=1)
    return (rank < counts.to(eligible.device)[:, None]) & eligible


def choose_with_replacement(counts: Tensor, channels: int, generator: torch.Generator) -> Tensor:
    """Draw ``counts`` [B] times (at most ``channels``) among all channels; [B, channels] bool, True: drawn at least once."""
    shape = (len(counts), channels)
    draws = torch.randint(channels, shape, generator=generator, device=generator.device).to(counts.device)
    every = torch.arange(channels, device=counts.device)
    drawn = (draws[..., None] == every) & (every < counts[:, None])[..., None]  # [B, draw, channel]
    return drawn.any(dim=1)


def add_unreal(points: Tensor, channels: int, size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """The peers' [B, channels, 2] points: the K real ones [B, K, 2] first, then those of the channels that nothing trains.

    The peak of an untrained channel may be anywhere: it is drawn uniformly over the image of ``size`` (H, W).
    """
    shape = (len(points), channels - points.shape[1])
    columns, rows = (extent * torch.rand(shape, generator=generator, device=generator.device) for extent in (size[1], size[0]))
    return torch.cat([points.float(), torch.stack([columns, rows], dim=-1).to(points.device)], dim=1)


def draw_patches(points: Tensor, scale: float, patch: "Patch", generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A patch for every keypoint: centres [B, K, 2] and half sizes [B, K, 2] (x, y), whole px.

    The centre is the point moved by ``jitter`` z px per axis, truncated; half sizes are uniform over the integers
    half_min ... half_max, per axis. All three are px of a 192 px wide input, times ``scale``.
    """
    jitter = torch.randn(points.shape, generator=generator, device=generator.device).to(points.device)
    halves = draw_halves(points.shape, scale, patch, generator)
    centres = (points.float() + patch.jitter * scale * jitter).trunc()
    return centres, halves.to(points.device)


def draw_halves(shape: tuple[int, ...], scale: float, patch: "Patch", generator: torch.Generator) -> Tensor:
    """Half sizes of patches, uniform over half_min ... half_max, times ``scale``, whole px, at least 1."""
    halves = torch.randint(patch.half_min, patch.half_max + 1, shape, generator=generator, device=generator.device)
    return (halves * scale).round().clamp(min=1)


def paint(chosen: Tensor, centres: Tensor, halves: Tensor, size: tuple[int, int], clamp: Clamp = "frame") -> Tensor:
    """The union [B, H, W] of the chosen patches [c - a, c + a), cut off at the image's edges.

    ``clamp`` "peers" cuts columns off at the height and rows at the width, as the released code does (trap T1), so that
    nothing below y = W of a portrait image, or right of x = H of a landscape one, is ever hidden.
    """
    low, high = centres - halves, centres + halves
    covered = []
    for axis, extent in enumerate((size[1], size[0])):
        limit = extent if clamp == "frame" else size[axis]
        grid = torch.arange(extent, device=centres.device)
        covered.append((grid >= low[..., axis, None]) & (grid < high[..., axis, None].clamp(max=limit)))
    columns, rows = covered[0] & chosen[..., None], covered[1]
    return rows.float().mT @ columns.float() > 0  # how many patches cover a pixel


def mask_keypoints(images: Tensor, mask: Tensor) -> Tensor:
    """New images [B, C, H, W] (normalised) with the mean colour, 0, where ``mask`` [B, H, W]."""
    return images.masked_fill(mask[:, None], 0.0)
