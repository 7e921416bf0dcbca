"""The two networks of the face tracker: a detector, and a refiner of landmarks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from microexpr_ros.perception.faces.configuration import FaceConfiguration
from microexpr_ros.perception.faces.traces import CHANNELS, POOLED
from microexpr_ros.perception.residual import Residual


class FaceDetector(nn.Module):
    """Where faces are, roughly.

    Input: float32 [B, CHANNELS, POOLED, POOLED]. Output: float32 [B, 5, POOLED / 4, POOLED / 4]:
    logit that a face's region has its centre here, its column and row from the middle of the
    place in places, logarithm of its side over that of four places, roll in rad.
    """

    def __init__(self, c: FaceConfiguration) -> None:
        super().__init__()
        fine, middle, coarse = c.detector
        self.down = nn.Sequential(_conv(CHANNELS, fine, 2), _conv(fine, middle, 2))
        self.around = nn.Sequential(
            _conv(middle, coarse, 2), _conv(coarse, coarse), _conv(coarse, coarse)
        )
        self.up = nn.Sequential(
            nn.Conv2d(coarse, middle, 1), nn.Upsample(scale_factor=2, mode='nearest')
        )
        last = nn.Conv2d(middle, 5, 1)
        # Most places have no face; learning begins with that.
        with torch.no_grad():
            last.get_parameter('bias')[0] = -4
        self.head = nn.Sequential(_conv(middle, middle), last)

    def forward(self, pooled: Tensor) -> Tensor:
        """Return the map of faces."""
        near = self.down(pooled)
        out: Tensor = self.head(near + self.up(self.around(near)))
        return out

    def inputs(self) -> tuple[Tensor, ...]:
        """Return a sensor without events."""
        return (torch.zeros(1, CHANNELS, POOLED, POOLED),)


class FaceRefiner(nn.Module):
    """Where the landmarks are in a crop.

    Input: float32 [B, CHANNELS, crop, crop]. Output: float32 [B, 16]: column and row of the five
    landmarks from `landmarks.PLACES` in the assumed region, in distances between its eyes;
    logarithms of their errors (one sigma, the same unit); logit that it is a face.
    """

    def __init__(self, c: FaceConfiguration) -> None:
        super().__init__()
        a, b, d, e = c.refiner
        self.first = nn.Sequential(_conv(CHANNELS, a, 2, 5), _conv(a, b, 2))
        quarter, eighth, sixteenth = c.blocks
        self.second = _residuals(b, quarter)
        self.third = _conv(b, d, 2)
        self.fourth = _residuals(d, eighth)
        self.fifth = nn.Sequential(_conv(d, e, 2), _residuals(e, sixteenth))
        self._crop = c.crop
        cells = (c.crop // 16) ** 2
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(e * cells, c.hidden), nn.ReLU(), nn.Linear(c.hidden, 16)
        )

    def forward(self, crop: Tensor) -> Tensor:
        """Return landmarks, errors and logit."""
        x = self.third(self.second(self.first(crop)))
        out: Tensor = self.head(self.fifth(self.fourth(x)))
        return out

    def inputs(self) -> tuple[Tensor, ...]:
        """Return a crop without events."""
        return (torch.zeros(1, CHANNELS, self._crop, self._crop),)


class FaceNetworks(nn.Module):
    """Both networks, which are trained and kept together."""

    def __init__(self, configuration: FaceConfiguration) -> None:
        super().__init__()
        self.configuration = configuration
        self.detector = FaceDetector(configuration)
        self.refiner = FaceRefiner(configuration)


def _residuals(channels: int, number: int) -> nn.Sequential:
    return nn.Sequential(*(Residual(_conv(channels, channels)) for _ in range(number)))


def _conv(before: int, after: int, stride: int = 1, kernel: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(),
    )
