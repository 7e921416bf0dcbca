"""Onset, apex and offset of facial movements, found while the intensities arrive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.facs import BLINK, CODES, OPENING, SPEECH, ExpressionKind, is_micro
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
        kind: what it is; a micro-expression is a short one of kind EXPRESSION.
    """

    codes: tuple[int, ...]
    onset_ns: int
    apex_ns: int
    offset_ns: int
    peak: float
    confidence: float
    kind: ExpressionKind = ExpressionKind.EXPRESSION

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
        shortest_blink_ns: likewise of lids that close: they are quicker than all else in a face,
            and what is cut off at their begin and end is the larger part of it.
        closed: intensity from which lids close. Lids that move less, for less than
            `shortest_ns`, are noise.
        longest_ns: a movement that lasts longer is reported before its end.
        trusted_share: least share of an expression's slices with the status OK: a moving head
            looks like moving units.
        least_margin: an expression must have evidence for some unit this far over its limit, in
            log-odds, as of `Presence.decide`; blinks need none, and nor does a mouth that
            opens, with or without other units of speech.
        alone: units that are never part of another expression, as blinks occur at any time.
        both_lids: least intensity of the weaker lid, as a share of the other's, in a blink.
        syllable_ns: shortest and longest opening of the mouth that is a syllable.
        pause_ns: longest pause between two syllables of one row.
        syllables: so many in a row are speech.
    """

    start_share: float = 0.5
    rest_share: float = 0.35
    fall_share: float = 0.35
    before_ns: int = 60_000_000
    shortest_ns: int = 150_000_000
    shortest_blink_ns: int = 100_000_000
    closed: float = 0.3
    longest_ns: int = 4_000_000_000
    trusted_share: float = 0.5
    least_margin: float = 0.0
    alone: tuple[int, ...] = (BLINK,)
    both_lids: float = 0.5
    syllable_ns: tuple[int, int] = (60_000_000, 400_000_000)
    pause_ns: int = 250_000_000
    syllables: int = 3


@dataclass(frozen=True, slots=True)
class _Movement:
    """A movement of one unit; `offset_ns` is None while it goes on.

    `weaker` is the intensity of the weaker side at the apex.
    """

    unit: int
    onset_ns: int
    apex_ns: int
    peak: float
    weaker: float
    offset_ns: int | None = None


@dataclass(frozen=True, slots=True)
class _Expression:
    """Movements that overlap in time; `trusted` of its `slices` had the status OK.

    `margin` is the largest one of any unit and slice, infinite where there is no evidence.
    """

    movements: tuple[_Movement, ...]
    margin: float
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
class _Row:
    """Syllables that follow each other.

    Attributes:
        syllables: how many.
        end_ns: end of the last one.
        held: expressions that belong to speech if more syllables come.
    """

    syllables: int = 0
    end_ns: int = 0
    held: tuple[MicroExpression, ...] = ()


@dataclass(frozen=True, slots=True)
class SpottingState:
    """What the spotter remembers of one face.

    Attributes:
        rest_ns: int64 [18], when each unit was last at rest; negative: never.
        ended_ns: int64 [18], when each unit's last movement ended, or the first slice.
        waiting: bool [18], units that must come to rest before they can move again.
        expressions: those that have not ended.
        row: the syllables so far.
    """

    rest_ns: NDArray[np.int64] = field(default_factory=lambda: np.full(len(CODES), -1, np.int64))
    ended_ns: NDArray[np.int64] = field(default_factory=lambda: np.full(len(CODES), -1, np.int64))
    waiting: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(len(CODES), np.bool_))
    expressions: tuple[_Expression, ...] = ()
    row: _Row = _Row()


class Spotter:
    """Cuts traces of intensity into expressions; holds no state.

    A unit begins to move when it reaches a share of its threshold. Its onset lies a little
    before it was last at rest: where the straight line from there to that share begins. It ends
    when it is back at rest or far below its own peak. A unit that begins while others move
    belongs to their expression, which is reported when the last of them has ended, if one of
    them has reached its `Presence.peak` and the status was mostly OK.

    A blink is unit 45 on both sides for less than half a second. Short movements of the units 25
    or 26 that follow each other are a row of syllables. In a row that is long enough, speech is
    every expression with a syllable in which only the units of `facs.SPEECH` reached their
    peaks. Until then such an expression is held back, or until no syllable can follow.

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
        sides: NDArray[np.float32] | None = None,
        evidence: NDArray[np.float32] | None = None,
    ) -> tuple[tuple[MicroExpression, ...], SpottingState]:
        """Advance by one slice.

        When the face is lost, movements that have not ended are dropped.

        Args:
            end_ns: end of the slice.
            intensity: float32 [18], 0 to 1.
            status: of the estimate.
            state: of the slice before.
            sides: float32 [18, 2], intensity on the left and on the right; None: the same.
            evidence: float32 [18], 0 to 1, that a unit is the main one of a movement; None if
                there is none, and intensities decide.

        Returns:
            The expressions that ended with this slice, or are held back no longer, and the new
            state.
        """
        if status in (Status.NO_FACE, Status.WARMING_UP):
            return self.finish(state), self.initial_state()
        weaker = intensity if sides is None else np.minimum(sides[:, 0], sides[:, 1])
        margin = np.inf if evidence is None else float(self.presence.decide(evidence).max())
        threshold = self.presence.threshold
        c = self.configuration
        at_rest = intensity < c.rest_share * threshold
        rest_ns = np.where(at_rest, end_ns, state.rest_ns)
        waiting = state.waiting & ~at_rest

        going_on = tuple(
            _Expression(
                tuple(self._follow(m, end_ns, intensity, weaker, at_rest) for m in e.movements),
                max(e.margin, margin),
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
                movement = _Movement(
                    unit, onset_ns, end_ns, float(intensity[unit]), float(weaker[unit])
                )
                going_on = self._join(going_on, movement, margin, status)

        done = tuple(e for e in going_on if e.over or end_ns - e.onset_ns > c.longest_ns)
        for expression in done:
            waiting[list(expression.units)] = True
        waiting &= ~at_rest
        left = tuple(e for e in going_on if e not in done)
        found, row = self._report(done, end_ns, state.row)
        return found, SpottingState(rest_ns, ended_ns, waiting, left, row)

    def finish(self, state: SpottingState) -> tuple[MicroExpression, ...]:
        """Return what is held back, when no further slice of the face comes."""
        return state.row.held

    def _report(
        self, done: Sequence[_Expression], end_ns: int, row: _Row
    ) -> tuple[tuple[MicroExpression, ...], _Row]:
        """Return the expressions whose kind is known at the end of a slice, and the new row."""
        c = self.configuration
        found: list[MicroExpression] = []
        for expression in done:
            finished = self._finished(expression, end_ns)
            reported = (finished,) if self._counts(expression, finished) else ()
            spans = self._syllables(expression)
            if spans:
                if spans[0][0] - row.end_ns > c.pause_ns:
                    found += row.held
                    row = _Row()
                end = max(row.end_ns, spans[-1][1])
                row = replace(row, syllables=row.syllables + len(spans), end_ns=end)
            if spans and SPEECH.issuperset(finished.codes):
                row = replace(row, held=(*row.held, *reported))
            else:
                found += reported
            if row.syllables >= c.syllables:
                found += (replace(e, kind=ExpressionKind.SPEECH) for e in row.held)
                row = replace(row, held=())
        # A syllable of the longest kind that began after the longest pause would have ended.
        if end_ns - row.end_ns > c.pause_ns + c.syllable_ns[1]:
            found += row.held
            row = _Row()
        return tuple(found), row

    def _counts(self, expression: _Expression, finished: MicroExpression) -> bool:
        """Return whether an expression is more than noise, and not of a moving head."""
        c = self.configuration
        named = set(finished.codes)
        explained = named <= set(c.alone) or bool(named & OPENING and named <= SPEECH)
        trusted = expression.trusted >= c.trusted_share * expression.slices
        is_closing = named == {BLINK} and finished.peak >= c.closed
        shortest_ns = c.shortest_blink_ns if is_closing else c.shortest_ns
        long_enough = finished.offset_ns - finished.onset_ns >= shortest_ns
        decided = explained or expression.margin >= c.least_margin
        return trusted and long_enough and decided and bool(named)

    def _syllables(self, expression: _Expression) -> list[tuple[int, int]]:
        """Return onset and offset of each syllable, of the opening unit that has more of them."""
        shortest_ns, longest_ns = self.configuration.syllable_ns
        by_unit = [
            [
                (m.onset_ns, m.offset_ns)
                for m in expression.movements
                if m.unit == CODES.index(code)
                and m.peak >= self.presence.threshold[m.unit]
                and m.offset_ns is not None
                and shortest_ns <= m.offset_ns - m.onset_ns <= longest_ns
            ]
            for code in sorted(OPENING)
        ]
        return max(by_unit, key=len)

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
        weaker: NDArray[np.float32],
        at_rest: NDArray[np.bool_],
    ) -> _Movement:
        if movement.offset_ns is not None:
            return movement
        now = float(intensity[movement.unit])
        if now > movement.peak:
            return replace(movement, apex_ns=end_ns, peak=now, weaker=float(weaker[movement.unit]))
        if at_rest[movement.unit] or now < self.configuration.fall_share * movement.peak:
            return replace(movement, offset_ns=end_ns)
        return movement

    def _join(
        self,
        expressions: tuple[_Expression, ...],
        movement: _Movement,
        margin: float,
        status: Status,
    ) -> tuple[_Expression, ...]:
        alone = [CODES.index(code) for code in self.configuration.alone]
        if movement.unit not in alone:
            for i, expression in enumerate(expressions):
                if not expression.units.intersection(alone):
                    joined = replace(expression, movements=(*expression.movements, movement))
                    return (*expressions[:i], joined, *expressions[i + 1 :])
        return (*expressions, _Expression((movement,), margin, 1, int(status is Status.OK)))

    def _finished(self, expression: _Expression, end_ns: int) -> MicroExpression:
        strongest = max(expression.movements, key=lambda m: m.peak)
        peaks = np.zeros(len(CODES), np.float32)
        for movement in expression.movements:
            peaks[movement.unit] = max(peaks[movement.unit], movement.peak)
        units = np.flatnonzero(peaks >= self.presence.peak)
        probability = float(self.presence.probability(peaks)[units].mean()) if len(units) else 0.0
        finished = MicroExpression(
            codes=tuple(CODES[unit] for unit in units),
            onset_ns=expression.onset_ns,
            apex_ns=strongest.apex_ns,
            offset_ns=max(
                end_ns if m.offset_ns is None else m.offset_ns for m in expression.movements
            ),
            peak=strongest.peak,
            confidence=probability * expression.trusted / expression.slices,
        )
        both = strongest.weaker >= self.configuration.both_lids * strongest.peak
        if finished.codes == (BLINK,) and both and finished.micro:
            return replace(finished, kind=ExpressionKind.BLINK)
        return finished
