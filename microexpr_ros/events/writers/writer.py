"""The base class of writers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Final

from microexpr_ros.events.events import Events, Frame, Triggers

if TYPE_CHECKING:
    from typing_extensions import Self

_BLOCK_EVENTS: Final = 1 << 16
"""Events that are written at once: packets are too small for most formats."""


class EventWriter(ABC):
    """Writes the events of one sensor to a new file, with times cut to whole us.

    Attributes:
        trigger_channels: number of channels of triggers that the format has; `write` takes no
            others.
        takes_frames: whether the format has frames, for `write_frame`.
        path: the file.
        height: rows of the sensor.
        width: columns of the sensor.
        epoch_ns: host time at sensor time 0.
    """

    trigger_channels: ClassVar[int] = 0
    takes_frames: ClassVar[bool] = False

    def __init__(self, path: Path, height: int, width: int, epoch_ns: int = 0) -> None:
        self.path = path
        self.height = height
        self.width = width
        self.epoch_ns = epoch_ns
        self._waiting: list[tuple[Events, Triggers]] = []
        self._count = 0

    def write(self, events: Events, triggers: Triggers) -> None:
        """Write the next events and triggers, whose times do not decrease."""
        self._waiting.append((events, triggers))
        self._count += len(events) + len(triggers)
        if self._count >= _BLOCK_EVENTS:
            self._flush()

    def write_frame(self, frame: Frame) -> None:
        """Write the next frame; events may be written before or after it.

        Raises:
            ValueError: the format has no frames.
        """
        raise ValueError(f'{type(self).__name__} writes no frames')

    def close(self) -> None:
        """Write what is left, and finish the file."""
        self._flush()
        self._finish()

    def _flush(self) -> None:
        waiting, self._waiting, self._count = self._waiting, [], 0
        if waiting:
            events, triggers = zip(*waiting, strict=True)
            self._write(Events.concatenate(events), Triggers.concatenate(triggers))

    @abstractmethod
    def _write(self, events: Events, triggers: Triggers) -> None:
        """Write a block."""

    @abstractmethod
    def _finish(self) -> None:
        """Finish the file after the last block."""

    @abstractmethod
    def _release(self) -> None:
        """Close what is open; called after `_finish`, or instead of it after an error."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self.close()
        finally:
            self._release()
