"""Leaky integrate-and-fire neurons over whole sequences, for training.

Norse steps its cells one slice at a time, with several passes over memory per step; over a
hundred slices that is half of the training time. Here a sequence is one pass forward and one
backward. Results are those of `BurstCell`. For single spikes, gradients are those of
`norse.torch.LIFBoxCell` with the triangular surrogate, no leak or reset potential, and either of
its resets.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor


def lif_sequence(
    current: Tensor,
    voltage: Tensor,
    leak: float,
    width: float,
    subtract: bool = False,
    burst: int = 1,
) -> tuple[Tensor, Tensor]:
    """Run neurons of threshold 1 / `burst` over a sequence.

    Args:
        current: float32 [T, ...].
        voltage: float32 [...], membrane voltages at the start.
        leak: time step over the membrane's time constant, at most 1.
        width: height of the surrogate gradient: from the threshold to a voltage of 1; it falls
            to 0 at a distance of 1 from there.
        subtract: a spike takes the threshold from the voltage, not all of it; needed for bursts.
        burst: most spikes in a slice.

    Returns:
        Spikes per slice as a share of `burst`, float32 [T, ...], 0 to 1, and the voltages at the
        end, float32 [...].
    """
    spikes, after = _LifSequence.apply(  # type: ignore[no-untyped-call]
        current, voltage, leak, width, subtract, burst
    )
    return spikes, after


class _LifSequence(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        current: Tensor,
        voltage: Tensor,
        leak: float,
        width: float,
        subtract: bool,
        burst: int,
    ) -> tuple[Tensor, Tensor]:
        before_reset = torch.empty_like(current, memory_format=torch.contiguous_format)
        spikes = torch.empty_like(before_reset)
        after = voltage.clone(memory_format=torch.contiguous_format)
        _forward(
            _rows(current),
            _flat(after),
            np.float32(leak),
            subtract,
            np.float32(burst),
            _rows(before_reset),
            _rows(spikes),
        )
        ctx.save_for_backward(before_reset)
        ctx.constants = leak, width, subtract, burst
        return spikes, after

    @staticmethod
    def backward(
        ctx: Any, grad_spikes: Tensor, grad_after: Tensor
    ) -> tuple[Tensor, Tensor, None, None, None, None]:
        (before_reset,) = ctx.saved_tensors
        leak, width, subtract, burst = ctx.constants
        grad_current = torch.empty_like(before_reset)
        grad_voltage = grad_after.clone(memory_format=torch.contiguous_format)
        _backward(
            _rows(before_reset),
            _rows(grad_spikes),
            np.float32(leak),
            np.float32(width),
            subtract,
            np.float32(1 / burst),
            _flat(grad_voltage),
            _rows(grad_current),
        )
        return grad_current, grad_voltage, None, None, None, None


def _rows(x: Tensor) -> Any:
    return x.detach().contiguous().view(len(x), -1).numpy()


def _flat(x: Tensor) -> Any:
    return x.detach().view(-1).numpy()


@njit(nogil=True, cache=True)
def _forward(current, voltage, leak, subtract, burst, before_reset, spikes):  # type: ignore[no-untyped-def]
    one, zero = np.float32(1), np.float32(0)
    for t in range(current.shape[0]):
        for i in range(current.shape[1]):
            v = voltage[i] + leak * (current[t, i] - voltage[i])
            before_reset[t, i] = v
            # A voltage at the threshold does not fire yet, as with Norse.
            spikes[t, i] = min(max(np.ceil(v * burst) - one, zero), burst) / burst
            if subtract:
                voltage[i] = v - spikes[t, i]
            else:
                voltage[i] = zero if v > one else v


@njit(nogil=True, cache=True)
def _backward(  # type: ignore[no-untyped-def]
    before_reset, grad_spikes, leak, width, subtract, threshold, grad_voltage, grad_current
):
    one, zero = np.float32(1), np.float32(0)
    for t in range(before_reset.shape[0] - 1, -1, -1):
        for i in range(before_reset.shape[1]):
            v = before_reset[t, i]
            later = grad_voltage[i]
            outside = max(threshold - v, v - one, zero)
            slope = width * max(one - outside, zero)
            if subtract:
                now = later + (grad_spikes[t, i] - later) * slope
            else:
                # The reset takes the voltage with it: (1 - spike) * v depends on v twice.
                now = (zero if v > one else later) + (grad_spikes[t, i] - later * v) * slope
            grad_current[t, i] = leak * now
            grad_voltage[i] = (one - leak) * now
