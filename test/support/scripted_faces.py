"""Trackers that find the faces that a test gives, wherever the events are."""

import numpy as np

from microexpr_ros.alignment.faces import Face
from microexpr_ros.alignment.observed_faces import Observation
from microexpr_ros.events.region import AlignedRegion
from microexpr_ros.landmarks import PLACES


class ScriptedTracker:
    """Finds in each slice the faces that a function of its number gives."""

    shape = 12, 16

    def __init__(self, faces_at=lambda number: []):
        self.faces_at, self.counts, self.resets = faces_at, [], 0

    def update(self, counts, duration_s):
        assert duration_s == 0.01
        self.counts.append(counts.copy())
        return self.faces_at(len(self.counts) - 1)

    def reset(self):
        self.resets += 1


class ScriptedObserver:
    """Finds in each frame the faces that a function of its time gives, at once."""

    def __init__(self, faces_at):
        self.faces_at = faces_at

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def submit(self, frame, take):
        take(Observation(frame.t, self.faces_at(frame.t), 0.015))


def make_face(number, x, y=200.0, side=100.0, roll=0.0):
    """Return a face whose aligned region has this centre and side."""
    landmarks = AlignedRegion(x, y, side, roll).to_pixels(PLACES).astype(np.float32)
    return Face(number, landmarks, 0.02)
