"""The base class of recordings, and helpers of all formats."""

from __future__ import annotations

import struct
import zipfile
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.bags import Damage, DamagedPlace, ForeignMessage, Message
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.codecs.codec import Decoder, find_step_back
from microexpr_ros.events.events import Events, Frame, Triggers
from microexpr_ros.topics import EVENT_CAMERA

OUTSIDE_SENSOR: Final = 'outside_sensor'
UNDATED: Final = 'undated'
UNREADABLE: Final = 'events_unreadable'
"""Reasons for which an event of a recording is left out."""

_MAX_BACK_NS: Final = 1_000_000_000
"""A larger step back is a clock that was set back: its events are not out of order."""

_FEW: Final = 4
_MAX_SHARE: Final = 0.1
"""What may be out of order: a few, and this share of all."""

_NEVER_NS: Final = -(1 << 62)

READ_ERRORS: Final = (
    OSError,
    ValueError,
    LookupError,
    EOFError,
    RuntimeError,
    struct.error,
    zipfile.BadZipFile,
    TypeError,  # of h5py, for a type of numbers that does not exist
)
"""What libraries raise where a file is damaged."""


@dataclass(frozen=True, slots=True, eq=False)
class Position:
    """How far a recording was read, for any other process to go on there (`Recording.chunks`).

    Attributes:
        pieces: how many pieces of the file there were.
        place: where the next one begins, and what its decoder knows; None for a format that has
            to be read again from its begin.
        order: how times were held so far.
        losses: as of `Recording`.
        held_by_decoder: events and triggers that the decoder has held.
        epoch_ns: as of `Recording`.
        damage: damaged places that were met.
        rest: what comes before the place and is yielded again first.
    """

    pieces: int
    place: Any
    order: _TimeOrders
    losses: dict[str, int]
    held_by_decoder: int
    epoch_ns: int
    damage: tuple[DamagedPlace, ...]
    rest: tuple[Events, Triggers]


class Recording(ABC):
    """Events of one sensor in a file.

    Attributes:
        path: file or folder.
        kind: its format, for people.
        height: rows of the sensor.
        width: columns of the sensor.
        epoch_ns: host time at sensor time 0; 0 if it is not recorded. Where packets have stamps,
            it follows the last piece that `chunks` has yielded: the two clocks drift apart.
        losses: number of items left out so far, by reason.
        held: events and triggers so far that were out of order and got the newest time before.
        fraction: how much of the recording `chunks` has read, 0 to 1.
        other_topics: number of messages of each topic besides the events', in a bag.
        unknown_topics: those of them whose messages cannot be copied, because their type is not
            installed.
        damage: what of a bag cannot be read, as far as it was met.
        frame_id: coordinate frame of the camera.
        topic: topic that is read, in a bag; empty for other formats.
    """

    topic: str = ''

    def __init__(self, path: Path, kind: str, height: int, width: int, epoch_ns: int = 0) -> None:
        self.path = path
        self.kind = kind
        self.height = height
        self.width = width
        self.epoch_ns = epoch_ns
        self.losses = {OUTSIDE_SENSOR: 0, UNDATED: 0}
        self.held = 0
        self._held_by_decoder = 0
        self._pieces = 0
        self._place: Any = None
        self._order = _TimeOrders()
        self.fraction = 0.0
        self.other_topics: Counter[str] = Counter()
        self.unknown_topics: frozenset[str] = frozenset()
        self.damage = Damage()
        self.frame_id = EVENT_CAMERA

    @property
    def dropped(self) -> int:
        """Events left out so far: outside the sensor, without a time, or damaged."""
        return sum(self.losses.get(why, 0) for why in (OUTSIDE_SENSOR, UNDATED, UNREADABLE))

    def chunks(self, start: Position | None = None) -> Iterator[tuple[Events, Triggers]]:
        """Iterate over the recording, in pieces of a few MB.

        Times do not decrease: an event or a trigger that is out of order gets the newest time
        before it, and counts in `held`. Out of order is also a single one that is far ahead.

        Args:
            start: where to begin; None for the begin of the recording. What is counted goes on
                from there.

        Raises:
            MicroexprError: The recording is damaged, does not fit the sensor, or is out of order
                by more than a second in several events that follow each other, or in more than a
                tenth of all.
        """
        if start is None:
            self.held = self._held_by_decoder = self._pieces = 0
            self._place, self._order = None, _TimeOrders()
            pieces = self._read()
        else:
            # Copied: reading changes what the decoder knows.
            pieces = self._read_on(deepcopy(start))
            yield start.rest
        order = self._order
        for events, triggers in pieces:
            self._pieces += 1
            events = replace(events, t=order.events.hold(events.t, self.path))
            triggers = replace(triggers, t=order.triggers.hold(triggers.t, self.path))
            self._count_held()
            yield events, triggers

    def position(self, rest: tuple[Events, Triggers]) -> Position:
        """Return where `chunks` is now.

        Args:
            rest: what of the piece that was yielded last is to be yielded again.
        """
        return deepcopy(
            Position(
                self._pieces,
                self._place,
                self._order,
                self.losses,
                self._held_by_decoder,
                self.epoch_ns,
                tuple(self.damage),
                rest,
            )
        )

    def frames(self) -> Iterator[Frame]:
        """Iterate over the sensor's frames from the first; most formats have none.

        Raises:
            MicroexprError: The recording is damaged.
        """
        return iter(())

    @property
    def other_messages(self) -> int:
        """Number of messages besides the events', in a bag."""
        return self.other_topics.total()

    def others(self, start_ns: int | None = None) -> Iterator[Message | ForeignMessage]:
        """Iterate over the other messages of a bag that can be copied; other formats have none.

        Args:
            start_ns: receive time of those of ROS 2 to begin at; None for all.

        Raises:
            MicroexprError: The recording is damaged.
        """
        return iter(())

    def _read_on(self, start: Position) -> Iterator[tuple[Events, Triggers]]:
        """Iterate over the pieces behind a position."""
        for damaged in start.damage:
            self.damage.add(damaged)
        self._pieces, self._place, self._order = start.pieces, start.place, start.order
        self._held_by_decoder, self.epoch_ns = start.held_by_decoder, start.epoch_ns
        self._count_held()
        if start.place is None:
            return islice(self._read(), start.pieces, None)
        self.losses = start.losses
        return self._read_from(start.place)

    def _count_held(self) -> None:
        order = self._order
        self.held = order.events.held + order.triggers.held + self._held_by_decoder

    @abstractmethod
    def _read(self) -> Iterator[tuple[Events, Triggers]]:
        """Iterate over the pieces of `chunks`, in the order of the file.

        Formats in which reading can begin anywhere set `_place` before they yield a piece.
        """

    def _read_from(self, place: Any) -> Iterator[tuple[Events, Triggers]]:
        """Iterate over the pieces behind that for which `_place` was set."""
        raise NotImplementedError(f'{self.kind} has no places to begin at')


