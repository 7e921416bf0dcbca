"""Snapshots: all that the page shows at one moment, in one binary message.

A snapshot is complete: a viewer that misses any number of them needs only the next. It is

- the length of the JSON text in bytes, uint32, little-endian,
- the JSON text, UTF-8,
- one JPEG with a row for each face, in the order of `faces`: events on the left, the
  reconstruction on the right, each `SIDE` x `SIDE` pixels.
"""

from __future__ import annotations

import json
import math
import struct
from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from microexpr_ros.alignment.synchronizer import AlignedSlice
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.region import AlignedRegion
from microexpr_ros.perception.classifier import ActionUnitEstimate
from microexpr_ros.perception.drawing import BACKGROUND, FADE, OFF, ON
from microexpr_ros.perception.spotting import MicroExpression

SIDE: Final = 128
"""Side of a picture in pixels."""

JPEG_QUALITY: Final = 80
GAIN: Final = 1.6
"""Colour of a cell with one event per sensor pixel; 1 is full colour."""

FORGET_NS: Final = 200_000_000
"""A face of which no slice has come for so long, in time of the sensor, is shown no more."""

LATEST_EXPRESSIONS: Final = 12
"""Movements in each snapshot, so that a viewer that missed some snapshots misses no expression."""

_LENGTH: Final = struct.Struct('<I')
_JPEG: Final = (
    cv2.IMWRITE_JPEG_QUALITY,
    JPEG_QUALITY,
    # Without full resolution of colour, ON and OFF mix where they meet.
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
)
_LEVELS: Final = 16
"""Levels of brightness of each polarity, so that both together index a table of 256 colours."""

# From density, 0 to 255, to level: the square root shows single events too.
_LEVEL_OF: Final = ((_LEVELS - 1) * np.sqrt(np.arange(256) / 255)).round().astype(np.uint8)


def _make_colours() -> NDArray[np.uint8]:
    """Return the colour of `_LEVELS * off + on`, uint8 [256, 1, 3] in OpenCV's order."""
    level = np.linspace(0, 1, _LEVELS)[:, None]
    dark, on, off = (np.array(colour[::-1]) for colour in (BACKGROUND, ON, OFF))
    mixed = dark + (level * (off - dark))[:, None] + level * (on - dark)
    colours = np.clip(mixed.round(), 0, 255).astype(np.uint8)
    return np.asarray(colours.reshape(_LEVELS**2, 1, 3), np.uint8)


_COLOURS: Final = _make_colours()

_SHOWN_VALUES: Final = ('thresholds', 'lost', 'lost_packets', 'late_events', 'missed_slices')
"""Of what a node reports, that which the page shows."""


UNSURE: Final = 128
"""Half width of an interval, in grey levels, that says nothing: it spans all of them."""

TINT: Final = np.array((1.36, 0.89, 1.05), np.float32)
"""Factors that make a grey violet, and no brighter: B, G, R of what is least sure."""


