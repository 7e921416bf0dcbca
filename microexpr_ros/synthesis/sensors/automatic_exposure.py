"""Exposure that changes from frame to frame, as that of webcams does.

The control sees what it did only some frames later, and works in steps. So it overshoots: after a
change of the scene it hunts for some frames, and all brightness changes with it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.synthesis.sensors.frame_camera import (
    METERED,
    WEBCAM,
    FrameCamera,
    FrameSensor,
    Metering,
)

TOLERANCE_EV: Final = 0.2
"""Errors of the mean that are let be, in powers of two of the light."""

STEP_EV: Final = 1 / 6
"""Smallest change of the exposure."""

SHARE: Final = 0.5
"""Part of the error that a frame corrects. With the delay, over 0.4 overshoots, and 1 never
settles."""

DELAY_FRAMES: Final = 2
"""Frames from one that is measured to the first that follows it: the one between is exposed
already."""

_UNSETTLED_SHARE: Final = 0.2
_UNSETTLED_EV: Final = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class AutomaticExposure:
    """A camera's exposure, and how it goes on.

    Attributes:
        sensor: of the camera.
        metering: what it measures.
        readout_ns: of the rows that the camera sees; 0 for a global shutter.
        white_lux: radiance that the next DELAY_FRAMES frames show as white.
    """

    sensor: FrameSensor
    metering: Metering
    readout_ns: int
    white_lux: tuple[float, ...]

    @property
    def camera(self) -> FrameCamera:
        """The camera as it takes the next frame."""
        return self.sensor.expose_for(self.white_lux[0], self.readout_ns)

    def follow(self, radiance: NDArray[np.float32], around_gain: float = 1.0) -> AutomaticExposure:
        """Return the exposure after a frame was taken.

        Args:
            radiance: float32 [...], mean over the exposure of that frame, lux.
            around_gain: Mean factor of the light's flicker, for what is around the picture.
        """
        mean = self.metering.measure(radiance, self.white_lux[0], around_gain)
        error_ev = float(np.log2(max(mean, 1e-3) / METERED))
        wanted = self.white_lux[-1]
        if abs(error_ev) > TOLERANCE_EV:
            steps = round(SHARE * error_ev / STEP_EV) or np.sign(error_ev)
            wanted *= float(2 ** (steps * STEP_EV))
        return replace(self, white_lux=(*self.white_lux[1:], wanted))


def start_exposure(
    picture: NDArray[np.float32],
    rng: np.random.Generator,
    metering: Metering | None = None,
    readout_ns: int = 0,
    sensor: FrameSensor = WEBCAM,
) -> AutomaticExposure:
    """Sample the exposure of a camera that looks at a scene.

    In four of five takes it has settled, somewhere within its tolerance; else it is still on its
    way, up to a factor of two off, as when light or person have just changed.

    Args:
        picture: float32 [height, width], radiance, lux.
        rng: Random numbers.
        metering: What the camera measures; None for the picture alone.
        readout_ns: Of the rows that it sees.
        sensor: Of the camera.
    """
    metering = metering or Metering()
    most = _UNSETTLED_EV if rng.random() < _UNSETTLED_SHARE else TOLERANCE_EV
    white = metering.settle(picture) * float(2 ** rng.uniform(-most, most))
    return AutomaticExposure(sensor, metering, readout_ns, (white,) * DELAY_FRAMES)