class _TimeOrder:
    """Gives times that are out of order the newest before them, and counts them.

    Attributes:
        held: number of such times so far.
    """

    def __init__(self) -> None:
        self.held = 0
        self._seen = 0
        self._newest_ns = _NEVER_NS

    def hold(self, times: NDArray[np.int64], path: Path) -> NDArray[np.int64]:
        """Return times none of which is less than an earlier one, also of earlier calls.

        Args:
            times: the next ones.
            path: of the recording, for errors.

        Raises:
            MicroexprError: A time is too far back, or too many are out of order.
        """
        if len(times) == 0:
            return times
        self._seen += len(times)
        if times[0] < self._newest_ns or find_step_back(times):
            likely = self._without_strays(times)
            held = np.maximum.accumulate(np.maximum(likely, self._newest_ns))
            self.held += int(np.count_nonzero(held != times))
            back_ns = held - likely
            if back_ns.max() > _MAX_BACK_NS or are_many(self.held, self._seen):
                worst = int(back_ns.argmax())
                raise MicroexprError(
                    f'times in {path} decrease from {held[worst]} to {times[worst]} ns: '
                    'sort its events by time'
                )
            times = held
        self._newest_ns = int(times[-1])
        return times

    def _without_strays(self, times: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the times, each that alone is far from both neighbours at that before it."""
        first = times[0] if self._newest_ns == _NEVER_NS else self._newest_ns
        after = np.concatenate((times[1:], [np.iinfo(np.int64).max]))
        before = np.concatenate(([first], times[:-1]))
        times = np.where((times - _MAX_BACK_NS > after) & (before <= after), before, times)
        before = np.concatenate(([first], times[:-1]))
        return np.where((times + _MAX_BACK_NS < before) & (before <= after), before, times)


@dataclass(slots=True, eq=False)
class _TimeOrders:
    """The orders of events and triggers."""

    events: _TimeOrder = field(default_factory=_TimeOrder)
    triggers: _TimeOrder = field(default_factory=_TimeOrder)


def are_many(count: int, total: int) -> bool:
    """Return whether so many of a recording's items are wrong that all of it may be."""
    return count > _FEW + _MAX_SHARE * total


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
    except READ_ERRORS as error:
        reason = ' '.join(str(error).split()) or type(error).__name__
        raise MicroexprError(
            f'cannot read {path} ({reason}): it is damaged or not a {path.suffix} '
            'file: copy or record it again'
        ) from error
