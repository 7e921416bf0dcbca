"""The interface of cameras: they are read in batches, may be lost, and are closed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.events import Events, Frame, Triggers

if TYPE_CHECKING:
    from typing_extensions import Self


class CameraAbsentError(MicroexprError):
    """The camera is not connected, or cannot be opened now; trying again can help."""


class CameraLostError(MicroexprError):
    """The camera was open and no longer answers."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Data that a camera sent since it was last read.

    Attributes:
        events: in order of time.
        triggers: in order of time.
        frames: in order of time.
        arrival_ns: host time at which the newest data had arrived, ns since 1970.
        lost: number of overflows of the buffers of camera and driver, each of which lost data; of
            a recording, the number of events outside the sensor.
        held: events and triggers that were out of order and got the newest time before them.
        lag_ns: how long the oldest data waited to be read; of a recording or a simulated camera,
            how late the data is.
        rate: sensor time per host time; not 1 only where a recording stands in for a camera and is
            played faster or slower.
    """

    events: Events = field(default_factory=Events.empty)
    triggers: Triggers = field(default_factory=Triggers.empty)
    frames: tuple[Frame, ...] = ()
    arrival_ns: int = 0
    lost: int = 0
    lag_ns: int = 0
    held: int = 0
    rate: float = 1.0

    @property
    def newest_ns(self) -> int | None:
        """Sensor time of the newest data, None if there is none."""
        return max(
            (
                *(int(part.t[-1]) for part in (self.events, self.triggers) if len(part)),
                *(frame.t for frame in self.frames),
            ),
            default=None,
        )

    def host_ns(self, t_ns: int) -> int:
        """Return the host time at which data of a sensor time in this batch had arrived.

        Data that is older than the newest is taken to have arrived earlier by the same time, so
        that all packets of a batch give the same offset of the clocks. At another rate that time
        is shorter or longer: the stamps of two batches would overlap.
        """
        newest_ns = self.newest_ns
        return self.arrival_ns - (
            0 if newest_ns is None else round((newest_ns - t_ns) / self.rate)
        )


class Camera(ABC):
    """A camera that is connected. Read it from one thread.

    Attributes:
        model: its name, for people.
        serial: its serial number.
        height: rows of the sensor.
        width: columns of the sensor.
        ended: whether it will send nothing more, as at the end of a recording.
        limits: what its events cannot show, for people; empty for a camera that sees events.
    """

    model: str
    serial: str
    height: int
    width: int
    ended: bool = False
    limits: str = ''

    @abstractmethod
    def read(self, timeout_s: float) -> Batch:
        """Return the data since the last call; wait for it up to a time.

        Times are on the sensor's clock. They do not decrease from batch to batch, unless the
        sensor is faulty or its clock is set back; `in_order` handles both.

        Raises:
            CameraLostError: The camera no longer answers.
        """

    @abstractmethod
    def close(self) -> None:
        """Release the camera; closing it again does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
