"""Onset, apex and offset of facial movements, found while the intensities arrive."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.facs import CODES, is_micro
from microexpr_ros.perception.classifier import Status
from microexpr_ros.perception.presence import Presence


@dataclass(frozen=True, slots=True)
class MicroExpression:
    """One facial movement with a beginning, a peak and an end.

    Attributes:
        codes: FACS numbers of the units that moved together and reached their peaks, ascending.
        onset_ns: first sign of movement.
        apex_ns: strongest moment of the strongest unit.
        offset_ns: back to rest.
        peak: intensity at the apex, 0 to 1.
        confidence: 0 to 1: mean over the units of the calibrated probability at their peaks,
            times the share of slices whose status was OK.
    """

    codes: tuple[int, ...]
    onset_ns: int
    apex_ns: int
    offset_ns: int
    peak: float
    confidence: float

    @property
    def micro(self) -> bool:
        """Whether the movement is shorter than half a second."""
        return is_micro(self.offset_ns - self.onset_ns)


@dataclass(frozen=True, slots=True)
class SpottingConfiguration:
    """How traces of intensity are cut into movements.

    Attributes:
        start_share: a movement begins at this share of the unit's threshold: its onset is known
            sooner, and most movements that stay this small are dropped later.
        rest_share: a unit is at rest below this share of its threshold.
        fall_share: a movement ends at the latest when its unit is below this share of its own
            peak, so that a slow drift back to rest does not stretch it.
        before_ns: the onset lies at most this long before the last slice at rest.
        shortest_ns: a shorter movement is noise.
        longest_ns: a movement that lasts longer is reported before its end.
        trusted_share: least share of an expression's slices with the status OK: a moving head
            looks like moving units.
        alone: units that are never part of another expression, as blinks occur at any time.
    """

    start_share: float = 0.5
    rest_share: float = 0.35
    fall_share: float = 0.35
    before_ns: int = 60_000_000
    shortest_ns: int = 150_000_000
    longest_ns: int = 4_000_000_000
    trusted_share: float = 0.5
    alone: tuple[int, ...] = (45,)


@dataclass(frozen=True, slots=True)
class _Movement:
    """A movement of one unit; `offset_ns` is None while it goes on."""

    unit: int
    onset_ns: int
    apex_ns: int
    peak: float
    offset_ns: int | None = None


@dataclass(frozen=True, slots=True)
class _Expression:
    """Movements that overlap in time; `trusted` of its `slices` had the status OK."""

    movements: tuple[_Movement, ...]
    slices: int = 0
    trusted: int = 0

    @property
    def onset_ns(self) -> int:
        return min(movement.onset_ns for movement in self.movements)

    @property
    def over(self) -> bool:
        return all(movement.offset_ns is not None for movement in self.movements)

    @property
    def units(self) -> frozenset[int]:
        return frozenset(m.unit for m in self.movements)


@dataclass(frozen=True, slots=True)
class SpottingState:
    """What the spotter remembers of one face.

    Attributes:
        rest_ns: int64 [18], when each unit was last at rest; negative: never.
        ended_ns: int64 [18], when each unit's last movement ended, or the first slice.
        waiting: bool [18], units that must come to rest before they can move again.
        expressions: those that have not ended.
    """

    rest_ns: NDArray[np.int64] = field(default_factory=lambda: np.full(len(CODES), -1, np.int64))
    ended_ns: NDArray[np.int64] = field(default_factory=lambda: np.full(len(CODES), -1, np.int64))
    waiting: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(len(CODES), np.bool_))
    expressions: tuple[_Expression, ...] = ()


class Spotter:
    """Cuts traces of intensity into expressions; holds no state.

    A unit begins to move when it reaches a share of its threshold. Its onset lies a little
    before it was last at rest: where the straight line from there to that share begins. It ends
    when it is back at rest or far below its own peak. A unit that begins while others move
    belongs to their expression, which is reported when the last of them has ended, if one of
    them has reached its `Presence.peak` and the status was mostly OK.

    Args:
        presence: limits and calibration of the intensities.
        configuration: how traces are cut.
    """

    def __init__(
        self, presence: Presence, configuration: SpottingConfiguration | None = None
    ) -> None:
        self.presence = presence
        self.configuration = configuration or SpottingConfiguration()

    def initial_state(self) -> SpottingState:
        """Return the state of a spotter that has seen nothing."""
        return SpottingState()

    def step(
        self,
        end_ns: int,
        intensity: NDArray[np.float32],
        status: Status,
        state: SpottingState,
    ) -> tuple[tuple[MicroExpression, ...], SpottingState]:
        """Advance by one slice.

        When the face is lost, movements that have not ended are dropped.

        Args:
            end_ns: end of the slice.
            intensity: float32 [18], 0 to 1.
            status: of the estimate.
            state: of the slice before.

        Returns:
            The expressions that ended with this slice, and the new state.
        """
        if status in (Status.NO_FACE, Status.WARMING_UP):
            return (), self.initial_state()
        threshold = self.presence.threshold
        c = self.configuration
        at_rest = intensity < c.rest_share * threshold
        rest_ns = np.where(at_rest, end_ns, state.rest_ns)
        waiting = state.waiting & ~at_rest

        going_on = tuple(
            _Expression(
                tuple(self._follow(m, end_ns, intensity, at_rest) for m in e.movements),
                e.slices + 1,
                e.trusted + (status is Status.OK),
            )
            for e in state.expressions
        )
        moving = {m.unit for e in going_on for m in e.movements if m.offset_ns is None}
        # A unit that fell far without resting must rest before it counts as moving again.
        ended = [m.unit for e in going_on for m in e.movements if m.offset_ns == end_ns]
        waiting[ended] = True
        ended_ns = np.where(state.ended_ns < 0, end_ns, state.ended_ns)
        ended_ns[ended] = end_ns
        for unit in np.flatnonzero((intensity >= c.start_share * threshold) & ~waiting).tolist():
            if unit not in moving:
                onset_ns = self._onset_ns(int(ended_ns[unit]), int(rest_ns[unit]), end_ns)
                movement = _Movement(unit, onset_ns, end_ns, float(intensity[unit]))
                going_on = self._join(going_on, movement, status)

        done = tuple(e for e in going_on if e.over or end_ns - e.onset_ns > c.longest_ns)
        for expression in done:
            waiting[list(expression.units)] = True
        waiting &= ~at_rest
        left = tuple(e for e in going_on if e not in done)
        trusted = (e for e in done if e.trusted >= c.trusted_share * e.slices)
        finished = (self._finished(e, end_ns) for e in trusted)
        return (
            tuple(e for e in finished if e.codes and e.offset_ns - e.onset_ns >= c.shortest_ns),
            SpottingState(rest_ns, ended_ns, waiting, left),
        )

    def _onset_ns(self, ended_ns: int, rest_ns: int, end_ns: int) -> int:
        """Return the onset of a unit that has just reached `start_share`."""
        if rest_ns < 0:
            return end_ns
        c = self.configuration
        before_ns = round((end_ns - rest_ns) * c.rest_share / (c.start_share - c.rest_share))
        return max(rest_ns - min(before_ns, c.before_ns), ended_ns)

    def _follow(
        self,
        movement: _Movement,
        end_ns: int,
        intensity: NDArray[np.float32],
        at_rest: NDArray[np.bool_],
    ) -> _Movement:
        if movement.offset_ns is not None:
            return movement
        now = float(intensity[movement.unit])
        if now > movement.peak:
            return replace(movement, apex_ns=end_ns, peak=now)
        if at_rest[movement.unit] or now < self.configuration.fall_share * movement.peak:
            return replace(movement, offset_ns=end_ns)
        return movement

    def _join(
        self, expressions: tuple[_Expression, ...], movement: _Movement, status: Status
    ) -> tuple[_Expression, ...]:
        alone = [CODES.index(code) for code in self.configuration.alone]
        if movement.unit not in alone:
            for i, expression in enumerate(expressions):
                if not expression.units.intersection(alone):
                    joined = replace(expression, movements=(*expression.movements, movement))
                    return (*expressions[:i], joined, *expressions[i + 1 :])
        return (*expressions, _Expression((movement,), 1, int(status is Status.OK)))

    def _finished(self, expression: _Expression, end_ns: int) -> MicroExpression:
        strongest = max(expression.movements, key=lambda m: m.peak)
        peaks = np.zeros(len(CODES), np.float32)
        for movement in expression.movements:
            peaks[movement.unit] = max(peaks[movement.unit], movement.peak)
        units = np.flatnonzero(peaks >= self.presence.peak)
        probability = float(self.presence.probability(peaks)[units].mean()) if len(units) else 0.0
        return MicroExpression(
            codes=tuple(CODES[unit] for unit in units),
            onset_ns=expression.onset_ns,
            apex_ns=strongest.apex_ns,
            offset_ns=max(
                end_ns if m.offset_ns is None else m.offset_ns for m in expression.movements
            ),
            peak=strongest.peak,
            confidence=probability * expression.trusted / expression.slices,
        )
