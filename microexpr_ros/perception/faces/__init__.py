"""Faces on the whole sensor, from its events; nothing here needs torch but `network`."""

from microexpr_ros.perception.faces.inference import FaceInference, Refined
from microexpr_ros.perception.faces.tracker import EventFaceOptions, EventFaceTracker

__all__ = ['EventFaceOptions', 'EventFaceTracker', 'FaceInference', 'Refined']
