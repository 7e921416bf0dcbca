"""A rectangle of sensor pixels."""

from __future__ import annotations

from dataclasses import dataclass


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
