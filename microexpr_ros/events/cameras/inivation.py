"""Cameras that dv-processing reads: all of iniVation's, DAVIS and DVXplorer."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final

import dv_processing as dv
import numpy as np

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.cameras.camera import (
    Batch,
    Camera,
    CameraAbsentError,
    CameraLostError,
)
from microexpr_ros.events.cameras.settings import CameraSettings, require_biases, require_roi
from microexpr_ros.events.events import Events, Frame, Triggers

_EDGES: Final = {
    dv.TriggerType.EXTERNAL_SIGNAL_RISING_EDGE: 1,
    dv.TriggerType.EXTERNAL_SIGNAL_FALLING_EDGE: 0,
    dv.TriggerType.EXTERNAL_SIGNAL_PULSE: 1,
}
"""Edge by type of trigger; the other types, such as those of the camera's own frames, are not
signals on the trigger input."""

# More stores than usually come between two reads; the rest is left for the next read, so that a
# fast stream does not keep the others waiting.
_MOST_AT_ONCE: Final = 64


def open_camera(settings: CameraSettings) -> InivationCamera:
    """Open the camera with the serial number of the settings, or the first one found.

    Raises:
        CameraAbsentError: It is not connected, or another program or missing rights keep it
            closed.
        MicroexprError: A setting is not one of the camera's.
    """
    found = dv.io.camera.discover()
    fitting = [device for device in found if settings.serial in ('', device.serialNumber)]
    if not fitting:
        others = ', '.join(f'{one.cameraModel.name} {one.serialNumber}' for one in found)
        raise CameraAbsentError(
            f'no camera with serial {settings.serial}; there is {others}'
            if found
            else 'no iniVation camera on USB'
        )
    try:
        source = dv.io.camera.open(fitting[0])
    except RuntimeError as error:
        raise CameraAbsentError(
            f'{fitting[0].cameraModel.name} {fitting[0].serialNumber} cannot be opened: '
            f'{_reason(error)}; the right to open it comes with a udev rule for vendor 152a'
        ) from None
    set_up(source, settings)
    return InivationCamera(source)


def set_up(source: Any, settings: CameraSettings) -> None:
    """Set up a camera that the library has opened.

    Raises:
        MicroexprError: A setting is not one of this camera's.
    """
    model = source.getCameraName()
    biases = biases_of(source)
    bounds = {name: bound for name, (bound, _) in biases.items()}
    require_biases(settings.biases, bounds, model)
    for name, value in settings.biases.items():
        biases[name][1](value)
    if settings.roi is not None:
        width, height = source.getEventResolution()
        require_roi(settings.roi, height, width)
        roi = settings.roi
        source.setCropArea((roi.x, roi.y, roi.width, roi.height))
    if hasattr(source, 'setDetectorRunning'):
        listening = settings.trigger_in_mode == 'external'
        source.setDetectorRisingEdges(listening)
        source.setDetectorFallingEdges(listening)
        source.setDetectorRunning(listening)
    elif settings.trigger_in_mode != 'disabled':
        raise MicroexprError(
            f'trigger_in_mode {settings.trigger_in_mode}: {model} has no trigger input; '
            'use disabled'
        )
    source.setTimeInterval(timedelta(microseconds=max(settings.interval_ns // 1000, 1)))


_Bias = tuple[tuple[int, int], Callable[[int], None]]


def biases_of(source: Any) -> Mapping[str, _Bias]:
    """Return range and setter of each bias of a camera that the library has opened.

    DVXplorers have two contrast thresholds. A current of the DAVIS346 has a coarse and a fine
    part, named as the ROS driver does: `DiffBn` of the data sheet is `Diff_coarse` and
    `Diff_fine` here.
    """
    if hasattr(source, 'setContrastThresholdOn'):
        return {
            'contrast_threshold_on': ((0, 17), source.setContrastThresholdOn),
            'contrast_threshold_off': ((0, 17), source.setContrastThresholdOff),
        }
    davis = dv.io.camera.DAVIS
    if not (
        hasattr(source, 'getSensorModel') and source.getSensorModel() == davis.SensorModel.DAVIS346
    ):
        return {}
    biases: dict[str, _Bias] = {}
    for name, current in davis.Davis346BiasCF.__members__.items():
        biases[f'{name}_coarse'] = ((0, 7), _part_of(source, current, 0))
        biases[f'{name}_fine'] = ((0, 255), _part_of(source, current, 1))
    return biases


def _part_of(source: Any, current: Any, index: int) -> Callable[[int], None]:
    def change(value: int) -> None:
        parts = list(source.getDavis346BiasCoarseFine(current))
        parts[index] = value
        source.setDavis346BiasCoarseFine(current, *parts)

    return change


class InivationCamera(Camera):
    """A camera that the library has opened, or another of its sources of events."""

    def __init__(self, source: Any) -> None:
        # The library's name is model and serial number, joined by an underscore.
        self.model, _, self.serial = str(source.getCameraName()).rpartition('_')
        self.width, self.height = map(int, source.getEventResolution())
        self._source: Any = source
        self._has_triggers = bool(source.isTriggerStreamAvailable())
        self._has_frames = bool(source.isFrameStreamAvailable())

    def read(self, timeout_s: float) -> Batch:
        """Return the data since the last call; see `Camera.read`."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            try:
                batch = self._collect()
                is_gone = batch is None and not self._source.isRunning()
            except RuntimeError as error:
                raise CameraLostError(f'{self._name} is gone: {_reason(error)}') from None
            if batch is not None:
                return batch
            if is_gone:
                raise CameraLostError(f'{self._name} is gone')
            if time.monotonic() > deadline_s:
                return Batch(arrival_ns=time.time_ns())
            time.sleep(0.001)

    @property
    def _name(self) -> str:
        return f'{self.model} {self.serial}'

    def _collect(self) -> Batch | None:
        source = self._source
        stores = _drain(source.getNextEventBatch)
        triggers = _drain(source.getNextTriggerBatch) if self._has_triggers else []
        frames = _drain(source.getNextFrame) if self._has_frames else []
        if not stores and not triggers and not frames:
            return None
        for store in stores[1:]:
            stores[0].add(store)
        return Batch(
            to_events(stores[0]) if stores else Events.empty(),
            to_triggers([trigger for some in triggers for trigger in some]),
            tuple(to_frame(frame) for frame in frames),
            time.time_ns(),
        )

    def close(self) -> None:
        """Release the camera."""
        self._source = None


