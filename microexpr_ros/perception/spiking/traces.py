"""Leaky traces of the input: the network's view of the slices before the newest one.

A small movement leaves a few events in each of many slices. They must be summed before anything
nonlinear, which would treat them as noise.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def update_traces(
    encoded: Tensor,
    traces: Tensor,
    decays: Sequence[float],
    semi_saturation: float,
    signed: bool = False,
    adaptation: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Add one slice to the traces.

    Args:
        encoded: float32 [B, C, h, w], events per sensor pixel.
        traces: float32 [B, N, K, h, w], of the first K channels; the others leave none.
        decays: N factors of the traces per slice.
        semi_saturation: trace that is compressed to one half of the largest value.
        signed: take sum and difference of each pair of channels before they are compressed, so
            that opposite events cancel as light that comes and goes does.
        adaptation: added to `semi_saturation`, in multiples of the mean size of the trace over
            the region. Where the whole head moves, traces are far above what a small movement
            leaves, and would all be compressed to nearly the same value.

    Returns:
        The network's input, float32 [B, N * K + C - K, h, w]: the compressed traces, then the
        channels that leave none; and the new traces.
    """
    traced = traces.shape[2]
    decay = traces.new_tensor(decays).view(-1, 1, 1, 1)
    # Not fused into one operation, which would round differently from the exported network.
    after = traces * decay + encoded[:, None, :traced]
    # A few events are not lost, and a flash of many does not dominate (Naka and Rushton, 1966);
    # what is normal adapts to the region (Carandini and Heeger, 2012).
    if signed:
        off, on = after.reshape(*after.shape[:2], -1, 2, *after.shape[3:]).unbind(3)
        values = torch.cat([on - off, on + off], 2)
        size = values.abs()
    else:
        values = size = after
    half = size + semi_saturation
    if adaptation > 0:
        half = half + adaptation * size.mean((-2, -1), keepdim=True)
    compressed = (values / half).flatten(1, 2)
    if encoded.shape[1] == traced:
        return compressed, after
    return torch.cat([compressed, encoded[:, traced:]], 1), after


def trace_sequence(
    encoded: Tensor,
    traces: Tensor,
    decays: Sequence[float],
    semi_saturation: float,
    signed: bool = False,
    adaptation: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Add the slices of a sequence, one after the other.

    Args:
        encoded: float32 [T, B, C, h, w].
        traces: as of `update_traces`.
        decays: as of `update_traces`.
        semi_saturation: as of `update_traces`.
        signed: as of `update_traces`.
        adaptation: as of `update_traces`.

    Returns:
        The network's input at each slice, float32 [T, B, ...], and the traces at the end.
    """
    inputs = []
    # Plane by plane: with channels last, the innermost loops would be over two polarities.
    traces = traces.contiguous()
    for slice_ in encoded.contiguous().unbind():
        compressed, traces = update_traces(
            slice_, traces, decays, semi_saturation, signed, adaptation
        )
        inputs.append(compressed)
    # Concatenated, not stacked, which would lose the memory format.
    return torch.cat(inputs).view(len(inputs), *inputs[0].shape), traces
