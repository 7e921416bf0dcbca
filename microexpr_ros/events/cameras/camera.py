"""What every camera does: it is read in batches, it may be lost, it is closed."""

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
    """The camera is not there, or cannot be opened now; it is worth trying again."""


class CameraLostError(MicroexprError):
    """The camera was there and no longer answers."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """What a camera sent since it was read before.

    Attributes:
        events: in order of time.
        triggers: in order of time.
        frames: in order of time.
        arrival_ns: host time at which the newest of it had arrived, ns since 1970.
        lost: times that something was lost before it came here: overflows of the camera's and
            the driver's buffers; of a recording, events that lie outside the sensor.
        lag_ns: how long the oldest of it waited for being read, or how far behind its time a
            camera is that is not real.
    """

    events: Events = field(default_factory=Events.empty)
    triggers: Triggers = field(default_factory=Triggers.empty)
    frames: tuple[Frame, ...] = ()
    arrival_ns: int = 0
    lost: int = 0
    lag_ns: int = 0

    @property
    def newest_ns(self) -> int | None:
        """Sensor time of the newest of it, None if there is nothing."""
        return max(
            (
                *(int(part.t[-1]) for part in (self.events, self.triggers) if len(part)),
                *(frame.t for frame in self.frames),
            ),
            default=None,
        )

    def host_ns(self, t_ns: int) -> int:
        """Return the host time at which data of a sensor time in this batch had arrived.

        Nothing arrives before it happens: what is older than the newest arrived as much
        earlier, so that several packets of one batch agree on the offset of the clocks.
        """
        newest_ns = self.newest_ns
        return self.arrival_ns - (0 if newest_ns is None else newest_ns - t_ns)


class Camera(ABC):
    """A camera that is connected. Read it from one thread.

    Attributes:
        model: what it is, for people.
        serial: its serial number.
        height: rows of the sensor.
        width: columns of the sensor.
        ended: whether nothing more will come, as at the end of a recording.
    """

    model: str
    serial: str
    height: int
    width: int
    ended: bool = False

    @abstractmethod
    def read(self, timeout_s: float) -> Batch:
        """Return what has come since the last call; wait for it, but not longer than told.

        Times are on the sensor's clock. They do not decrease from batch to batch, unless the
        sensor errs or its clock is set back; `in_order` takes care of that.

        Raises:
            CameraLostError: The camera no longer answers.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of the camera; closing it again does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
