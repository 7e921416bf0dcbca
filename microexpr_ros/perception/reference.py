"""Networks as torch runs them: the reference that every other runtime is measured against."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from microexpr_ros.perception.reconstruction.network import ConditionalVae
from microexpr_ros.perception.spiking.network import SpikingNetwork, intensities


class Step(nn.Module):
    """Counts to intensities: encoding, one step, squared sigmoid.

    Inputs: counts uint8 [1, 2, grid, grid], pixels per cell float32 [1], the state's arrays.
    Outputs: intensities float32 [1, 18, 2], 0 to 1, of the subject's left and right, and the new
    state's arrays.
    """

    def __init__(self, network: SpikingNetwork) -> None:
        super().__init__()
        self.network = network

    def inputs(self) -> tuple[Tensor, ...]:
        """Return a slice without events, and the state at rest."""
        grid = self.network.configuration.grid
        counts = torch.zeros(1, 2, grid, grid, dtype=torch.uint8)
        return counts, torch.ones(1), *self.network.initial_state()

    def forward(
        self, counts: Tensor, pixels_per_cell: Tensor, *state: Tensor
    ) -> tuple[Tensor, ...]:
        """Advance by one slice."""
        encoded = self.network.encode(counts, pixels_per_cell)
        logits, after = self.network.step(encoded, state)
        return intensities(logits), *after


class Image(nn.Module):
    """Condition, events not yet compressed, to image.

    Inputs: signed events per sensor pixel float32 [1, channels - 2, grid, grid], and frame and
    mask float32 [1, 2, grid, grid]. Output: image float32 [1, 1, grid, grid], 0 to 1.
    """

    def __init__(self, network: ConditionalVae) -> None:
        super().__init__()
        self.network = network

    def inputs(self) -> tuple[Tensor, ...]:
        """Return a condition without events and without a frame."""
        c = self.network.configuration
        events = torch.zeros(1, c.channels - 2, c.grid, c.grid)
        return events, torch.zeros(1, 2, c.grid, c.grid)

    def forward(self, events: Tensor, picture: Tensor) -> tuple[Tensor]:
        """Paint one image."""
        compressed = self.network.configuration.compress(events)
        return (self.network(torch.cat([compressed, picture], 1)),)


class Reference:
    """A network that torch runs: arrays in, arrays out, like `runtime.Runtime`.

    Args:
        module: `Step` or `Image` of a deployed network.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = module.eval()

    @torch.inference_mode()
    def __call__(self, *inputs: NDArray[np.generic]) -> list[NDArray[np.float32]]:
        """Run the network once."""
        # Copied, as messages give arrays that must not be written to.
        return [output.numpy() for output in self._module(*map(torch.tensor, inputs))]
