"""A network without weights, whose intensities follow from how many slices it has seen."""

import numpy as np

from microexpr_ros.facs import CODES
from microexpr_ros.perception.activity import ActivityConfiguration
from microexpr_ros.perception.classifier import ActionUnitClassifier
from microexpr_ros.perception.head_limits import HeadLimits
from microexpr_ros.perception.presence import Presence
from microexpr_ros.perception.spiking import RegionTraces, SpikingConfiguration

CONFIGURATION = SpikingConfiguration()

PULSES = (
    (12, 30, 60),
    (1, 35, 70),
    (45, 120, 140),
    (25, 140, 155),
    (25, 165, 180),
    (25, 190, 205),
)
"""Unit, first and last slice of its rise and fall: an expression, a blink, three syllables."""


class CountingRuntime:
    """Moves units as PULSES say, a little more where there are more events."""

    shapes = (RegionTraces(CONFIGURATION).shape, (1, 1))

    def __call__(self, compressed, seen):
        now = float(seen[0, 0])
        sides = np.zeros((1, len(CODES), 2), np.float32)
        for code, first, last in PULSES:
            share = np.clip((now - first) / (last - first), 0, 1)
            height = 0.5 * np.sin(np.pi * share) * (1 + 1e-5 * np.abs(compressed).sum())
            row = sides[0, CODES.index(code)]
            row[:] = np.maximum(row, height)
        return [sides, np.full((1, 1), now + 1, np.float32)]


def counting_classifier():
    """Return a classifier that steps the network; its head never moves."""
    units = len(CODES)
    presence = Presence(
        threshold=np.full(units, 0.1, np.float32),
        peak=np.full(units, 0.2, np.float32),
        slope=np.full(units, 1.0, np.float32),
        bias=np.full(units, 2.0, np.float32),
    )
    return ActionUnitClassifier(
        None,
        presence,
        ActivityConfiguration(moving_hz=1e9, silent_hz=0.0),
        model='counting',
        runtime=CountingRuntime(),
        configuration=CONFIGURATION,
        # What moves must not depend on where a tracker sees the head move.
        limits=HeadLimits(speed=np.inf, change=np.inf, rotation=np.inf),
    )
