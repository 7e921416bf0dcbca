"""One clock, slices of fixed length, and where the face is."""

from microexpr_ros.alignment.clock import ClockEstimate, SensorClock, StampFault, StampLine
from microexpr_ros.alignment.face_region import FaceRegionTracker, TrackerOptions
from microexpr_ros.alignment.frame_alignment import FrameAlignment, SyncSource
from microexpr_ros.alignment.frames import FrameQueue, crop
from microexpr_ros.alignment.slices import Cut, Slice, SliceCounter, SliceCutter, blank_slice
from microexpr_ros.alignment.synchronizer import (
    AlignedSlice,
    Synchronizer,
    SynchronizerOptions,
)

__all__ = [
    'AlignedSlice',
    'ClockEstimate',
    'Cut',
    'FaceRegionTracker',
    'FrameAlignment',
    'FrameQueue',
    'SensorClock',
    'Slice',
    'SliceCounter',
    'SliceCutter',
    'StampFault',
    'StampLine',
    'SyncSource',
    'Synchronizer',
    'SynchronizerOptions',
    'TrackerOptions',
    'blank_slice',
    'crop',
]