@dataclass(frozen=True, slots=True)
class NodeReport:
    """What a node of the pipeline says about itself.

    Attributes:
        name: of the node, without its namespace.
        level: 0 OK, 1 warning, 2 error, 3 stale.
        message: one line for a person.
        values: numbers by name, as text.
    """

    name: str
    level: int
    message: str
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that the page shows at one moment.

    Attributes:
        values: numbers and texts, which JSON can hold.
        pictures: uint8 [SIDE * faces, 2 * SIDE, 3] in OpenCV's order of colours.
    """

    values: dict[str, Any]
    pictures: NDArray[np.uint8]

    def to_bytes(self) -> bytes:
        """Return it as it is sent to viewers."""
        text = json.dumps(self.values, separators=(',', ':'), allow_nan=False).encode()
        _, jpeg = cv2.imencode('.jpg', self.pictures, _JPEG)
        return _LENGTH.pack(len(text)) + text + jpeg.tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Snapshot:
        """Return the snapshot that `to_bytes` wrote; its pictures have the losses of JPEG.

        Raises:
            MicroexprError: the bytes are not a snapshot.
        """
        try:
            [length] = _LENGTH.unpack_from(data)
            values = json.loads(data[_LENGTH.size : _LENGTH.size + length])
            jpeg = np.frombuffer(data, np.uint8, offset=_LENGTH.size + length)
        except (struct.error, ValueError):
            raise MicroexprError(f'{len(data)} bytes are not a snapshot') from None
        return cls(values, np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR_BGR), np.uint8))


@dataclass
class _Face:
    """What is known of one face.

    Attributes:
        slice: newest slice.
        trace: float32 [2, height, width], events that fade, OFF then ON.
        events: events since the snapshot before.
        reconstruction: uint8 [height, width], None before the first.
        interval: uint8 [height, width], half the width of its interval, None before the first.
        estimate: newest estimate, None before the first.
        latency_ns: of that estimate, 0 if unknown.
        strongest: float32 [18, 2], highest intensity of each side since the snapshot before.
        active: bool [18], units that were active since the snapshot before.
    """

    slice: AlignedSlice
    trace: NDArray[np.float32]
    events: int = 0
    reconstruction: NDArray[np.uint8] | None = None
    interval: NDArray[np.uint8] | None = None
    estimate: ActionUnitEstimate | None = None
    latency_ns: int = 0
    strongest: NDArray[np.float32] | None = None
    active: NDArray[np.bool_] | None = None


class SnapshotComposer:
    """Collect what the pipeline publishes, and compose it into snapshots.

    Feed it whatever arrives, in any order. What happens between two snapshots is not lost:
    events are added up, and the highest intensity of each unit is kept.
    """

    def __init__(self) -> None:
        self._faces: dict[str, _Face] = {}
        self._expressions: deque[dict[str, Any]] = deque(maxlen=LATEST_EXPRESSIONS)
        self._reports: dict[str, NodeReport] = {}
        self._newest: AlignedSlice | None = None
        self._nearest = ''
        self._changed = False

    def add_slice(self, aligned: AlignedSlice, face_id: str) -> None:
        """Take in the next slice of a face; an empty face_id means that no face is known."""
        counts, end_ns = aligned.slice.counts, aligned.slice.end_ns
        if self._newest is not None and end_ns < self._newest.slice.end_ns - FORGET_NS:
            # A recording begins again: what was found lies in its future now.
            self._expressions.clear()
        if self._newest is None or end_ns != self._newest.slice.end_ns:
            # The nearest face comes first.
            self._nearest = face_id
        face = self._faces.get(face_id)
        if face is None or face.trace.shape != counts.shape:
            face = self._faces[face_id] = _Face(aligned, np.zeros(counts.shape, np.float32))
        face.slice = aligned
        face.trace *= FADE
        face.trace += counts * np.float32(GAIN * 255 / aligned.slice.pixels_per_cell)
        face.events += aligned.slice.events
        self._newest = aligned
        self._forget_faces(end_ns)
        self._changed = True

    def _forget_faces(self, now_ns: int) -> None:
        # The absolute value, because a recording may begin again.
        gone = [
            face_id
            for face_id, face in self._faces.items()
            if abs(now_ns - face.slice.slice.end_ns) > FORGET_NS
        ]
        for face_id in gone:
            del self._faces[face_id]
        if len(self._faces) > 1:
            # The slices of no face end where those of a face begin.
            self._faces.pop('', None)

    def add_estimate(
        self, estimate: ActionUnitEstimate, face_id: str, latency_ns: int = 0
    ) -> None:
        """Take in the next estimate of a face; one whose slices did not come is left out."""
        face = self._faces.get(face_id)
        if face is None:
            return
        sides = np.asarray(estimate.sides, np.float32)
        if face.strongest is None or face.active is None:
            face.strongest, face.active = sides, estimate.active
        else:
            face.strongest = np.maximum(face.strongest, sides)
            face.active = face.active | estimate.active
        face.estimate, face.latency_ns = estimate, latency_ns
        self._changed = True

    def add_reconstruction(self, pixels: NDArray[np.uint8]) -> None:
        """Take in the next reconstruction, uint8 [height, width], of the nearest face."""
        face = self._faces.get(self._nearest)
        if face is not None:
            face.reconstruction = pixels
            self._changed = True

    def add_interval(self, interval: NDArray[np.uint8]) -> None:
        """Take in how sure the reconstruction of the nearest face is.

        Args:
            interval: uint8 [height, width], half the width of its interval in grey levels.
        """
        face = self._faces.get(self._nearest)
        if face is not None:
            face.interval = interval
            self._changed = True

    def add_expression(self, expression: MicroExpression, face_id: str, micro: bool) -> None:
        """Take in an expression that was found.

        Args:
            expression: its times are those of the slices' stamps.
            face_id: whose it is.
            micro: whether it was shorter than 0.5 s on the sensor's clock, on which a recording
                that is played at another speed takes as long as ever.
        """
        self._expressions.append(
            {
                'face': face_id,
                'codes': list(expression.codes),
                'onset_ms': expression.onset_ns / 1e6,
                'apex_ms': expression.apex_ns / 1e6,
                'offset_ms': expression.offset_ns / 1e6,
                'peak': round(expression.peak, 4),
                'confidence': round(expression.confidence, 3),
                'micro': micro,
            }
        )
        self._changed = True

    def add_report(self, report: NodeReport) -> None:
        """Take in what a node says about itself; it is shown with the next slice."""
        self._reports[report.name] = report

    def compose(self) -> Snapshot | None:
        """Return a snapshot of the newest of everything; None if nothing has changed."""
        if not self._changed or self._newest is None:
            return None
        self._changed = False
        snapshot = Snapshot(
            values={
                'time_ms': self._newest.slice.end_ns / 1e6,
                'clock': self._newest.source.name,
                'clock_error_ms': _error_ms(self._newest),
                'faces': [_face_values(name, face) for name, face in self._faces.items()],
                'expressions': list(self._expressions),
                'nodes': {name: _report_values(report) for name, report in self._reports.items()},
            },
            pictures=_draw_faces(self._faces.values()),
        )
        for face in self._faces.values():
            face.events, face.strongest, face.active = 0, None, None
        return snapshot


def _error_ms(aligned: AlignedSlice) -> float | None:
    """Return how far the clocks may be apart; None if stamps of packets mean nothing."""
    error_ms = aligned.sync_error_ns / 1e6
    return round(error_ms, 3) if math.isfinite(error_ms) else None


def _face_values(face_id: str, face: _Face) -> dict[str, Any]:
    region, landmarks = face.slice.slice.region, face.slice.landmarks
    bounds = region and region.bounds()
    aligned = region if isinstance(region, AlignedRegion) else None
    shares = None if aligned is None or landmarks is None else aligned.to_shares(landmarks)
    values: dict[str, Any] = {
        'id': face_id,
        'region': bounds and [bounds.x, bounds.y, bounds.width, bounds.height],
        'roll_deg': None if aligned is None else round(math.degrees(aligned.roll), 1),
        'landmarks': None if shares is None else shares.round(3).tolist(),
        'events': face.events,
        'reconstructed': face.reconstruction is not None,
    }
    estimate = face.estimate
    if estimate is None:
        return values
    strongest = estimate.sides if face.strongest is None else face.strongest
    active = estimate.active if face.active is None else face.active
    return values | {
        'status': estimate.status.name,
        'latency_ms': round(face.latency_ns / 1e6, 2),
        'left': strongest[:, 0].round(4).tolist(),
        'right': strongest[:, 1].round(4).tolist(),
        'active': active.tolist(),
        'confidence': estimate.confidence.round(2).tolist(),
    }


def _report_values(report: NodeReport) -> dict[str, Any]:
    shown = {name: report.values[name] for name in _SHOWN_VALUES if name in report.values}
    return {'level': report.level, 'message': report.message, **shown}


def _draw_faces(faces: Collection[_Face]) -> NDArray[np.uint8]:
    """Return a row for each face, uint8 [SIDE * faces, 2 * SIDE, 3] in OpenCV's order."""
    pictures = np.empty((SIDE * len(faces), 2 * SIDE, 3), np.uint8)
    for index, face in enumerate(faces):
        row = pictures[SIDE * index : SIDE * (index + 1)]
        row[:, :SIDE] = _draw_events(face.trace)
        if face.reconstruction is None:
            row[:, SIDE:] = BACKGROUND[::-1]
        else:
            row[:, SIDE:] = _draw_reconstruction(face.reconstruction, face.interval)
    return pictures


def _draw_reconstruction(
    picture: NDArray[np.uint8], interval: NDArray[np.uint8] | None
) -> NDArray[np.uint8]:
    """Return a picture that is violet where it is unsure, in OpenCV's order.

    Hue and not brightness, of which the picture itself is made.
    """
    drawn = np.asarray(cv2.cvtColor(_fit(picture), cv2.COLOR_GRAY2BGR), np.uint8)
    if interval is None:
        return drawn
    unsure = np.minimum(_fit(interval) / np.float32(UNSURE), 1)[..., None]
    return np.asarray(np.minimum(drawn * (1 + unsure * (TINT - 1)), 255), np.uint8)


def _draw_events(trace: NDArray[np.float32]) -> NDArray[np.uint8]:
    off, on = (cv2.LUT(cv2.convertScaleAbs(side), _LEVEL_OF) for side in trace)
    codes = cv2.scaleAdd(off, _LEVELS, on)
    return _fit(np.asarray(cv2.applyColorMap(codes, _COLOURS), np.uint8))


def _fit(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if picture.shape[:2] == (SIDE, SIDE):
        return picture
    return np.asarray(cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)
