"""Names of the topics between our nodes, relative to the nodes' namespace."""

from __future__ import annotations

from typing import Final

from microexpr_ros.topics import (
    EVENT_CAMERA_INFO_TOPIC,
    EVENT_FRAMES_TOPIC,
    EVENTS_TOPIC,
    FRAMES_TOPIC,
    RGB_CAMERA_INFO_TOPIC,
    relative,
)

EVENTS: Final = relative(EVENTS_TOPIC)
EVENT_CAMERA_IMAGE: Final = relative(EVENT_FRAMES_TOPIC)
EVENT_CAMERA_INFO: Final = relative(EVENT_CAMERA_INFO_TOPIC)
RGB_IMAGE: Final = relative(FRAMES_TOPIC)
RGB_CAMERA_INFO: Final = relative(RGB_CAMERA_INFO_TOPIC)
ALIGNED_EVENTS: Final = 'aligned_events'
ACTION_UNITS: Final = 'au_predictions'
ACTION_UNITS_RAW: Final = 'au_predictions/raw'
MICRO_EXPRESSIONS: Final = 'micro_expressions'
RECONSTRUCTION: Final = 'reconstruction/image'
UNCERTAINTY: Final = 'reconstruction/uncertainty'
PASTED: Final = 'reconstruction/pasted'
OVERLAY: Final = 'overlay/image'

CAMERA_EVENTS: Final = '~/events'
CAMERA_IMAGE: Final = '~/image_raw'
CAMERA_INFO: Final = '~/camera_info'
"""As a camera node publishes: below its own name, as ROS camera drivers do."""

TF: Final = '/tf'
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

REDACTED: Final = (ACTION_UNITS, MICRO_EXPRESSIONS, DIAGNOSTICS)
"""Recorded by default without pictures of persons."""