def _drain(take: Callable[[], Any]) -> list[Any]:
    taken: list[Any] = []
    while len(taken) < _MOST_AT_ONCE and (one := take()) is not None:
        taken.append(one)
    return taken


def to_events(store: dv.EventStore) -> Events:
    """Turn an event store, with times in us, into events."""
    table = store.numpy()
    return Events(
        table['timestamp'] * 1000,
        table['x'].astype(np.uint16),
        table['y'].astype(np.uint16),
        table['polarity'].astype(np.uint8),
    )


def to_triggers(triggers: list[dv.Trigger]) -> Triggers:
    """Turn triggers of the camera's input, with times in us, into triggers of channel 0."""
    outside = [trigger for trigger in triggers if trigger.type in _EDGES]
    return Triggers(
        np.array([trigger.timestamp for trigger in outside], np.int64) * 1000,
        np.zeros(len(outside), np.uint8),
        np.array([_EDGES[trigger.type] for trigger in outside], np.uint8),
    )


def to_frame(frame: dv.Frame) -> Frame:
    """Turn a frame, whose timestamp is the start of its exposure, into one of ours."""
    pixels = np.array(frame.image, np.uint8)
    exposure_us = frame.exposure // timedelta(microseconds=1)
    # The library has OpenCV's order of colours.
    return Frame(
        int(frame.timestamp) * 1000 + exposure_us * 500,
        pixels[..., ::-1] if pixels.ndim == 3 else pixels,
    )


def _reason(error: RuntimeError) -> str:
    """Return the message of an error of the library, without the stack trace in it."""
    lines = str(error).splitlines()
    reasons = [line.removeprefix('RuntimeError: ') for line in lines if line.startswith('Runtime')]
    return next(iter(reasons + lines), 'no reason given')
