"""What a recording shows: estimates and movements as arrays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.alignment.synchronizer import SynchronizerOptions
from microexpr_ros.analysis.chain import AnalyzedSlice, TimedMovement, read_faces
from microexpr_ros.analysis.stream import SliceStream
from microexpr_ros.events.files import Recording, open_recording
from microexpr_ros.events.region import Region
from microexpr_ros.facs import CODES, ExpressionKind
from microexpr_ros.perception.classifier import ActionUnitClassifier, Status
from microexpr_ros.perception.faces.sources import AUTO, EVENTS, known_source, open_trackers

ROW_ARRAYS: Final = (
    *('clock_ns', 'stamp_ns', 'face', 'status', 'region'),
    *('sides', 'confidence', 'active'),
)
"""Names of the arrays of `Analysis`, which have a row for each face of each slice."""

_NS: Final = 1e9


@dataclass(frozen=True, slots=True, eq=False)
class Analysis:
    """All that was found in a recording, in T rows: of each slice of 10 ms one for each face.

    The nearest face of a slice comes first; one row shows that there is none.

    Units are in the order of `facs.CODES`; left and right are the subject's own.

    Attributes:
        source: name of the recording.
        format: its format, for people.
        sensor: columns and rows of the event sensor.
        model: name and hash of the network.
        face_source: what faces were known from: rgb (frames, and events while these show none),
            events, or fixed (a fixed region).
        start_ns: begin of the first slice on the sensor's clock; 0 without slices.
        clock_ns: int64 [T], end of each slice on the sensor's clock, ns.
        stamp_ns: int64 [T], end of each slice, ROS time of the sensor, ns.
        face: int64 [T], number of the face, counted up whenever one is found anew; -1 without.
        status: int64 [T], what the estimate is worth, of `Status`.
        region: float32 [T, 4], first column and row, width and height of what the networks saw,
            px of the event sensor; nan without a face.
        sides: float32 [T, 18, 2], intensities on the left and on the right, 0 to 1.
        confidence: float32 [T, 18], probability that `active` is right, 0 to 1.
        active: bool [T, 18], which units are present.
        movements: expressions, blinks and speech, in the order in which they were found.
        events: events that were read.
        frames: frames that were read.
        losses: number of items of the recording that were left out, by reason.
        held: events and triggers that were out of order and got the newest time before them.
        damage: damaged places of the recording, one line each.
    """

    source: str
    format: str
    sensor: tuple[int, int]
    model: str
    face_source: str
    start_ns: int
    clock_ns: NDArray[np.int64]
    stamp_ns: NDArray[np.int64]
    face: NDArray[np.int64]
    status: NDArray[np.int64]
    region: NDArray[np.float32]
    sides: NDArray[np.float32]
    confidence: NDArray[np.float32]
    active: NDArray[np.bool_]
    movements: tuple[TimedMovement, ...]
    events: int
    frames: int
    losses: dict[str, int]
    held: int
    damage: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.clock_ns)

    @property
    def time_s(self) -> NDArray[np.float64]:
        """End of each slice, s since the begin of the first, float64 [T]."""
        return (self.clock_ns - self.start_ns) / _NS

    @property
    def nearest(self) -> NDArray[np.bool_]:
        """Which rows are of the nearest face, one in each slice, bool [T]."""
        return np.asarray(np.diff(self.clock_ns, prepend=self.start_ns) != 0)

    @property
    def intensity(self) -> NDArray[np.float32]:
        """Intensity of the stronger side, float32 [T, 18], 0 to 1."""
        return np.asarray(self.sides.max(axis=2), np.float32)

    def seconds(self, clock_ns: int) -> float:
        """Return a moment on the sensor's clock in s since the begin of the first slice."""
        return (clock_ns - self.start_ns) / _NS

    def summarize(self) -> dict[str, Any]:
        """Return the main numbers as JSON; `left_out` names what is not 0."""
        slices = Counter(self.status[self.nearest].tolist())
        kinds = Counter(movement.expression.kind for movement in self.movements)
        expressions = [
            movement.expression
            for movement in self.movements
            if movement.expression.kind is ExpressionKind.EXPRESSION
        ]
        return {
            'recording': self.source,
            'format': self.format,
            'sensor': list(self.sensor),
            'model': self.model,
            'face_source': self.face_source,
            'seconds': round(float(self.time_s[-1]), 3) if len(self) else 0.0,
            'slices': int(self.nearest.sum()),
            'events': self.events,
            'frames': self.frames,
            'faces': len(set(self.face[self.face >= 0].tolist())),
            'status': {status.name: slices[status] for status in Status if slices[status]},
            'micro_expressions': sum(expression.micro for expression in expressions),
            'expressions': len(expressions),
            'blinks': kinds[ExpressionKind.BLINK],
            'speech': kinds[ExpressionKind.SPEECH],
            'left_out': {reason: number for reason, number in self.losses.items() if number},
            'times_held': self.held,
            'damage': list(self.damage),
        }


