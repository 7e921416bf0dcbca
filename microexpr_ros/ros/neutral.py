"""The neutral face that estimates are relative to, measured when somebody asks for it."""

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
    """Follow one face's estimates; everything happens on the thread of the slices.

    Args:
        presence: the classifier's.
        slices: how many a measurement takes.
        wake: lets whoever awaits an answer run.

    Attributes:
        neutral: what is taken away from the estimates.
    """

    def __init__(self, presence: Presence, slices: int, wake: Callable[[], None]) -> None:
        self.neutral = Neutral.unknown()
        self._presence = presence
        self._slices = slices
        self._wake = wake
        self._active = np.zeros(len(CODES), np.bool_)
        self._estimates: list[ActionUnitEstimate] = []
        self._answer: Future | None = None

    def take(self, raw: ActionUnitEstimate) -> tuple[ActionUnitEstimate, bool]:
        """Return an estimate relative to the neutral face, and whether that has just changed."""
        changed = False
        if self._answer is not None:
            self._estimates.append(raw)
            if len(self._estimates) == self._slices:
                changed = self._measure()
        estimate = self.neutral.apply(raw, self._presence, self._active)
        self._active = estimate.active
        return estimate, changed

    def ask(self) -> Future:
        """Begin to measure; the answer is whether it went well, and a line for a person."""
        self.give_up('asked again')
        self._estimates, self._answer = [], Future()
        return self._answer

    def forget(self) -> None:
        """Show the estimates as they are."""
        self.neutral = Neutral.unknown()
        self.rest()

    def rest(self) -> None:
        """Begin with no unit active."""
        self._active = np.zeros(len(CODES), np.bool_)

    def give_up(self, reason: str) -> None:
        """End a measurement, if one goes on."""
        self._tell(False, reason)

    def _measure(self) -> bool:
        try:
            self.neutral = measure_neutral(self._estimates)
        except MicroexprError as error:
            self._tell(False, str(error))
            return False
        self.rest()
        self._tell(True, f'neutral face from {self._slices} slices: {self.neutral}')
        return True

    def _tell(self, success: bool, text: str) -> None:
        if self._answer is not None:
            answer, self._answer = self._answer, None
            answer.set_result((success, text))
            self._wake()
