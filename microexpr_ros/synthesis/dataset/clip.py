"""A clip: events, frames and ground truth of one face region."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

ARRAYS: Final = (
    'counts',
    'sides',
    'landmarks',
    'frames',
    'frame_slice',
    'target',
    'target_slice',
)
"""Fields of a clip that are arrays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeMetadata:
    """What a take shows.

    Attributes:
        dominant: FACS code of the main unit, 0 for none.
        onset_ns, apex_ns, offset_ns: of the main unit since the take's start; 0 for none.
        amplitude: intensity of the main unit at its apex, 0-1.
        identity: number of the person.
        skin: name of the skin.
        light: name of a kind of light, see `world.light.LightKinds`.
        sensor: name of an event sensor, see `sensors.models.EventSensor`.
        seed: of the data set.
        index: of the take in its split.
        distractors: what else moved: blink, gaze, talk, sway, nod (or shaking of the head), turn,
            shake (of the camera).
    """

    dominant: int
    onset_ns: int
    apex_ns: int
    offset_ns: int
    amplitude: float
    identity: int
    skin: str
    light: str
    sensor: str
    seed: int
    index: int
    distractors: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipMetadata(TakeMetadata):
    """What a clip shows, everything but its arrays.

    Attributes:
        pixels_per_cell: sensor pixels per grid cell.
    """

    pixels_per_cell: float

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> ClipMetadata:
        """Read what `to_json` made.

        Raises:
            KeyError: A value is missing.
        """
        values = {field.name: content[field.name] for field in fields(ClipMetadata)}
        return ClipMetadata(**{**values, 'distractors': tuple(values['distractors'])})

    def to_json(self) -> dict[str, Any]:
        """Return the metadata as JSON."""
        values = {field.name: getattr(self, field.name) for field in fields(ClipMetadata)}
        first = {'pixels_per_cell': values.pop('pixels_per_cell')}
        return {**first, **values, 'distractors': list(self.distractors)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip(ClipMetadata):
    """About a second of one face region; in the split calm, five; in the split rest, ten.

    Attributes:
        counts: uint8 [T, 2, 128, 128], events of each slice of 10 ms, OFF then ON, binned by
            events.grid.accumulate.
        sides: float32 [T, 18, 2], ground truth at the end of each slice, 0-1, in the order of
            facs.CODES, on the subject's left and right.
        landmarks: float32 [T, 5, 2], column and row of `microexpr_ros.landmarks.LANDMARKS` at
            the end of each slice, in cells; the first cell reaches from 0 to 1.
        frames: uint8 [F, 128, 128], frames of a 30 Hz camera of the same region, gamma-encoded
            sRGB luma.
        frame_slice: int32 [F], slice in which each frame was complete.
        target: uint8 [K, 128, 128], what a sharp camera without noise would show at the end of
            the slices `target_slice`, with the exposure of the newest frame.
        target_slice: int32 [K].
    """

    counts: NDArray[np.uint8]
    sides: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    frames: NDArray[np.uint8]
    frame_slice: NDArray[np.int32]
    target: NDArray[np.uint8]
    target_slice: NDArray[np.int32]

    @property
    def intensity(self) -> NDArray[np.float32]:
        """Ground truth of the stronger side, float32 [T, 18], 0-1."""
        return np.asarray(self.sides.max(axis=2), np.float32)

    @property
    def metadata(self) -> ClipMetadata:
        """Everything but the arrays."""
        return ClipMetadata(
            **{field.name: getattr(self, field.name) for field in fields(ClipMetadata)}
        )
