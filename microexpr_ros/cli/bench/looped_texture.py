"""A recording of any length and rate: a short piece of a moving texture, repeated."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.cli.bench.checksum import sum_columns
from microexpr_ros.events.events import Events, Triggers
from microexpr_ros.events.files import Recording
from microexpr_ros.synthesis.sensors import event_sensor
from microexpr_ros.synthesis.sensors.event_sensor import SensorParameters

_PIECE_NS: Final = 50_000_000
_STEP_NS: Final = 2_500_000
_STEP_PX: Final = 0.15
_LUX: Final = 100.0
_CONTRAST: Final = 0.5
"""Standard deviation of the logarithm of the light."""


class LoopedTexture(Recording):
    """A texture that moves in front of an event sensor for 50 ms, repeated on one growing clock.

    The times of the piece are stretched to the rate. Events of one microsecond are in order of
    row and column, as sensors read them out. Memory does not grow with the length.

    Attributes:
        piece: the events that are repeated.
        repeats: how often.
    """

    def __init__(self, sensor: SensorParameters, seconds: float, events_per_s: float) -> None:
        """Make the piece.

        Args:
            sensor: Parameters of the sensor.
            seconds: Length, kept to the nearest whole number of pieces.
            events_per_s: Rate of events.
        """
        super().__init__(Path('texture'), 'moving texture', sensor.height, sensor.width)
        seen = _observe_texture(sensor, np.random.default_rng(0))
        self._span_us = max(1, round(len(seen) / events_per_s * 1e6))
        t_us = seen.t * self._span_us // (_PIECE_NS // 1000) // 1000
        order = np.lexsort((seen.x, seen.y, t_us))
        self.piece = Events(t_us * 1000, seen.x[order], seen.y[order], seen.p[order])
        self.repeats = max(1, round(seconds * 1e6 / self._span_us))

    @property
    def duration_s(self) -> float:
        """Length in s."""
        return self.repeats * self._span_us / 1e6

    @property
    def end_ns(self) -> int:
        """Time of the last event."""
        return (self.repeats - 1) * self._span_us * 1000 + int(self.piece.t[-1])

    @property
    def sums(self) -> NDArray[np.int64]:
        """Number of events and sums of their columns, as `sum_columns` returns them."""
        shifts_ns = self._span_us * 1000 * (self.repeats * (self.repeats - 1) // 2)
        shifted = np.array([0, len(self.piece) * shifts_ns % 2**64, 0, 0, 0], np.uint64)
        return self.repeats * sum_columns(self.piece) + shifted.astype(np.int64)

    def _read(self) -> Iterator[tuple[Events, Triggers]]:
        piece = self.piece
        for i in range(self.repeats):
            self.fraction = (i + 1) / self.repeats
            yield piece.shifted(i * self._span_us * 1000), Triggers.empty()


def _observe_texture(sensor: SensorParameters, rng: np.random.Generator) -> Events:
    """Return the events of a texture that moves to the left."""
    texture = _make_texture(sensor.height, sensor.width, rng)
    state = event_sensor.start(sensor, _illuminate(texture, 0.0), 0, rng)
    seen = []
    for i in range(1, _PIECE_NS // _STEP_NS + 1):
        events, state = event_sensor.step(
            sensor, state, _illuminate(texture, i * _STEP_PX), i * _STEP_NS
        )
        seen.append(events)
    return Events.concatenate(seen)


def _make_texture(height: int, width: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the logarithm of the light, [height, width]: 1 / f noise, as in natural scenes."""
    rows, columns = np.fft.fftfreq(height), np.fft.rfftfreq(width)
    distance = np.hypot(rows[:, None], columns)
    distance[0, 0] = np.inf
    texture = np.fft.irfft2(
        np.fft.rfft2(rng.normal(size=(height, width))) / distance, (height, width)
    )
    return np.asarray(texture / texture.std() * _CONTRAST + np.log(_LUX), np.float64)


def _illuminate(texture: NDArray[np.float64], moved_px: float) -> NDArray[np.float32]:
    """Return the light in lux of a texture that is moved to the left and wraps around."""
    whole, part = divmod(moved_px, 1.0)
    near, far = np.roll(texture, -int(whole), axis=1), np.roll(texture, -int(whole) - 1, axis=1)
    return np.exp((1 - part) * near + part * far).astype(np.float32)
