"""The twin of the spiking network that does not spike: convolutions and a gated recurrent unit."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from microexpr_ros.facs import CODES
from microexpr_ros.perception.spiking.configuration import SpikingConfiguration
from microexpr_ros.perception.spiking.network import (
    NetworkState,
    run_memoryless,
)
from microexpr_ros.perception.spiking.traces import trace_sequence


class RecurrentTwin(nn.Module):
    """As many layers and parameters as the spiking network of the same configuration.

    Its input is the same traces. Its convolutions are those of the spiking network, with
    rectified values in place of spikes and without state. A gated recurrent unit (Cho et al.,
    2014) replaces the leaky integrators, of a size that gives the same number of parameters.

    Args:
        configuration: of the spiking network.
    """

    def __init__(self, configuration: SpikingConfiguration | None = None) -> None:
        super().__init__()
        self.configuration = c = configuration or SpikingConfiguration()
        layers: list[nn.Module] = []
        side = c.grid // c.pool
        self._shape = len(c.trace_ms), 2, side, side
        before = 2 * len(c.trace_ms)
        for channels, kernel, stride in zip(c.channels, c.kernels, c.strides, strict=True):
            layers += [
                nn.Conv2d(before, channels, kernel, stride, kernel // 2, bias=False),
                nn.BatchNorm2d(channels),
                nn.ReLU(),
            ]
            before, side = channels, (side - 1) // stride + 1
        self.convolutions = nn.Sequential(*layers)
        features = before * side**2
        units = _units(features, c)
        self.projection = nn.Linear(features, units)
        self.recurrence = nn.GRU(units, units)
        self.readout = nn.Linear(units, 2 * len(CODES))
        nn.init.constant_(self.readout.bias, -3.0)
        if c.decision:
            self.decision = nn.Linear(units, len(CODES))
            nn.init.constant_(self.decision.bias, -2.0)

    def initial_state(self, batch: int = 1) -> NetworkState:
        """Return the state of a network at rest."""
        units = self.recurrence.hidden_size
        return torch.zeros(batch, *self._shape), torch.zeros(batch, units)

    def encode(self, counts: Tensor, pixels_per_cell: Tensor | float) -> Tensor:
        """Turn counts into input as the spiking network does; counts are pooled already."""
        return counts / (self.configuration.pool**2 * pixels_per_cell)

    def forward(
        self, encoded: Tensor, state: NetworkState, memoryless: bool = False
    ) -> tuple[Tensor, NetworkState]:
        """Run whole sequences; arguments and results as of `SpikingNetwork.forward`."""
        if memoryless:
            return run_memoryless(self, encoded, state)
        c, steps = self.configuration, len(encoded)
        traces, before = state
        inputs, traces = trace_sequence(encoded, traces, c.decays(), c.semi_saturation)
        flat = inputs.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        drive = functional.relu(self.projection(self.convolutions(flat).flatten(1)))
        values, last = self.recurrence(drive.view(steps, -1, drive.shape[-1]), before[None])
        features = functional.relu(values)
        result: Tensor = self.readout(features)
        result = result.view(*result.shape[:-1], len(CODES), 2)
        if c.decision:
            # The recurrence gathers evidence already.
            result = torch.cat([result, self.decision(features)[..., None]], -1)
        return result, (traces, last[0])


def _units(features: int, c: SpikingConfiguration) -> int:
    # Of the spiking network: projection with bias and leak, readout and decision.
    # Of the twin with n units: projection, readout and decision, and 6 n (n + 1) for the gates.
    linear = features + 1 + (3 if c.decision else 2) * len(CODES)
    spent = c.integrators * (linear + 1)
    return round((math.sqrt((linear + 6) ** 2 + 24 * spent) - linear - 6) / 12)
