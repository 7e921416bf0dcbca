"""Columns of numbers as files hold them, and turning them into events."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.events import Events, Triggers

_LOG: Final = logging.getLogger(__name__)

NS_OF_UNIT: Final[Mapping[str, int]] = {'s': 1_000_000_000, 'us': 1_000, 'ns': 1}
"""Nanoseconds of the units that times may have."""

COLUMN_NAMES: Final = (
    ('t', 'x', 'y', 'p'),
    ('ts', 'xs', 'ys', 'ps'),
    ('timestamp', 'x', 'y', 'polarity'),
    ('t', 'x', 'y', 'on'),
)
"""What others call times, columns, rows and polarities; the last two are dv-processing's and
faery's."""

UNIT_OF_NAMES: Final[Mapping[tuple[str, ...], str]] = dict.fromkeys(COLUMN_NAMES[2:], 'us')
"""Unit of the times, where the names say whose they are."""

LAST_NS: Final = (2**31 - 1) * 1_000_000_000
"""Last time that fits into a ROS stamp."""

_ENOUGH_EVENTS: Final = 1000
_USUAL_HZ: Final = (1e3, 1e8)
"""Events per second of a sensor that sees nothing, and of one that sees flicker everywhere."""

_POSSIBLE_HZ: Final = (1.0, 2e9)
"""Less noise than any sensor has, and more than any sensor reads out."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Times, columns, rows and polarities of some events: [N] of any type of number each."""

    t: NDArray[Any]
    x: NDArray[Any]
    y: NDArray[Any]
    p: NDArray[Any]


@dataclass(frozen=True, slots=True)
class ColumnRules:
    """How the columns of a file are turned into events.

    Attributes:
        path: the file, for errors.
        time_unit: unit of the times, a key of NS_OF_UNIT.
        height: rows of the sensor.
        width: columns of the sensor.
        advice: remedy in errors about numbers that cannot be events.
    """

    path: Path
    time_unit: str
    height: int
    width: int
    advice: str = 'repair the file'

    def to_events(self, block: Columns) -> Events:
        """Return the events of some columns.

        Raises:
            MicroexprError: Some numbers cannot be events of this sensor.
        """
        scale = NS_OF_UNIT[self.time_unit]
        if not np.isfinite(block.t).all():
            raise MicroexprError(f'{self.path} has times that are not finite: repair the file')
        if len(block.t):
            self._require_range(int(block.t.min()), int(block.t.max()))
        if block.t.dtype.kind == 'f':
            t = np.rint(block.t.astype(np.float64) * scale).astype(np.int64)
        else:
            t = block.t.astype(np.int64) * scale
        x, y = self._to_axis(block.x, 'x', self.width), self._to_axis(block.y, 'y', self.height)
        if block.p.dtype != bool and not np.isin(block.p, (-1, 0, 1)).all():
            raise MicroexprError(
                f'{self.path} has polarities other than 0 and 1, or -1 and 1: {self.advice}'
            )
        return Events(t, x, y, (block.p > 0).astype(np.uint8))

    def _require_range(self, first: int, last: int) -> None:
        if first < 0 or last > LAST_NS // NS_OF_UNIT[self.time_unit]:
            raise MicroexprError(
                f'{self.path} has times from {first} to {last} {self.time_unit}, not from 0 to at '
                f'most 68 years: {self.advice} or give the right --time-unit'
            )

    def _to_axis(self, values: NDArray[Any], name: str, limit: int) -> NDArray[np.uint16]:
        whole = values.astype(np.int64)
        if (whole != values).any() or (len(whole) and int(whole.min()) < 0):
            raise MicroexprError(
                f'{self.path} has values of {name} that are not pixels: {self.advice}'
            )
        if len(whole) and int(whole.max()) >= limit:
            raise MicroexprError(
                f'{self.path} has {name} = {int(whole.max())}, outside a sensor of '
                f'{self.width} x {self.height} pixels: give the right sensor size '
                f'or {self.advice}'
            )
        return whole.astype(np.uint16)


def choose_unit(path: Path, given: str | None, first: Columns | None) -> str:
    """Return the unit of a file's times: the given one, or seconds if they have fractions.

    Args:
        path: The file, for errors.
        given: Unit that the user gives; a warning is logged if another one is likelier.
        first: First events of the file; None if it has none.

    Raises:
        MicroexprError: The unit is unknown, impossible for these events, or neither given nor
            recognized.
    """
    if given is not None:
        if given not in NS_OF_UNIT:
            raise MicroexprError(
                f'unknown time unit {given!r}: choose one of {", ".join(NS_OF_UNIT)}'
            )
        if first is not None:
            _question_unit(path, given, first.t)
        return given
    if first is not None and first.t.dtype.kind == 'f' and (first.t % 1 != 0).any():
        return 's'
    raise MicroexprError(
        f'the times of {path} may be in any unit: give --time-unit {"|".join(NS_OF_UNIT)}'
    )


def _question_unit(path: Path, given: str, times: NDArray[Any]) -> None:
    """Refuse a unit that makes an impossible rate of events, warn of one that makes an odd rate.

    Where no other unit makes a usual rate, the file is odd and not the unit.
    """
    ticks = float(times[-1]) - float(times[0])
    if len(times) < _ENOUGH_EVENTS or not 0 < ticks < np.inf:
        return
    rates_hz = {unit: len(times) / ticks * 1e9 / scale for unit, scale in NS_OF_UNIT.items()}
    usual = [unit for unit, hz in rates_hz.items() if _USUAL_HZ[0] <= hz <= _USUAL_HZ[1]]
    if given in usual or not usual:
        return
    # Units are a factor of 1000 apart: of two that are usual, the one nearer to the middle.
    middle = np.log(_USUAL_HZ).mean()
    likely = min(usual, key=lambda unit: abs(np.log(rates_hz[unit]) - middle))
    message = (
        f'the first {len(times)} events of {path} make {rates_hz[given]:.3g} events/s if their '
        f'times are in {given}, and {rates_hz[likely]:.3g} events/s if they are in {likely}'
    )
    if not _POSSIBLE_HZ[0] <= rates_hz[given] <= _POSSIBLE_HZ[1]:
        raise MicroexprError(f'{message}: give --time-unit {likely}')
    _LOG.warning('%s: check --time-unit', message)


def interleave(
    events: Iterator[Events], triggers: Iterator[Triggers]
) -> Iterator[tuple[Events, Triggers]]:
    """Pair pieces of events with the triggers up to their ends.

    Args:
        events: Pieces in order of time.
        triggers: Pieces in order of time; each is read when the events reach it.
    """
    waiting = next(triggers, None)
    for piece in events:
        due = []
        while waiting is not None and len(piece):
            count = int(np.searchsorted(waiting.t, piece.t[-1], 'right'))
            due.append(waiting[:count])
            if count < len(waiting):
                waiting = waiting[count:]
                break
            waiting = next(triggers, None)
        yield piece, Triggers.concatenate(due)
    while waiting is not None:
        yield Events.empty(), waiting
        waiting = next(triggers, None)
