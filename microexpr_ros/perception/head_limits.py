"""From which motion of the head on an estimate is worth less."""

from __future__ import annotations

import math
from dataclasses import dataclass

from microexpr_ros.alignment.head_motion import HeadMotion


@dataclass(frozen=True, slots=True)
class HeadLimits:
    """Speeds above which the head counts as moving.

    A head that sways slowly is held still by its region, so only what is faster counts; a nod or
    a turn shows the face from another side, and its own speed over the picture is above the
    limit, too. The defaults were chosen on takes of the split val with the shipped tracker, as
    `microexpr evaluate face` scores them: the rotation is little more than the noise of nose and
    mouth, which are little in front of the eyes, so its limit is high, and most nods and turns
    are found by their speed.

    Attributes:
        speed: over the picture, distances between the eyes per second.
        speed_noise: by how much a sigma of 1 raises that limit.
        change: of scale (1/s) and of roll (rad/s).
        rotation: by a turn and a nod, rad/s.
    """

    speed: float = 0.5
    speed_noise: float = 1.0
    change: float = 0.6
    rotation: float = 1.2

    def are_exceeded(self, motion: HeadMotion) -> bool:
        """Return whether the head moves faster than a limit."""
        return (
            math.hypot(motion.x, motion.y) > self.speed + self.speed_noise * motion.sigma
            or max(abs(motion.scale), abs(motion.roll)) > self.change
            or math.hypot(motion.turn, motion.nod) > self.rotation
        )
