"""Where the synchronizer knows faces from: its parameter `face_source`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Final

from microexpr_ros.alignment.faces import MakeTracker
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.region import Region
from microexpr_ros.perception.faces import EventFaceTracker, FaceInference

EVENTS: Final = 'events'
FIXED: Final = 'fixed'

FACE_SOURCES: Final = (EVENTS, FIXED)


@dataclass(frozen=True, slots=True)
class FaceSource:
    """Where faces are known from.

    Attributes:
        name: one of FACE_SOURCES.
        description: the same for people.
        make_tracker: makes what finds the faces; None where the region is fixed.
    """

    name: str
    description: str
    make_tracker: MakeTracker | None


def load_face_source(name: str, region: Region | None) -> FaceSource:
    """Return a source of faces that is ready, so that no slice waits for it.

    Args:
        name: one of FACE_SOURCES.
        region: the fixed region, which comes before any other source.

    Raises:
        MicroexprError: a file or a parameter is missing.
    """
    if region is not None:
        place = f'{region.width} x {region.height} at ({region.x}, {region.y})'
        return FaceSource(FIXED, f'in the fixed region {place}', None)
    if name == FIXED:
        raise MicroexprError(
            'face_source is fixed, but region is empty: give [x, y, width, height]'
        )
    return _load_events()


def _load_events() -> FaceSource:
    inference = FaceInference.load()
    inference.warm_up()
    make_tracker = partial(EventFaceTracker, inference=inference)
    return FaceSource(EVENTS, f'found in the events by {inference.model}', make_tracker)
