"""The base class of recordings, and helpers of all formats."""

from __future__ import annotations

import struct
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np

from microexpr_ros.bags import Message
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.codecs.codec import Decoder, find_step_back
from microexpr_ros.events.events import Events, Frame, Triggers
from microexpr_ros.topics import EVENT_CAMERA

OUTSIDE_SENSOR: Final = 'outside_sensor'
UNDATED: Final = 'undated'
"""Reasons for which an event of a recording is left out."""

_READ_ERRORS: Final = (
    OSError,
    ValueError,
    LookupError,
    EOFError,
    RuntimeError,
    struct.error,
    zipfile.BadZipFile,
)


class Recording(ABC):
    """Events of one sensor in a file.

    Attributes:
        path: file or folder.
        kind: its format, for people.
        height: rows of the sensor.
        width: columns of the sensor.
        epoch_ns: host time at sensor time 0; 0 if it is not recorded.
        losses: number of items left out so far, by reason.
        fraction: how much of the recording `chunks` has read, 0 to 1.
        other_messages: number of messages besides the events', in a bag.
        frame_id: coordinate frame of the camera.
    """

    def __init__(self, path: Path, kind: str, height: int, width: int, epoch_ns: int = 0) -> None:
        self.path = path
        self.kind = kind
        self.height = height
        self.width = width
        self.epoch_ns = epoch_ns
        self.losses = {OUTSIDE_SENSOR: 0, UNDATED: 0}
        self.fraction = 0.0
        self.other_messages = 0
        self.frame_id = EVENT_CAMERA

    @property
    def dropped(self) -> int:
        """Events left out so far, because they lay outside the sensor or had no time."""
        return self.losses[OUTSIDE_SENSOR] + self.losses[UNDATED]

    def chunks(self) -> Iterator[tuple[Events, Triggers]]:
        """Iterate over the recording from its start, in pieces of a few MB.

        Raises:
            MicroexprError: The recording is damaged or does not fit the sensor, or its times
                decrease.
        """
        newest = np.empty(0, np.int64)
        for events, triggers in self._read():
            for times in (np.append(newest, events.t[:1]), events.t):
                if step := find_step_back(times):
                    raise MicroexprError(
                        f'times in {self.path} decrease from {times[step - 1]} to {times[step]} '
                        'ns: sort its events by time'
                    )
            if len(events):
                newest = events.t[-1:]
            yield events, triggers

    def frames(self) -> Iterator[Frame]:
        """Iterate over the sensor's frames from the first; most formats have none.

        Raises:
            MicroexprError: The recording is damaged.
        """
        return iter(())

    def others(self) -> Iterator[Message]:
        """Iterate over the other messages of a bag that can be copied; other formats have none.

        Raises:
            MicroexprError: The recording is damaged.
        """
        return iter(())

    @abstractmethod
    def _read(self) -> Iterator[tuple[Events, Triggers]]:
        """Iterate over the pieces of `chunks`, in the order of the file."""


def losses_of(decoder: Decoder) -> dict[str, int]:
    """Return how many items a decoder left out so far, by reason."""
    return {
        OUTSIDE_SENSOR: decoder.dropped,
        UNDATED: decoder.undated,
        'undefined_words': decoder.skipped,
    }


def agree_on_sensor(
    path: Path, stored: tuple[int, int] | None, given: tuple[int, int] | None
) -> tuple[int, int]:
    """Return the columns and rows of the sensor that are stored in a file or given by the user.

    Raises:
        MicroexprError: They are neither stored nor given, or differ.
    """
    if stored is not None and given is not None and stored != given:
        raise MicroexprError(
            f'{path} is from a sensor of {stored[0]} x {stored[1]} pixels, not {given[0]} x '
            f'{given[1]}: leave out --sensor'
        )
    agreed = stored or given
    if agreed is None:
        raise MicroexprError(
            f'{path} does not contain its sensor size: give --sensor WIDTHxHEIGHT'
        )
    return agreed


@contextmanager
def explain_read_errors(path: Path) -> Iterator[None]:
    """Turn errors of reading into a MicroexprError that names the file."""
    try:
        yield
    except _READ_ERRORS as error:
        reason = ' '.join(str(error).split()) or type(error).__name__
        raise MicroexprError(
            f'cannot read {path} ({reason}): it is damaged or not a {path.suffix} '
            'file: copy or record it again'
        ) from error
