"""Parts of the sensor: rectangles of pixels, and squares that are turned with a face."""

from __future__ import annotations

import cmath
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle on the sensor, in pixels; it may reach over the sensor's edge.

    Attributes:
        x: first column.
        y: first row.
        width: number of columns, at least 1.
        height: number of rows, at least 1.
    """

    x: int
    y: int
    width: int
    height: int

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise ValueError(
                f'a region needs at least one pixel, not {self.width} x {self.height}'
            )

    @property
    def area(self) -> float:
        """Sensor pixels that it covers."""
        return self.width * self.height

    def to_shares(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return where points of the sensor are in the region, as shares of width and height.

        Args:
            points: float [..., 2], column and row, px.

        Returns:
            float64 [..., 2], column and row, 0 to 1 inside.
        """
        size = np.array([self.width, self.height], np.float64)
        return (np.asarray(points, np.float64) - np.array([self.x, self.y], np.float64)) / size

    def to_pixels(self, shares: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return where points of the region are on the sensor, float64 [..., 2], px.

        Args:
            shares: float [..., 2], column and row as shares of width and height.
        """
        size = np.array([self.width, self.height], np.float64)
        return np.asarray(shares, np.float64) * size + np.array([self.x, self.y], np.float64)

    def bounds(self) -> Region:
        """Return the region itself, as an aligned region returns its bounds."""
        return self


@dataclass(frozen=True, slots=True)
class AlignedRegion:
    """A square on the sensor that is turned with the face in it.

    Pixel (x, y) reaches from x to x + 1 and from y to y + 1.

    Attributes:
        x: column of its centre, px.
        y: row of its centre, px.
        side: length of a side, px, above 0.
        roll: by which it is turned, from columns towards rows (clockwise in the picture), rad.
    """

    x: float
    y: float
    side: float
    roll: float = 0.0

    def __post_init__(self) -> None:
        if not self.side > 0:
            raise ValueError(f'an aligned region needs a side above 0, not {self.side}')

    @property
    def area(self) -> float:
        """Sensor pixels that it covers."""
        return self.side**2

    def to_shares(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return where points of the sensor are in the region, as shares of its side.

        Args:
            points: float [..., 2], column and row, px.

        Returns:
            float64 [..., 2], column and row, 0 to 1 inside.
        """
        moved = to_complex(points) - complex(self.x, self.y)
        return to_points(moved * cmath.rect(1 / self.side, -self.roll) + _MIDDLE)

    def to_pixels(self, shares: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return where points of the region are on the sensor, float64 [..., 2], px.

        Args:
            shares: float [..., 2], column and row as shares of the side.
        """
        turned = (to_complex(shares) - _MIDDLE) * cmath.rect(self.side, self.roll)
        return to_points(turned + complex(self.x, self.y))

    def bounds(self) -> Region:
        """Return the smallest rectangle of whole pixels around the region."""
        corners = self.to_pixels(np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]))
        # An edge on a pixel's border must not take in the next pixel because of rounding.
        low = np.floor(corners.min(axis=0) + 1e-6).astype(int)
        high = np.ceil(corners.max(axis=0) - 1e-6).astype(int)
        return Region(int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1]))


def holds(region: Region | AlignedRegion, points: NDArray[np.floating]) -> bool:
    """Return whether a region holds all of some points of the sensor, float [..., 2], px."""
    shares = region.to_shares(points)
    return bool(((shares >= 0) & (shares <= 1)).all())


_MIDDLE: Final = 0.5 + 0.5j


def to_complex(points: NDArray[np.floating]) -> NDArray[np.complex128]:
    """Return columns plus i times rows, complex128 [...], of points, float [..., 2].

    A product of such numbers turns and scales.
    """
    return np.ascontiguousarray(points, np.float64).view(np.complex128)[..., 0]


def to_points(numbers: NDArray[np.complex128]) -> NDArray[np.float64]:
    """Return columns and rows, float64 [..., 2], of what `to_complex` gives."""
    return np.asarray(numbers)[..., None].view(np.float64)
