"""Networks that the reconstruction is compared with, of as many parameters."""

from __future__ import annotations

from itertools import pairwise
from typing import Final, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from microexpr_ros.perception.reconstruction.configuration import ReconstructionConfiguration
from microexpr_ros.perception.reconstruction.network import Picture, to_scale
from microexpr_ros.perception.residual import Residual

PictureModel = Literal['unet', 'recurrent']
"""`PlainUnet`, `RecurrentPainter`."""

WINDOW_SLICES: Final = 4
"""Slices that the recurrent network sees at once: from one target of a clip to the next."""

_RECURRENT_CHANNELS: Final = (16, 32, 48)

RecurrentState = tuple[Tensor, ...]
"""What each level remembers, float32 [B, channels, h, w], finest first."""


class PlainUnet(nn.Module):
    """A U-Net (Ronneberger et al., MICCAI 2015) on the condition of the autoencoder.

    It has the same layers, but neither latent variables nor a mixture: it paints each pixel.

    Args:
        configuration: of the autoencoder.
    """

    def __init__(self, configuration: ReconstructionConfiguration | None = None) -> None:
        super().__init__()
        self.configuration = c = configuration or ReconstructionConfiguration()
        w = c.width
        self.fine = _convolution(c.channels, c.fine)
        self.down = nn.ModuleList(
            _convolution(before, after, 2)
            for before, after in ((c.fine, w), (w, 2 * w), (2 * w, 4 * w), (4 * w, 4 * w))
        )
        self.whole = nn.Sequential(*(_residual(4 * w) for _ in range(c.blocks)))
        self.middle = _convolution(4 * w, 4 * w)
        self.up = nn.ModuleList(
            _convolution(before, after)
            for before, after in ((8 * w, 3 * w), (5 * w, 3 * w // 2), (5 * w // 2, w))
        )
        self.unfold = nn.Sequential(nn.Conv2d(w, 4 * c.fine, 3, padding=1), nn.PixelShuffle(2))
        self.mix = _convolution(2 * c.fine, c.fine)
        self.paint = nn.Conv2d(c.fine, 2, 3, padding=1)

    def forward(self, condition: Tensor) -> Picture:
        """Return pictures; the condition is that of `ConditionalVae.forward`."""
        features = [self.fine(condition)]
        for block in self.down:
            features.append(block(features[-1]))
        x = self.middle(self.whole(features[-1]))
        for block, skip in zip(self.up, features[-2:0:-1], strict=True):
            x = functional.interpolate(x, scale_factor=2.0, mode='nearest')
            x = block(torch.cat([x, skip], 1))
        x = self.paint(self.mix(torch.cat([self.unfold(x), features[0]], 1)))
        return Picture(torch.sigmoid(x[:, :1]), to_scale(x[:, 1:]))


class RecurrentPainter(nn.Module):
    """A recurrent network on events alone, in the form of E2VID (Rebecq et al., PAMI 2021).

    Three levels of convolutions with a state each, two residual blocks, and a decoder to which the
    levels are added. Gated recurrent units replace the LSTMs, to have as many parameters as the
    autoencoder.
    """

    def __init__(self) -> None:
        super().__init__()
        channels = (8, *_RECURRENT_CHANNELS)
        pairs = list(pairwise(channels))
        self.head = _convolution(WINDOW_SLICES, channels[0], kernel=5)
        self.down = nn.ModuleList(_convolution(*pair, 2) for pair in pairs)
        self.recurrences = nn.ModuleList(_ConvGru(count) for count in _RECURRENT_CHANNELS)
        self.residual = nn.ModuleList(
            nn.Sequential(
                _convolution(channels[-1], channels[-1]),
                nn.Conv2d(channels[-1], channels[-1], 3, padding=1),
            )
            for _ in range(2)
        )
        self.up = nn.ModuleList(_convolution(after, before) for before, after in reversed(pairs))
        self.paint = nn.Conv2d(channels[0], 2, 1)

    def initial_state(self, batch: int, grid: int) -> RecurrentState:
        """Return the state of a network that has seen nothing."""
        return tuple(
            torch.zeros(batch, count, grid >> level, grid >> level)
            for level, count in enumerate(_RECURRENT_CHANNELS, start=1)
        )

    def forward(self, events: Tensor, state: RecurrentState) -> tuple[Picture, RecurrentState]:
        """Paint the picture at the end of a window.

        Args:
            events: float32 [B, WINDOW_SLICES, grid, grid], ON less OFF of each slice, of
                `network.compress`.
            state: after the window before.
        """
        x = head = self.head(events)
        states: list[Tensor] = []
        for block, recurrence, before in zip(self.down, self.recurrences, state, strict=True):
            x = recurrence(block(x), before)
            states.append(x)
        for residual in self.residual:
            x = functional.leaky_relu(x + residual(x), 0.1)
        for block, skip in zip(self.up, reversed(states), strict=True):
            x = functional.interpolate(x + skip, scale_factor=2.0, mode='bilinear')
            x = block(x)
        x = self.paint(x + head)
        return Picture(torch.sigmoid(x[:, :1]), to_scale(x[:, 1:])), tuple(states)


class _ConvGru(nn.Module):
    """A gated recurrent unit of convolutions (Ballas et al., ICLR 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gates = nn.Conv2d(2 * channels, 2 * channels, 3, padding=1)
        self.candidate = nn.Conv2d(2 * channels, channels, 3, padding=1)

    def forward(self, x: Tensor, state: Tensor) -> Tensor:
        update, reset = torch.sigmoid(self.gates(torch.cat([x, state], 1))).chunk(2, 1)
        candidate = torch.tanh(self.candidate(torch.cat([x, reset * state], 1)))
        return (1 - update) * state + update * candidate


def _residual(channels: int) -> Residual:
    """Return a residual block; training begins with nothing added."""
    added = _convolution(channels, channels)
    nn.init.zeros_(added.get_parameter('1.weight'))
    return Residual(added)


def _convolution(before: int, after: int, stride: int = 1, kernel: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(after),
        nn.LeakyReLU(0.1),
    )
