"""From aligned slices to the Action Units and movements of each face."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from microexpr_ros.alignment.slice_stamps import SliceStamps
from microexpr_ros.alignment.synchronizer import AlignedSlice
from microexpr_ros.perception.classifier import ActionUnitClassifier, ActionUnitEstimate
from microexpr_ros.perception.face_reading import FaceReader
from microexpr_ros.perception.spotting import MicroExpression


@dataclass(frozen=True, slots=True)
class TimedMovement:
    """A movement that was found, and its times as stamps.

    Attributes:
        face: number of the face that moved.
        expression: the movement, with times on the sensor's clock.
        onset_stamp_ns: ROS time of the onset.
        apex_stamp_ns: ROS time of the apex.
        offset_stamp_ns: ROS time of the offset.
    """

    face: int
    expression: MicroExpression
    onset_stamp_ns: int
    apex_stamp_ns: int
    offset_stamp_ns: int


@dataclass(frozen=True, slots=True)
class AnalyzedSlice:
    """A slice and what the networks found in it.

    Attributes:
        aligned: the slice.
        estimate: the units at its end.
        movements: those that ended with it, or whose kind is known now.
    """

    aligned: AlignedSlice
    estimate: ActionUnitEstimate
    movements: tuple[TimedMovement, ...]


def read_faces(
    slices: Iterable[AlignedSlice], classifier: ActionUnitClassifier
) -> Iterator[AnalyzedSlice]:
    """Yield what is found in each slice, as the node `au_classifier` publishes it.

    What is held back when the slices end comes with the last of them.

    Args:
        slices: of one sensor, in order.
        classifier: reads the units.

    Raises:
        MicroexprError: the slices have another length or grid than the network.
    """
    reader, stamps = FaceReader(classifier), SliceStamps()
    face: int | None = None
    pending: AnalyzedSlice | None = None
    for aligned in slices:
        held: tuple[MicroExpression, ...] = ()
        if face is not None and aligned.face != face:
            held = reader.restart()
        if pending is not None:
            yield _with(pending, held, stamps)
        face = aligned.face
        stamps.add(aligned.slice.clock_end_ns, aligned.slice.end_ns)
        estimate = reader.estimate(aligned.slice)
        found = reader.spot(aligned.slice, estimate)
        pending = _with(AnalyzedSlice(aligned, estimate, ()), found, stamps)
    if pending is not None:
        yield _with(pending, reader.restart(), stamps)


def _with(
    analyzed: AnalyzedSlice, found: Iterable[MicroExpression], stamps: SliceStamps
) -> AnalyzedSlice:
    """Return a slice with movements added."""
    added = tuple(
        TimedMovement(
            analyzed.aligned.face,
            expression,
            *map(
                stamps.to_ros,
                (expression.onset_ns, expression.apex_ns, expression.offset_ns),
            ),
        )
        for expression in found
    )
    return replace(analyzed, movements=analyzed.movements + added) if added else analyzed
