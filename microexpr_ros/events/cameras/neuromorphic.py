"""Cameras that neuromorphic-drivers reads: Prophesee EVK4 and EVK3 HD, DAVIS346, DVXplorer."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, astuple, replace
from typing import Any, Final

import neuromorphic_drivers as nd
import numpy as np
from numpy.typing import NDArray

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.cameras.camera import (
    Batch,
    Camera,
    CameraAbsentError,
    CameraLostError,
)
from microexpr_ros.events.cameras.settings import CameraSettings, require_biases, require_roi
from microexpr_ros.events.events import Events, Frame, Triggers
from microexpr_ros.events.region import Region

_MODULES: Final[dict[nd.Name, Any]] = {
    nd.Name.PROPHESEE_EVK4: nd.prophesee_evk4,
    nd.Name.PROPHESEE_EVK3_HD: nd.prophesee_evk3_hd,
    nd.Name.INIVATION_DAVIS346: nd.inivation_davis346,
    nd.Name.INIVATION_DVXPLORER: nd.inivation_dvxplorer,
}
_TIMEOUT_S: Final = 0.02
_MASKED: Final = (nd.Name.PROPHESEE_EVK4, nd.Name.PROPHESEE_EVK3_HD)


def open_camera(settings: CameraSettings) -> NeuromorphicCamera:
    """Open the camera with the serial number of the settings, or the first one found.

    Raises:
        CameraAbsentError: It is not connected, or another program or missing rights keep it
            closed.
        MicroexprError: A setting is not one of the camera's.
    """
    name, serial = _find(settings.serial)
    try:
        device = nd.open(
            configuration(name, settings, {}),
            serial=serial,
            # All waiting data at once; without a timeout, a silent camera would block.
            iterator_timeout=_TIMEOUT_S,
            iterator_maximum_raw_packets=0,
        )
    except RuntimeError as error:
        raise CameraAbsentError(f'{name.value} {serial} cannot be opened: {error}') from None
    camera = NeuromorphicCamera(device)
    try:
        # Only an open camera gives the ranges of its biases.
        bounds = asdict(device.biases_bounds())
        require_biases(
            settings.biases,
            {bias: (bound['minimum'], bound['maximum']) for bias, bound in bounds.items()},
            name.value,
        )
        if settings.biases:
            device.update_configuration(configuration(name, settings, settings.biases))
    except BaseException:
        camera.close()
        raise
    return camera


def _find(serial: str) -> tuple[nd.Name, str | None]:
    try:
        found = [device for device in nd.list_devices() if device.name in _MODULES]
    except RuntimeError as error:
        raise CameraAbsentError(f'no camera: USB cannot be searched ({error})') from None
    if not found:
        names = ', '.join(name.value for name in _MODULES)
        raise CameraAbsentError(f'no camera on USB that is one of {names}')
    fitting = [device for device in found if serial in ('', device.serial)]
    if not fitting:
        others = ', '.join(f'{device.name.value} {device.serial}' for device in found)
        raise CameraAbsentError(f'no camera with serial {serial}; there is {others}')
    if fitting[0].error:
        raise CameraAbsentError(
            f'{fitting[0].name.value} cannot be opened: {fitting[0].error}; for the right to '
            'open it, run neuromorphic-drivers-install-udev-rules'
        )
    return fitting[0].name, fitting[0].serial


def configuration(name: nd.Name, settings: CameraSettings, biases: Mapping[str, int]) -> Any:
    """Return the configuration that the library sends to a camera.

    Args:
        name: The camera.
        settings: Its settings; their biases are ignored.
        biases: Value by name, in the camera's range; the others keep their default.

    Raises:
        MicroexprError: A setting is not one of this camera's.
    """
    module = _MODULES[name]
    made = module.Configuration(biases=replace(module.Biases(), **biases))
    if settings.roi is not None:
        properties = module.Properties()
        require_roi(settings.roi, properties.height, properties.width)
        if name in _MASKED:
            _mask(made, settings.roi, properties)
        elif name == nd.Name.INIVATION_DAVIS346:
            x, y, width, height = astuple(settings.roi)
            made.region_of_interest = module.RegionOfInterest(x, y, width, height)
        else:
            raise MicroexprError(
                f'roi: this driver cannot set one up on {name.value}; use driver inivation'
            )
    if name == nd.Name.PROPHESEE_EVK4:
        made.enable_external_trigger = settings.trigger_in_mode == 'external'
    elif settings.trigger_in_mode != 'disabled':
        raise MicroexprError(
            f'trigger_in_mode {settings.trigger_in_mode}: this driver cannot set up the trigger '
            f'input of {name.value}; use disabled'
        )
    return made


def _mask(made: Any, roi: Region, properties: Any) -> None:
    """Turn off all rows and columns that are outside the region."""
    mask: nd.RowColumnMask[Any, Any] = nd.RowColumnMask(
        properties.width, properties.height, set=True
    )
    mask.clear_rectangle(roi.x, roi.y, roi.width, roi.height)
    made.x_mask, made.y_mask = mask.x_mask(), mask.y_mask()


class NeuromorphicCamera(Camera):
    """A camera that the library has opened with a short timeout of its iterator."""

    def __init__(self, device: Any) -> None:
        self.model = str(device.name().value)
        self.serial = str(device.serial())
        self.height = int(device.properties().height)
        self.width = int(device.properties().width)
        self._device: Any = device

    def read(self, timeout_s: float) -> Batch:
        """Return the data since the last call; see `Camera.read`."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            try:
                status, packet = next(self._device)
            except (RuntimeError, StopIteration) as error:
                raise CameraLostError(f'{self.model} {self.serial} is gone: {error}') from None
            if status.ring is not None or time.monotonic() > deadline_s:
                return to_batch(packet, time.time_ns(), status.delay() or 0.0)

    def close(self) -> None:
        """Release the camera."""
        if self._device is not None:
            self._device.close()
            self._device = None


