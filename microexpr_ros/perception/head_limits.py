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
    limit, too. On synthetic takes with true landmarks, 98 % of nods and turns of more than
    0.3 rad/s are found, and no sway of up to 0.2 distances between the eyes per second. Limits
    grow with the error of the landmarks, so that a head at rest does not seem to move.

    Attributes:
        speed: over the picture, distances between the eyes per second.
        speed_noise: by how much a sigma of 1 raises that limit.
        change: of scale (1/s) and of roll (rad/s).
        change_noise: as for the speed.
        rotation: by a turn and a nod, rad/s.
        rotation_noise: as for the speed; nose and mouth are little in front of the eyes.
    """

    speed: float = 0.5
    speed_noise: float = 8.0
    change: float = 0.4
    change_noise: float = 9.0
    rotation: float = 0.8
    rotation_noise: float = 50.0

    def are_exceeded(self, motion: HeadMotion) -> bool:
        """Return whether the head moves faster than a limit."""
        sigma = motion.sigma
        return (
            math.hypot(motion.x, motion.y) > self.speed + self.speed_noise * sigma
            or max(abs(motion.scale), abs(motion.roll)) > self.change + self.change_noise * sigma
            or math.hypot(motion.turn, motion.nod) > self.rotation + self.rotation_noise * sigma
        )
