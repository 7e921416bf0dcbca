"""The simplest model: a logistic regression on event counts by region."""

from __future__ import annotations

from typing import Final

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

REGIONS: Final = 8
"""Regions per side of the grid."""

TAU_MS: Final = 150.0
"""Time constant of the counts: an onset takes 70 to 325 ms."""


class RegionCounts(nn.Module):
    """Leaky event counts of each region and polarity, into one logistic regression per unit.

    Args:
        configuration: of the spiking network: grid, slices and compression.
    """

    def __init__(self, configuration: SpikingConfiguration | None = None) -> None:
        super().__init__()
        self.configuration = configuration or SpikingConfiguration()
        features = 2 * REGIONS**2
        self.norm = nn.BatchNorm1d(features)
        self.readout = nn.Linear(features, 2 * len(CODES))
        nn.init.constant_(self.readout.bias, -3.0)

    def decays(self) -> tuple[float, ...]:
        """Return the factor of the counts per slice."""
        return (1 - self.configuration.slice_ns * 1e-6 / TAU_MS,)

    def initial_state(self, batch: int = 1) -> NetworkState:
        """Return counts of 0, float32 [B, 1, 2, REGIONS, REGIONS]."""
        return (torch.zeros(batch, 1, 2, REGIONS, REGIONS),)

    def encode(self, counts: Tensor, pixels_per_cell: Tensor | float) -> Tensor:
        """Return events per sensor pixel of each region, float32 [T, B, 2, REGIONS, REGIONS].

        Args:
            counts: float32 [T, B, 2, side, side], pooled as of `clips.make_batch`; or traces.
            pixels_per_cell: sensor pixels per cell of the grid.
        """
        density = counts / (self.configuration.pool**2 * pixels_per_cell)
        return functional.adaptive_avg_pool2d(density.flatten(0, 1), REGIONS).view(
            *counts.shape[:3], REGIONS, REGIONS
        )

    def forward(
        self, encoded: Tensor, state: NetworkState, memoryless: bool = False
    ) -> tuple[Tensor, NetworkState]:
        """Run whole sequences; arguments and results as of `SpikingNetwork.forward`."""
        if memoryless:
            return run_memoryless(self, encoded, state)
        c = self.configuration
        (count,) = state
        features, count = trace_sequence(encoded, count, self.decays(), c.semi_saturation)
        normal = self.norm(features.flatten(0, 1).flatten(1)).unflatten(0, features.shape[:2])
        result: Tensor = self.readout(normal)
        return result.view(*result.shape[:-1], len(CODES), 2), (count,)
