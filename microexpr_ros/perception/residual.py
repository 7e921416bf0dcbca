"""Residual blocks."""

from __future__ import annotations

from torch import Tensor, nn


class Residual(nn.Module):
    """Adds what a module makes of its input to it (He et al., CVPR 2016).

    Args:
        added: makes an output of the size of its input.
    """

    def __init__(self, added: nn.Module) -> None:
        super().__init__()
        self.added = added

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum."""
        out: Tensor = x + self.added(x)
        return out
