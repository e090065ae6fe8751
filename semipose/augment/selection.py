"""Selection of keypoints that patches hide, replace or blend.

Unlike in the released code, joints are the K real ones, sampled without replacement.
The released code samples with replacement from its heatmap channels, of which only K are keypoints (T3).
`choose_with_replacement`, `add_unreal` and `channels` bring that back, so that its results can be measured too.
"""

import torch
from torch import Tensor


def choose(counts: Tensor, keypoints: int, eligible: Tensor | None, generator: torch.Generator) -> Tensor:
    """Choose keypoints without replacement.

    Args:
        counts: How many of each person, [B]; if fewer are eligible, all of those.
        keypoints: Number of keypoints, K.
        eligible: [B, K] bool; None: all.
        generator: For the choice; the result is on its device.

    Returns:
        [B, K] bool.
    """
    device = generator.device
    keys = torch.rand(len(counts), keypoints, generator=generator, device=device)
    if eligible is not None:
        keys = keys.masked_fill(~eligible.to(device), 2.0)
    chosen = keys.argsort(dim=1).argsort(dim=1) < counts.to(device)[:, None]
    return chosen if eligible is None else chosen & eligible.to(device)


def choose_with_replacement(counts: Tensor, channels: int, generator: torch.Generator) -> Tensor:
    """Sample channels with replacement, as the released code does.

    Args:
        counts: Samples of each person, [B]; at most `channels` count.
        channels: Number of channels.
        generator: For the samples.

    Returns:
        [B, channels] bool, True: sampled at least once.
    """
    shape = (len(counts), channels)
    draws = torch.randint(channels, shape, generator=generator, device=generator.device).to(counts.device)
    every = torch.arange(channels, device=counts.device)
    sampled = (draws[..., None] == every) & (every < counts[:, None])[..., None]  # [B, sample, channel]
    return sampled.any(dim=1)


def add_unreal(points: Tensor, channels: int, size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Add points of untrained channels, as the released code has them.

    The peak of an untrained channel may be anywhere: it is uniform over the image.

    Args:
        points: The real ones, [B, K, 2] px.
        channels: Number of all channels.
        size: (H, W) of the image.
        generator: For the added points.

    Returns:
        [B, channels, 2] px, the real ones first.
    """
    shape = (len(points), channels - points.shape[1])
    columns, rows = (extent * torch.rand(shape, generator=generator, device=generator.device) for extent in (size[1], size[0]))
    return torch.cat([points.float(), torch.stack([columns, rows], dim=-1).to(points.device)], dim=1)


def sample_joints(n: int, count: int, keypoints: int, channels: int | None, generator: torch.Generator) -> Tensor:
    """Sample joints of each person: distinct keypoints, or any channels with replacement.

    Args:
        n: Number of people.
        count: Joints of each person; of keypoints, at most K.
        keypoints: Number of keypoints, K.
        channels: Number of channels to sample from with replacement; None: the keypoints.
        generator: For the samples.

    Returns:
        [n, count] int.
    """
    device = generator.device
    if channels is not None:
        return torch.randint(channels, (n, count), generator=generator, device=device)
    return torch.rand(n, keypoints, generator=generator, device=device).argsort(dim=1)[:, :count]
