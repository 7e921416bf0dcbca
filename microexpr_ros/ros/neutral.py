"""The neutral face that estimates are relative to, measured on request."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from rclpy.task import Future

from microexpr_ros.errors import MicroexprError
from microexpr_ros.facs import CODES
from microexpr_ros.perception.classifier import ActionUnitEstimate
from microexpr_ros.perception.neutral import Neutral, measure_neutral
from microexpr_ros.perception.presence import Presence


class NeutralFace:
    """Make one face's estimates relative to its neutral face, and measure that on request.

    Not thread-safe: all methods are called with the lock of the subscription thread.

    Args:
        presence: the classifier's rule for active units.
        slices: number of slices of a measurement.
        wake: wakes the executor, so that a service that awaits the measurement goes on.

    Attributes:
        neutral: what is subtracted from the estimates.
    """

    def __init__(self, presence: Presence, slices: int, wake: Callable[[], None]) -> None:
        self.neutral = Neutral.unknown()
        self._presence = presence
        self._slices = slices
        self._wake = wake
        self._active = np.zeros(len(CODES), np.bool_)
        self._estimates: list[ActionUnitEstimate] = []
        self._result: Future | None = None

    def take(self, raw: ActionUnitEstimate) -> tuple[ActionUnitEstimate, bool]:
        """Return an estimate relative to the neutral face, and whether that has just changed."""
        changed = False
        if self._result is not None:
            self._estimates.append(raw)
            if len(self._estimates) == self._slices:
                changed = self._measure()
        estimate = self.neutral.apply(raw, self._presence, self._active)
        self._active = estimate.active
        return estimate, changed

    def start_measurement(self) -> Future:
        """Begin to measure; the result is whether it succeeded, and a line for a person."""
        self.cancel_measurement('asked again')
        self._estimates, self._result = [], Future()
        return self._result

    def cancel_measurement(self, reason: str) -> None:
        """End a measurement, if one is going on."""
        self._finish(False, reason)

    def clear_neutral(self) -> None:
        """Leave the estimates as they are from now on."""
        self.neutral = Neutral.unknown()
        self.deactivate_units()

    def deactivate_units(self) -> None:
        """Begin with no unit active."""
        self._active = np.zeros(len(CODES), np.bool_)

    def _measure(self) -> bool:
        try:
            self.neutral = measure_neutral(self._estimates)
        except MicroexprError as error:
            self._finish(False, str(error))
            return False
        self.deactivate_units()
        self._finish(True, f'neutral face from {self._slices} slices: {self.neutral}')
        return True

    def _finish(self, success: bool, text: str) -> None:
        if self._result is not None:
            result, self._result = self._result, None
            result.set_result((success, text))
            self._wake()
