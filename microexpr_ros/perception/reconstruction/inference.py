"""One picture of the reconstruction network as the reconstructor needs it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from microexpr_ros.perception.reconstruction.configuration import (
    PICTURES,
    ReconstructionConfiguration,
)
from microexpr_ros.perception.reconstruction.network import ConditionalVae, compress


class ReconstructionInference(nn.Module):
    """Compression of the events, and the picture of the most probable latent variables.

    Inputs: events float32 [1, event_channels, grid, grid] and pictures float32
    [1, PICTURES, grid, grid], of `reconstructor.network_inputs`. Outputs: image float32
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
        return events, torch.zeros(1, PICTURES, c.grid, c.grid)

    def forward(self, events: Tensor, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Make one picture."""
        found = self.network(condition_of(events, pictures, self.network.configuration))
        return found.image.clamp(0, 1), found.scale


def condition_of(
    events: Tensor, pictures: Tensor, configuration: ReconstructionConfiguration
) -> Tensor:
    """Return what the network is conditioned on, float32 [B, channels, grid, grid].

    Args:
        events: float32 [B, event_channels, grid, grid], the last the change of log light since
            the frame, the others events per sensor pixel.
        pictures: float32 [B, PICTURES, grid, grid].
        configuration: of the network.
    """
    counted = compress(events[:, :-1], configuration.gain)
    return torch.cat([counted, events[:, -1:].clamp(-3, 3), pictures], 1)
