"""One picture of the reconstruction network as the reconstructor needs it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from microexpr_ros.perception.reconstruction.network import ConditionalVae


class ReconstructionInference(nn.Module):
    """The picture of the most probable latent variables.

    Inputs: events float32 [1, event_channels, grid, grid] and pictures float32
    [1, pictures, grid, grid], of `reconstructor.network_inputs`. Outputs: image float32
    [1, 1, grid, grid], 0 to 1, and the scale of its error, likewise.

    Args:
        network: a deployed network.
    """

    def __init__(self, network: ConditionalVae) -> None:
        super().__init__()
        self.network: ConditionalVae = network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def inputs(self) -> tuple[Tensor, ...]:
        """Return a condition without events and without pictures."""
        c = self.network.configuration
        events = torch.zeros(1, c.event_channels, c.grid, c.grid)
        return events, torch.zeros(1, c.pictures, c.grid, c.grid)

    def forward(self, events: Tensor, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Make one picture."""
        found = self.network(events, pictures)
        return found.image.clamp(0, 1), found.scale