def analyze(
    source: Path | str,
    *,
    topic: str | None = None,
    rgb_topic: str | None = None,
    time_unit: str | None = None,
    sensor: tuple[int, int] | None = None,
    weights: Path | str | None = None,
    options: SynchronizerOptions | None = None,
    face_source: str = AUTO,
) -> Analysis:
    """Read Action Units and movements from a recording, without ROS and without waiting.

    The result is what the nodes `synchronizer` and `au_classifier` publish of the same recording,
    and the same every time.

    Args:
        source: a recording of any of `events.files.KNOWN_FORMATS`.
        topic: topic of a bag's events, if it has more than one.
        rgb_topic: topic of a bag's images; None for the first, if it has any.
        time_unit: unit of the times of arrays, s, us or ns, where the format does not say it.
        sensor: columns and rows of the event sensor, where the file does not say them.
        weights: weights file of the network; None for the shipped one.
        options: how slices are cut, and where the face is, if it is not to be followed.
        face_source: what faces are found in: rgb (the frames, by MediaPipe; while none shows a
            face, as events), events, or auto (rgb where MediaPipe is installed, else events).

    Raises:
        MicroexprError: the recording cannot be read, or something must be given.
    """
    recording = open_recording(source, time_unit=time_unit, sensor=sensor, topic=topic)
    classifier = ActionUnitClassifier.load(Path(weights) if weights else None)
    return analyze_recording(
        recording, classifier, options, rgb_topic=rgb_topic, face_source=face_source
    )


def analyze_recording(
    recording: Recording,
    classifier: ActionUnitClassifier,
    options: SynchronizerOptions | None = None,
    *,
    rgb_topic: str | None = None,
    face_source: str = EVENTS,
    on_progress: Callable[[float], object] = lambda _: None,
    on_slice: Callable[[AnalyzedSlice], object] | None = None,
) -> Analysis:
    """Read Action Units and movements from a recording that is open.

    Args:
        recording: what to read.
        classifier: reads the units.
        options: as of `analyze`.
        rgb_topic: as of `analyze`.
        face_source: as of `analyze`; events is the default, as parts of recordings need it.
        on_progress: called with the fraction of the recording that is read.
        on_slice: called with each slice, in order.

    Raises:
        MicroexprError: the recording cannot be read.
    """
    rows = AnalysisRows()
    with open_trackers(face_source, options.geometry if options else None) as make_tracker:
        stream = SliceStream(
            recording,
            options,
            make_tracker=make_tracker,
            rgb_topic=rgb_topic,
            on_progress=on_progress,
        )
        for analyzed in read_faces(stream, classifier):
            rows.add(analyzed)
            if on_slice is not None:
                on_slice(analyzed)
    return rows.finish(recording, stream, classifier.model, face_source, options)


class AnalysisRows:
    """Collects what is found, slice by slice."""

    def __init__(self) -> None:
        self._clock_ns: list[int] = []
        self._stamp_ns: list[int] = []
        self._face: list[int] = []
        self._status: list[int] = []
        self._region: list[tuple[float, float, float, float]] = []
        self._sides: list[NDArray[np.float32]] = []
        self._confidence: list[NDArray[np.float32]] = []
        self._active: list[NDArray[np.bool_]] = []
        self._movements: list[TimedMovement] = []
        self._start_ns = 0

    def __len__(self) -> int:
        return len(self._clock_ns)

    def add(self, analyzed: AnalyzedSlice) -> None:
        """Take in the next slice."""
        slice_, estimate = analyzed.aligned.slice, analyzed.estimate
        if not self._clock_ns:
            self._start_ns = slice_.clock_end_ns - slice_.duration_ns
        self._clock_ns.append(slice_.clock_end_ns)
        self._stamp_ns.append(slice_.end_ns)
        self._face.append(analyzed.aligned.face)
        self._status.append(int(estimate.status))
        self._region.append(_bounds(slice_.region))
        self._sides.append(estimate.sides)
        self._confidence.append(estimate.confidence)
        self._active.append(estimate.active)
        self._movements += analyzed.movements

    def finish(
        self,
        recording: Recording,
        stream: SliceStream,
        model: str,
        face_source: str,
        options: SynchronizerOptions | None,
    ) -> Analysis:
        """Return all that was found in a recording whose slices have been read.

        Args:
            recording: the recording.
            stream: its slices.
            model: name and hash of the network.
            face_source: what finds faces where the region is not fixed, as it was asked for.
            options: how slices were cut.
        """
        is_fixed = options is not None and options.region is not None
        units, number = len(CODES), len(self._clock_ns)
        return Analysis(
            source=recording.path.name,
            format=recording.kind,
            sensor=(recording.width, recording.height),
            model=model,
            face_source=known_source(face_source, is_fixed, stream.frames),
            start_ns=self._start_ns,
            clock_ns=np.array(self._clock_ns, np.int64),
            stamp_ns=np.array(self._stamp_ns, np.int64),
            face=np.array(self._face, np.int64),
            status=np.array(self._status, np.int64),
            region=np.array(self._region, np.float32).reshape(number, 4),
            sides=np.array(self._sides, np.float32).reshape(number, units, 2),
            confidence=np.array(self._confidence, np.float32).reshape(number, units),
            active=np.array(self._active, np.bool_).reshape(number, units),
            movements=tuple(self._movements),
            events=stream.events,
            frames=stream.frames,
            losses=stream.losses,
            held=recording.held,
            damage=stream.damage,
        )


def _bounds(region: Any) -> tuple[float, float, float, float]:
    """Return the smallest rectangle around the region of a slice; nan without one."""
    if region is None:
        return (np.nan,) * 4
    box = region if isinstance(region, Region) else region.bounds()
    return box.x, box.y, box.width, box.height
