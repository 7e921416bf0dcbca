"""What a sensor sends: events and triggers as columns, and frames."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Events:
    """Brightness changes, one per index, in the order in which the sensor sent them.

    Attributes:
        t: int64 [N], ns since the start of the sensor's clock, not decreasing.
        x: uint16 [N], column, 0 at the left.
        y: uint16 [N], row, 0 at the top.
        p: uint8 [N], polarity, 1 for brighter (ON), 0 for darker (OFF).
    """

    t: NDArray[np.int64]
    x: NDArray[np.uint16]
    y: NDArray[np.uint16]
    p: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.t)

    def __getitem__(self, index: slice) -> Events:
        """Return the events of a range of indices, without a copy."""
        return Events(self.t[index], self.x[index], self.y[index], self.p[index])

    def shifted(self, offset_ns: int) -> Events:
        """Return the same events, each later by an offset."""
        return Events(self.t + offset_ns, self.x, self.y, self.p)

    @classmethod
    def concatenate(cls, parts: Iterable[Events]) -> Events:
        """Return the events of parts that follow each other in time.

        Example:
            >>> one = Events(np.array([5]), np.uint16([3]), np.uint16([2]), np.uint8([1]))
            >>> Events.concatenate([one, Events.empty(), one.shifted(4)]).t.tolist()
            [5, 9]
        """
        parts = list(parts) or [cls.empty()]
        return cls(
            np.concatenate([part.t for part in parts]),
            np.concatenate([part.x for part in parts]),
            np.concatenate([part.y for part in parts]),
            np.concatenate([part.p for part in parts]),
        )

    @classmethod
    def empty(cls) -> Events:
        """Return no events."""
        return cls.uninitialized(0)

    @classmethod
    def uninitialized(cls, count: int) -> Events:
        """Return room for events, to be filled in place."""
        return cls(
            np.empty(count, np.int64),
            np.empty(count, np.uint16),
            np.empty(count, np.uint16),
            np.empty(count, np.uint8),
        )


@dataclass(frozen=True, slots=True)
class Triggers:
    """Edges on the trigger inputs of a sensor, on the clock of its events.

    Attributes:
        t: int64 [N], ns since the start of the sensor's clock, not decreasing.
        id: uint8 [N], trigger channel.
        edge: uint8 [N], 1 for rising, 0 for falling.
    """

    t: NDArray[np.int64]
    id: NDArray[np.uint8]
    edge: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.t)

    def __getitem__(self, index: slice) -> Triggers:
        """Return the triggers of a range of indices, without a copy."""
        return Triggers(self.t[index], self.id[index], self.edge[index])

    def shifted(self, offset_ns: int) -> Triggers:
        """Return the same triggers, each later by an offset."""
        return Triggers(self.t + offset_ns, self.id, self.edge)

    @classmethod
    def concatenate(cls, parts: Iterable[Triggers]) -> Triggers:
        """Return the triggers of parts that follow each other in time."""
        parts = list(parts) or [cls.empty()]
        return cls(
            np.concatenate([part.t for part in parts]),
            np.concatenate([part.id for part in parts]),
            np.concatenate([part.edge for part in parts]),
        )

    @classmethod
    def empty(cls) -> Triggers:
        """Return no triggers."""
        return cls.uninitialized(0)

    @classmethod
    def uninitialized(cls, count: int) -> Triggers:
        """Return room for triggers, to be filled in place."""
        return cls(np.empty(count, np.int64), np.empty(count, np.uint8), np.empty(count, np.uint8))


@dataclass(frozen=True, slots=True)
class Frame:
    """An image of a frame camera, which may be a part of the event sensor.

    Attributes:
        t: ns, the middle of the exposure where the camera reports it; on the clock of the events
            where an event camera or a recording sends it, in ROS time once it is a message.
        pixels: uint8 [height, width] grey or [height, width, 3] RGB.
    """

    t: int
    pixels: NDArray[np.uint8]
