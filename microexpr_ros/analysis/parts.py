"""Long recordings in parts, which are cut alike wherever they are analyzed.

Each part begins with all that is remembered where the one before it ends (`Start`), and reads the
recording on from there. So parts follow each other, on any workers, and together they are the
recording as a whole, to the last bit.

Parts that begin at rest, some time before the cut, could run side by side, but spiking neurons
need not forget: with a steady input, one that fires in every second slice goes on for ever in the
even or in the odd ones, as it began.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from microexpr_ros.alignment.synchronizer import SynchronizerOptions
from microexpr_ros.analysis.chain import AnalyzedSlice, Chain, ChainState
from microexpr_ros.analysis.results import ROW_ARRAYS, Analysis, AnalysisRows
from microexpr_ros.analysis.stream import SliceStream, StreamState
from microexpr_ros.events.files import Recording
from microexpr_ros.perception.classifier import ActionUnitClassifier
from microexpr_ros.perception.faces.sources import EVENTS

PART_NS: Final = 60_000_000_000
"""Length of a part on the sensor's clock."""


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """Where a part begins, and what is remembered there.

    Attributes:
        number: of the part, from 0.
        stream: how far slices were cut.
        chain: what is remembered of the faces.
    """

    number: int
    stream: StreamState
    chain: ChainState


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A part of a recording.

    Attributes:
        number: of the part, from 0.
        analysis: of the part. Numbers of items, losses and damage count from the begin of the
            recording to the end of the part.
        next: where the next part begins; None if this is the last.
    """

    number: int
    analysis: Analysis
    next: Start | None = None


def analyze_part(
    recording: Recording,
    classifier: ActionUnitClassifier,
    start: Start | None = None,
    options: SynchronizerOptions | None = None,
    *,
    rgb_topic: str | None = None,
    part_ns: int = PART_NS,
) -> Part:
    """Read Action Units and movements from a part of a recording.

    Args:
        recording: what to read.
        classifier: reads the units.
        start: of the part; None for the first.
        options: how slices are cut, as of the parts before.
        rgb_topic: topic of a bag's images; None for the first, if it has any.
        part_ns: length of a part.

    Raises:
        MicroexprError: the recording cannot be read.
    """
    # Copied, so that the same part can be tried again.
    start = deepcopy(start)
    number = start.number if start else 0
    first: int | None = None

    def is_over(begin_ns: int, next_ns: int) -> bool:
        # Cuts lie at multiples of the length; minutes in which nothing happens are no parts.
        nonlocal first
        cut = (next_ns - begin_ns) // part_ns
        first = cut if first is None else first
        return cut > first

    stream = SliceStream(
        recording,
        options,
        rgb_topic=rgb_topic,
        state=start.stream if start else None,
        until=is_over,
    )
    chain = Chain(classifier, start.chain if start else None)
    rows = AnalysisRows()

    def add(analyzed: AnalyzedSlice | None) -> None:
        if analyzed is not None:
            rows.add(analyzed)

    for aligned in stream:
        add(chain.take(aligned))
    if stream.stopped is None:
        add(chain.finish())
        following = None
    else:
        following = Start(number + 1, stream.stopped, chain.state)
    analysis = rows.finish(recording, stream, classifier.model, EVENTS, options)
    return Part(number, analysis, following)


def join_parts(parts: Sequence[Part]) -> Analysis:
    """Return the analysis of a recording all of whose parts are known, in their order."""
    analyses = [part.analysis for part in parts]
    rows: dict[str, Any] = {
        name: np.concatenate([getattr(one, name) for one in analyses]) for name in ROW_ARRAYS
    }
    return replace(
        analyses[-1],
        start_ns=analyses[0].start_ns,
        movements=tuple(movement for one in analyses for movement in one.movements),
        **rows,
    )
