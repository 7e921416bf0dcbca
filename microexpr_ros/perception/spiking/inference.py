"""One step of the spiking network as the classifier needs it: traces to intensities."""

from __future__ import annotations

import copy

import torch
from norse.torch import LIFBoxFeedForwardState
from torch import Tensor, nn

from microexpr_ros.perception.spiking.network import SpikingNetwork, intensities


class SpikingInference(nn.Module):
    """One step and squared sigmoid of a deployed network.

    Inputs: compressed traces float32 [1, 2 N, h, w], of `RegionTraces`; the arrays of the state
    without its traces.
    Outputs: intensities float32 [1, 18, 2], 0 to 1, of the subject's left and right; with a
    decision, the probability that each unit is the main one of a movement, float32 [1, 18]; and
    the new state's arrays.

    Args:
        network: a deployed network.
    """

    def __init__(self, network: SpikingNetwork) -> None:
        super().__init__()
        self.network = network.eval()

    def inputs(self) -> tuple[Tensor, ...]:
        """Return the input of a slice without events, and the state at rest."""
        traces, *state = self.network.initial_state()
        return traces.flatten(1, 2), *state

    def forward(self, compressed: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """Advance by one slice."""
        logits, after = self.network.step_compressed(compressed, state)
        decided = [torch.sigmoid(logits[..., 2])] if self.network.configuration.decision else []
        return intensities(logits[..., :2]), *decided, *after


def simplify_cells(network: SpikingNetwork) -> SpikingNetwork:
    """Return a deployed network that gives the same, to the last bit, in fewer operations."""
    result, c = copy.deepcopy(network), network.configuration
    result.cells = nn.ModuleList(
        _Cell(c.leak(layer), c.reset == 'subtract') for layer in range(len(network.cells))
    )
    return result


class _Cell(nn.Module):
    """Norse's LIFBoxCell with the threshold 1, and 0 as the potential of leak and reset.

    Args:
        leak: time step over the membrane's time constant.
        subtract: a spike takes the threshold from the voltage, not all of it.
    """

    def __init__(self, leak: float, subtract: bool) -> None:
        super().__init__()
        self._leak, self._subtract = leak, subtract

    def forward(
        self, current: Tensor, state: LIFBoxFeedForwardState
    ) -> tuple[Tensor, LIFBoxFeedForwardState]:
        voltage = state.v + self._leak * (current - state.v)
        spikes = (voltage > 1).to(voltage.dtype)
        after = voltage - spikes if self._subtract else voltage * (1 - spikes)
        return spikes, LIFBoxFeedForwardState(v=after)
