"""Leaky traces of the input: what networks are given of the slices before the newest one.

A small movement leaves a few events in many slices. They must be added up before anything that
is not linear, or it takes them for noise.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def leave(
    encoded: Tensor, traces: Tensor, decays: Sequence[float], half: float
) -> tuple[Tensor, Tensor]:
    """Add one slice to the traces.

    Args:
        encoded: float32 [B, C, h, w], events per sensor pixel.
        traces: float32 [B, N, K, h, w], of the first K channels; the others leave none.
        decays: N numbers, what a slice leaves of each trace.
        half: trace that is compressed to a half of the largest value.

    Returns:
        The traces, compressed, and behind them the channels that leave none, float32
        [B, N * K + C - K, h, w]; and the new traces.
    """
    traced = traces.shape[2]
    decay = traces.new_tensor(decays).view(-1, 1, 1, 1)
    # Not fused into one operation, which would round otherwise than the exported network does.
    now = traces * decay + encoded[:, None, :traced]
    # One event in a few pixels matters, and a flash does not drown the face.
    shares = (now / (now + half)).flatten(1, 2)
    if encoded.shape[1] == traced:
        return shares, now
    return torch.cat([shares, encoded[:, traced:]], 1), now


def leave_all(
    encoded: Tensor, traces: Tensor, decays: Sequence[float], half: float
) -> tuple[Tensor, Tensor]:
    """Add slice after slice, float32 [T, B, C, h, w]; results as of `leave`, the first stacked."""
    inputs = []
    for now in encoded.unbind():
        given, traces = leave(now, traces, decays, half)
        inputs.append(given)
    # Not stacked, which would lose the order of the memory.
    return torch.cat(inputs).view(len(inputs), *inputs[0].shape), traces
