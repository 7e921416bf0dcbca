"""One clock, slices of fixed length, and where the face is.

The names are loaded when they are first asked for: networks need slices, but not OpenCV.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from microexpr_ros.lazy import load_lazily

if TYPE_CHECKING:
    from microexpr_ros.alignment.clock import ClockEstimate as ClockEstimate
    from microexpr_ros.alignment.clock import SensorClock as SensorClock
    from microexpr_ros.alignment.clock import StampFault as StampFault
    from microexpr_ros.alignment.clock import StampLine as StampLine
    from microexpr_ros.alignment.face_region import FaceRegionTracker as FaceRegionTracker
    from microexpr_ros.alignment.faces import Face as Face
    from microexpr_ros.alignment.faces import FaceTracker as FaceTracker
    from microexpr_ros.alignment.frame_alignment import FrameAlignment as FrameAlignment
    from microexpr_ros.alignment.frame_alignment import SyncSource as SyncSource
    from microexpr_ros.alignment.frames import FrameQueue as FrameQueue
    from microexpr_ros.alignment.frames import crop as crop
    from microexpr_ros.alignment.head_motion import HeadMotion as HeadMotion
    from microexpr_ros.alignment.slices import Cut as Cut
    from microexpr_ros.alignment.slices import Slice as Slice
    from microexpr_ros.alignment.slices import SliceCounter as SliceCounter
    from microexpr_ros.alignment.slices import SliceCutter as SliceCutter
    from microexpr_ros.alignment.slices import blank_slice as blank_slice
    from microexpr_ros.alignment.synchronizer import AlignedSlice as AlignedSlice
    from microexpr_ros.alignment.synchronizer import Synchronizer as Synchronizer
    from microexpr_ros.alignment.synchronizer import SynchronizerOptions as SynchronizerOptions

_MODULES: Final = {
    'AlignedSlice': 'synchronizer',
    'ClockEstimate': 'clock',
    'Cut': 'slices',
    'Face': 'faces',
    'FaceRegionTracker': 'face_region',
    'FaceTracker': 'faces',
    'FrameAlignment': 'frame_alignment',
    'FrameQueue': 'frames',
    'HeadMotion': 'head_motion',
    'SensorClock': 'clock',
    'Slice': 'slices',
    'SliceCounter': 'slices',
    'SliceCutter': 'slices',
    'StampFault': 'clock',
    'StampLine': 'clock',
    'SyncSource': 'frame_alignment',
    'Synchronizer': 'synchronizer',
    'SynchronizerOptions': 'synchronizer',
    'blank_slice': 'slices',
    'crop': 'frames',
}

__all__ = list(_MODULES)

__getattr__ = load_lazily(__name__, _MODULES)