def to_batch(packet: Any, arrival_ns: int, delay_s: float) -> Batch:
    """Turn a packet of the library into a batch.

    Args:
        packet: With the fields of the library's Davis346Packet, DvxplorerPacket or Evt3Packet;
            None if there is no data.
        arrival_ns: Host time of arrival.
        delay_s: How long the oldest data waited.
    """
    if packet is None:
        return Batch(arrival_ns=arrival_ns)
    overflows = (
        packet.polarity_events_overflow_indices,
        packet.trigger_events_overflow_indices,
    )
    return Batch(
        Events.empty() if packet.polarity_events is None else to_events(packet.polarity_events),
        Triggers.empty() if packet.trigger_events is None else to_triggers(packet.trigger_events),
        # Of the cameras, only the DAVIS has frames.
        tuple(to_frame(frame) for frame in getattr(packet, 'frames', ())),
        arrival_ns,
        # One overflow interrupts all streams at once.
        max(0 if indices is None else len(indices) for indices in overflows),
        round(delay_s * 1e9),
    )


def to_events(table: NDArray[Any]) -> Events:
    """Turn a table with columns t (us), x, y and on into events."""
    return Events(
        table['t'].astype(np.int64) * 1000,
        table['x'].astype(np.uint16),
        table['y'].astype(np.uint16),
        table['on'].astype(np.uint8),
    )


def to_triggers(table: NDArray[Any]) -> Triggers:
    """Turn a table with columns t (us), id and rising (or polarity) into triggers.

    The DAVIS marks pulses by a polarity of 2; a pulse counts as a rising edge.
    """
    edge = table['rising' if 'rising' in (table.dtype.names or ()) else 'polarity']
    return Triggers(
        table['t'].astype(np.int64) * 1000,
        table['id'].astype(np.uint8),
        (edge != 0).astype(np.uint8),
    )


def to_frame(frame: Any) -> Frame:
    """Turn a frame of 16-bit pixels into one of 8 bits, at the middle of its exposure."""
    exposure = (frame.exposure_start_t, frame.exposure_end_t)
    start_us, end_us = (frame.start_t, frame.t) if None in exposure else exposure
    return Frame((start_us + end_us) * 500, (frame.pixels >> 8).astype(np.uint8))
