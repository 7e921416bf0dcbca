"""Live event cameras: one interface for all libraries that read them."""

from __future__ import annotations

import importlib
from typing import Final

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.cameras.camera import (
    Batch,
    Camera,
    CameraAbsentError,
    CameraLostError,
)
from microexpr_ros.events.cameras.connection import Connection
from microexpr_ros.events.cameras.file_camera import FileCamera
from microexpr_ros.events.cameras.order import in_order
from microexpr_ros.events.cameras.settings import (
    TRIGGER_MODES,
    CameraSettings,
    parse_biases,
    parse_roi,
    read_bias_file,
)

__all__ = [
    'DRIVERS',
    'TRIGGER_MODES',
    'Batch',
    'Camera',
    'CameraAbsentError',
    'CameraLostError',
    'CameraSettings',
    'Connection',
    'FileCamera',
    'in_order',
    'open_camera',
    'parse_biases',
    'parse_roi',
    'read_bias_file',
]

DRIVERS: Final = {'neuromorphic': 'neuromorphic-drivers', 'inivation': 'dv-processing'}
"""Drivers of cameras on USB, and the package on PyPI that each of them needs."""


def open_camera(driver: str, settings: CameraSettings) -> Camera:
    """Open a camera on USB.

    Args:
        driver: One of DRIVERS; the module of that name does the work.
        settings: Which camera, and how it is set up.

    Raises:
        CameraAbsentError: No such camera is connected, or it cannot be opened now.
        MicroexprError: The driver is not known or not installed, or a setting is not one of
            the camera's.
    """
    if driver not in DRIVERS:
        raise MicroexprError(f'unknown driver {driver!r}: choose one of {", ".join(DRIVERS)}')
    try:
        module = importlib.import_module(f'microexpr_ros.events.cameras.{driver}')
    except ImportError as error:
        raise MicroexprError(
            f'driver {driver} needs {DRIVERS[driver]} ({error}): pip install {DRIVERS[driver]}'
        ) from None
    camera: Camera = module.open_camera(settings)
    return camera
