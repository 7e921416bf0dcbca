"""Names of the topics between our nodes, relative to the nodes' namespace."""

from __future__ import annotations

from typing import Final

EVENTS: Final = 'event_camera/events'
EVENT_CAMERA_IMAGE: Final = 'event_camera/image_raw'
EVENT_CAMERA_INFO: Final = 'event_camera/camera_info'
RGB_IMAGE: Final = 'rgb_camera/image_raw'
RGB_CAMERA_INFO: Final = 'rgb_camera/camera_info'
ALIGNED_EVENTS: Final = 'aligned_events'
ACTION_UNITS: Final = 'au_predictions'
ACTION_UNITS_RAW: Final = 'au_predictions/raw'
MICRO_EXPRESSIONS: Final = 'micro_expressions'
RECONSTRUCTION: Final = 'reconstruction/image'
OVERLAY: Final = 'overlay/image'

CAMERA_EVENTS: Final = '~/events'
CAMERA_IMAGE: Final = '~/image_raw'
"""As a camera node publishes: below its own name, as ROS camera drivers do."""

CLOCK: Final = '/clock'
DIAGNOSTICS: Final = '/diagnostics'

RECORDED: Final = (
    EVENTS,
    EVENT_CAMERA_IMAGE,
    EVENT_CAMERA_INFO,
    RGB_IMAGE,
    RGB_CAMERA_INFO,
    ALIGNED_EVENTS,
    ACTION_UNITS,
    MICRO_EXPRESSIONS,
)
"""Recorded by default: everything that cannot be computed again from the rest, and the results."""
