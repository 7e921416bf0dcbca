"""Leaky integrate-and-fire neurons that may spike several times in a step, of Norse's parts."""

from __future__ import annotations

import torch
from norse.torch import LIFBoxFeedForwardState, LIFBoxParameters
from norse.torch.functional.lif_box import lif_box_feed_forward_step
from norse.torch.functional.reset import reset_subtract, reset_value
from torch import Tensor, nn


class BurstCell(nn.Module):
    """Neurons of which each spike is one in `burst`; single spikes are Norse's `LIFBoxCell`.

    With the threshold at 1 / `burst` and a reset that subtracts it, a neuron spikes as often in a
    step as its voltage holds the threshold, but at most `burst` times. What comes next sees the
    number of spikes: on hardware spikes with a payload, or so many single ones, as what they add
    to a voltage is the same (Luo et al., Integer-valued training and spike-driven inference, ECCV
    2024).

    Args:
        burst: most spikes in a step.
        tau_s: the membrane's time constant, s.
        step_s: length of a step, s.
        subtract: a spike takes the threshold from the voltage, not all of it.
        surrogate_width: height of Norse's triangular surrogate gradient.
    """

    def __init__(
        self, burst: int, tau_s: float, step_s: float, subtract: bool, surrogate_width: float
    ) -> None:
        super().__init__()
        self.burst, self.step_s = burst, step_s
        self.parameters_of_norse = LIFBoxParameters(
            tau_mem_inv=torch.tensor(1 / tau_s),
            v_th=torch.tensor(1 / burst),
            method='triangle',
            alpha=surrogate_width,
            reset_method=reset_subtract if subtract else reset_value,
        )

    def forward(
        self, current: Tensor, state: LIFBoxFeedForwardState
    ) -> tuple[Tensor, LIFBoxFeedForwardState]:
        """Advance by one step.

        Args:
            current: float32 [...].
            state: voltages, float32 [...].

        Returns:
            Spikes as a share of `burst`, float32 [...], 0 to 1, and the new voltages.
        """
        p = self.parameters_of_norse
        spikes, state = lif_box_feed_forward_step(current, state, p, self.step_s)
        for _ in range(self.burst - 1):
            # What is above the threshold still, fires again: this takes no time.
            again, state = lif_box_feed_forward_step(current, state, p, 0.0)
            spikes = spikes + again
        return spikes / self.burst, state
