"""From aligned slices to the Action Units and movements of each face."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from microexpr_ros.alignment.faces_in_view import FacesInView
from microexpr_ros.alignment.slice_stamps import SliceStamps
from microexpr_ros.alignment.synchronizer import AlignedSlice
from microexpr_ros.perception.classifier import ActionUnitClassifier, ActionUnitEstimate
from microexpr_ros.perception.face_reading import FaceReader, FaceState
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
        movements: those that ended with it, or whose kind is known now; also of a face that was
            lost after it.
    """

    aligned: AlignedSlice
    estimate: ActionUnitEstimate
    movements: tuple[TimedMovement, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ChainState:
    """What is remembered of all faces from slice to slice, for any other process to go on.

    Attributes:
        stamps: of the last slices.
        in_view: which faces the slices show.
        faces: what is remembered of each.
        pending: the last slice, which may get movements of faces that are lost after it; None
            before the first.
    """

    stamps: SliceStamps
    in_view: FacesInView[int]
    faces: Mapping[int, FaceState]
    pending: AnalyzedSlice | None


class Chain:
    """Finds in each slice what the node `au_classifier` publishes of it.

    Args:
        classifier: reads the units.
        state: where to go on; None for a stream that begins. It is used up.
    """

    def __init__(self, classifier: ActionUnitClassifier, state: ChainState | None = None) -> None:
        self._classifier = classifier
        self._stamps = state.stamps if state else SliceStamps()
        self._in_view = state.in_view if state else FacesInView(-1)
        self._pending = state.pending if state else None
        known = state.faces if state else {}
        self._readers = {face: FaceReader(classifier, one) for face, one in known.items()}

    @property
    def state(self) -> ChainState:
        """What is remembered now."""
        faces = {face: reader.state for face, reader in self._readers.items()}
        return ChainState(self._stamps, self._in_view, faces, self._pending)

    def take(self, aligned: AlignedSlice) -> AnalyzedSlice | None:
        """Take in the next slice; return what was found in the one before it.

        Raises:
            MicroexprError: the slice has another length or grid than the network.
        """
        in_view, readers, stamps, before = (
            self._in_view,
            self._readers,
            self._stamps,
            self._pending,
        )
        lost = in_view.take(aligned.face, aligned.slice)
        if before is not None:
            before = _with_held(before, {face: readers.pop(face) for face in lost}, stamps)
        if in_view.nearest == aligned.face:
            stamps.add(aligned.slice.clock_end_ns, aligned.slice.end_ns)
        reader = readers.get(aligned.face) or FaceReader(self._classifier)
        readers[aligned.face] = reader
        estimate = reader.estimate(aligned.slice)
        found = reader.spot(aligned.slice, estimate)
        self._pending = _with(AnalyzedSlice(aligned, estimate, ()), aligned.face, found, stamps)
        return before

    def finish(self) -> AnalyzedSlice | None:
        """Return the last slice, with what was held back, when no more slices come."""
        pending, self._pending = self._pending, None
        return None if pending is None else _with_held(pending, self._readers, self._stamps)


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
    chain = Chain(classifier)
    for aligned in slices:
        analyzed = chain.take(aligned)
        if analyzed is not None:
            yield analyzed
    last = chain.finish()
    if last is not None:
        yield last


def _with_held(
    analyzed: AnalyzedSlice, lost: Mapping[int, FaceReader], stamps: SliceStamps
) -> AnalyzedSlice:
    """Return a slice with the movements of lost faces added that were held back."""
    for face, reader in lost.items():
        analyzed = _with(analyzed, face, reader.restart_spotting(), stamps)
    return analyzed


def _with(
    analyzed: AnalyzedSlice, face: int, found: Iterable[MicroExpression], stamps: SliceStamps
) -> AnalyzedSlice:
    """Return a slice with movements of a face added."""
    added = tuple(
        TimedMovement(
            face,
            expression,
            *map(
                stamps.to_ros,
                (expression.onset_ns, expression.apex_ns, expression.offset_ns),
            ),
        )
        for expression in found
    )
    return replace(analyzed, movements=analyzed.movements + added) if added else analyzed
