"""One image of the reconstruction network as the reconstructor needs it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from microexpr_ros.perception.reconstruction.configuration import ReconstructionConfiguration
from microexpr_ros.perception.reconstruction.network import ConditionalVae, compress


class ReconstructionInference(nn.Module):
    """Compression of the events, and the image of the prior's mean.

    Inputs: signed events per sensor pixel float32 [1, channels - 2, grid, grid], and frame and
    mask float32 [1, 2, grid, grid]. Output: image float32 [1, 1, grid, grid], 0 to 1.

    Args:
        network: a deployed network.
    """

    def __init__(self, network: ConditionalVae) -> None:
        super().__init__()
        self.network: ConditionalVae = network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def inputs(self) -> tuple[Tensor, ...]:
        """Return a condition without events and without a frame."""
        c = self.network.configuration
        events = torch.zeros(1, c.channels - 2, c.grid, c.grid)
        return events, torch.zeros(1, 2, c.grid, c.grid)

    def forward(self, events: Tensor, picture: Tensor) -> tuple[Tensor]:
        """Paint one image."""
        return (self.network(condition_of(events, picture, self.network.configuration)),)


def condition_of(
    events: Tensor, picture: Tensor, configuration: ReconstructionConfiguration
) -> Tensor:
    """Return what the network is conditioned on, float32 [B, channels, grid, grid].

    Args:
        events: float32 [B, channels - 2, grid, grid], events per sensor pixel.
        picture: float32 [B, 2, grid, grid], frame and mask.
        configuration: of the network.
    """
    return torch.cat([compress(events, configuration.gain), picture], 1)
