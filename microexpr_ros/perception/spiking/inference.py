"""One step of the spiking network as the classifier needs it: traces to intensities."""

from __future__ import annotations

import copy
from dataclasses import replace

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


@torch.no_grad()
def unit_convolutions(network: SpikingNetwork) -> list[nn.Conv2d]:
    """Return convolutions that give neurons of threshold 1 their current, of spikes of 1 each.

    That current, and the input that a layer adds, are linear in the layer's input.

    Args:
        network: a deployed network whose neurons spike.

    Returns:
        One for each spiking layer; the first one takes traces.
    """
    c, found = network.configuration, []
    for layer, own in enumerate(network.convolutions):
        assert isinstance(own, nn.Conv2d)
        assert own.bias is not None
        weight, bias = own.weight.clone(), own.bias.clone()
        if c.adds_input(layer):
            middle, channels = c.kernels[layer] // 2, torch.arange(c.channels[layer])
            weight[channels, channels, middle, middle] += 1
        if layer > 0:
            weight /= c.burst
        if c.drive == 'rate':
            # As `current_for_rate`, of thresholds of 1 / `burst`.
            factor = c.burst / c.leak(layer) - 1
            weight, bias = factor * weight, 1 + factor * bias
        else:
            weight, bias = c.burst * weight, c.burst * bias
        convolution = copy.deepcopy(own)
        convolution.load_state_dict({'weight': weight, 'bias': bias})
        found.append(convolution)
    return found


@torch.no_grad()
def simplify(network: SpikingNetwork) -> SpikingNetwork:
    """Return a deployed network that gives the same, but for rounding, in fewer operations.

    Its voltages are in thresholds, and its layers give each other numbers of spikes.
    """
    c = network.configuration
    if not c.spikes:
        return network
    plain = replace(c, drive='current', residual=False)
    result = SpikingNetwork(plain, False, network.traced, network.direct)
    result.load_state_dict(network.state_dict())
    result.convolutions = nn.ModuleList(unit_convolutions(network))
    for layer, convolution in enumerate(result.convolutions):
        for values in convolution.parameters():
            values.mul_(c.leak(layer))
    result.cells = nn.ModuleList(
        _Cell(1 - c.leak(layer), c.reset == 'subtract', c.burst)
        for layer in range(len(c.channels))
    )
    result.projection.weight.div_(c.burst)
    return result.eval()


class _Cell(nn.Module):
    """`BurstCell` with a threshold of 1, given what a slice adds to its voltage.

    Args:
        kept: share of the voltage that is left after a slice.
        subtract: a spike takes the threshold from the voltage, not all of it.
        burst: most spikes in a slice.
    """

    def __init__(self, kept: float, subtract: bool, burst: int) -> None:
        super().__init__()
        self._kept, self._subtract, self._burst = kept, subtract, burst

    def forward(
        self, added: Tensor, state: LIFBoxFeedForwardState
    ) -> tuple[Tensor, LIFBoxFeedForwardState]:
        voltage = self._kept * state.v + added
        # At the threshold itself, Norse's neuron does not fire yet: a matter of rounding.
        spikes = voltage.floor().clamp(0, self._burst)
        after = voltage - spikes if self._subtract else voltage * (1 - spikes)
        return spikes, LIFBoxFeedForwardState(v=after)
