"""Long recordings in parts, which are cut alike wherever they are analyzed.

The regions of the face depend on all that came before, so the first part finds them for the whole
recording: each other part begins with the synchronizer as it was then (`Start`). Their networks
begin at rest and see some seconds before the part, which are left out. Shortly after a cut,
estimates differ a little from those of a recording that is analyzed as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from microexpr_ros.alignment.synchronizer import Synchronizer, SynchronizerOptions
from microexpr_ros.analysis.chain import TimedMovement, read_faces
from microexpr_ros.analysis.results import Analysis, AnalysisRows
from microexpr_ros.analysis.stream import SliceStream
from microexpr_ros.events.events import Events, Triggers
from microexpr_ros.events.files import Recording
from microexpr_ros.events.grid import SLICE_NS
from microexpr_ros.perception.classifier import ActionUnitClassifier

_S: Final = 1_000_000_000

_SEAM_NS: Final = 100_000_000
"""A movement that ends this close to a cut may be found by both parts."""

_ROWS: Final = (
    *('clock_ns', 'stamp_ns', 'face', 'status', 'region'),
    *('sides', 'confidence', 'active'),
)


@dataclass(frozen=True, slots=True)
class Cutting:
    """Where recordings are cut.

    Attributes:
        every_ns: length of a part; a multiple of a slice.
        before_ns: what the networks see before a part; of faces they have remembered up to 12 s.
        after_ns: what they see after it, so that a movement that ends with the part is known.
    """

    every_ns: int = 60 * _S
    before_ns: int = 20 * _S
    after_ns: int = 2 * _S


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """Where a part begins, and what is known of the recording there.

    Attributes:
        number: counts the parts of one length from the begin of the recording, from 0.
        begin_ns: begin of the part on the sensor's clock.
        synchronizer: has seen all that comes more than `Cutting.before_ns` before.
        newest_ns: ROS time up to which it has seen frames.
    """

    number: int
    begin_ns: int
    synchronizer: Synchronizer
    newest_ns: int


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A part of a recording.

    Attributes:
        number: of the part.
        analysis: of the part. Its movements are those that end in it, or close to its ends; the
            numbers of items, losses and damage are right in the first part, for all parts.
        starts: of all other parts; known to the first part alone.
    """

    number: int
    analysis: Analysis
    starts: tuple[Start, ...] = ()


class PartStream(SliceStream):
    """The slices of one part of a recording, and of some time around it.

    Args:
        recording: what to read.
        start: of the part; None for the first.
        cutting: where the recording is cut.
        options: how slices are cut.
        rgb_topic: topic of a bag's images; None for the first in the bag, if it has any.

    Attributes:
        starts: of the other parts, as far as the first one has read.
        begin_ns: begin of the part on the sensor's clock, once there is a slice.
    """

    def __init__(
        self,
        recording: Recording,
        start: Start | None,
        cutting: Cutting,
        options: SynchronizerOptions | None = None,
        *,
        rgb_topic: str | None = None,
    ) -> None:
        # Copied, so that the same part can be tried again.
        synchronizer = deepcopy(start.synchronizer) if start else None
        super().__init__(recording, options, rgb_topic=rgb_topic, synchronizer=synchronizer)
        self.starts: list[Start] = []
        self.begin_ns = start.begin_ns if start else 0
        self._newest_ns = start.newest_ns if start else None
        self._is_first = start is None
        self._cutting = cutting

    def _pieces(self) -> Iterator[tuple[Events, Triggers]]:
        """Iterate over the pieces of the part; the first part reads the recording to its end."""
        cutting = self._cutting
        number = at_ns = 0
        for piece in super()._pieces():
            at_ns = min(int(part.t[0]) for part in piece if len(part))
            if self._is_first:
                if self._newest_ns is None:
                    self.begin_ns = at_ns // SLICE_NS * SLICE_NS
                passed_ns = at_ns - self.begin_ns
                last = (passed_ns + cutting.before_ns) // cutting.every_ns
                # Minutes in which nothing happens are no parts.
                for later in range(max(number + 1, passed_ns // cutting.every_ns), last + 1):
                    number = later
                    self.starts.append(self._start(number))
            elif at_ns < self.begin_ns - cutting.before_ns:
                continue
            yield piece
            if at_ns >= self.begin_ns + cutting.every_ns + cutting.after_ns:
                self.is_over = True
                if not self._is_first:
                    return
        # The recording may end when the next part has just been prepared.
        self.starts = [start for start in self.starts if start.begin_ns <= at_ns]

    def _start(self, number: int) -> Start:
        begin_ns = self.begin_ns + number * self._cutting.every_ns
        assert self._newest_ns is not None
        return Start(number, begin_ns, deepcopy(self._synchronizer), self._newest_ns)


def analyze_part(
    recording: Recording,
    classifier: ActionUnitClassifier,
    start: Start | None = None,
    options: SynchronizerOptions | None = None,
    *,
    rgb_topic: str | None = None,
    cutting: Cutting | None = None,
) -> Part:
    """Read Action Units and movements from a part of a recording.

    Args:
        recording: what to read; it is read from its begin, as most formats need.
        classifier: reads the units.
        start: of the part; None for the first, which finds those of the others.
        options: how slices are cut.
        rgb_topic: topic of a bag's images; None for the first, if it has any.
        cutting: where the recording is cut.

    Raises:
        MicroexprError: the recording cannot be read.
    """
    cutting = cutting or Cutting()
    stream = PartStream(recording, start, cutting, options, rgb_topic=rgb_topic)
    rows = AnalysisRows()
    movements: list[TimedMovement] = []
    for analyzed in read_faces(stream, classifier):
        movements += analyzed.movements
        end_ns = analyzed.aligned.slice.clock_end_ns
        if stream.begin_ns < end_ns <= stream.begin_ns + cutting.every_ns:
            rows.add(replace(analyzed, movements=()))
    earliest_ns = stream.begin_ns - _SEAM_NS * (start is not None)
    latest_ns = stream.begin_ns + cutting.every_ns + _SEAM_NS
    inside = tuple(
        movement
        for movement in movements
        if earliest_ns < movement.expression.offset_ns <= latest_ns
    )
    found = replace(rows.finish(recording, stream, classifier.model), movements=inside)
    return Part(start.number if start else 0, found, tuple(stream.starts))


def join_parts(parts: Sequence[Part]) -> Analysis:
    """Return the analysis of a recording all of whose parts are known, in their order."""
    movements: list[TimedMovement] = []
    for part in parts:
        for movement in part.analysis.movements:
            if not any(_are_one(movement, other) for other in movements[-_NEIGHBOURS:]):
                movements.append(movement)
    rows: dict[str, Any] = {
        name: np.concatenate([getattr(part.analysis, name) for part in parts]) for name in _ROWS
    }
    return replace(parts[0].analysis, **rows, movements=tuple(movements))


_NEIGHBOURS: Final = 8
"""Movements that may end close to one cut."""


def _are_one(one: TimedMovement, other: TimedMovement) -> bool:
    """Return whether two parts found one movement, as both times and units overlap."""
    a, b = one.expression, other.expression
    return (
        a.kind is b.kind
        and not set(a.codes).isdisjoint(b.codes)
        and a.onset_ns < b.offset_ns
        and b.onset_ns < a.offset_ns
    )
