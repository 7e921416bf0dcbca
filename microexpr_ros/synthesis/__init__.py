"""Made worlds: a face that moves by FACS, seen by an event camera and a frame camera.

The names are loaded when they are first asked for, as most need the renderer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from microexpr_ros.lazy import load_lazily

if TYPE_CHECKING:
    from microexpr_ros.synthesis.dataset.bags import check_recordings as check_recordings
    from microexpr_ros.synthesis.dataset.bags import generate_recordings as generate_recordings
    from microexpr_ros.synthesis.dataset.bags import make_recording as make_recording
    from microexpr_ros.synthesis.dataset.clip import Clip as Clip
    from microexpr_ros.synthesis.dataset.clip import ClipMetadata as ClipMetadata
    from microexpr_ros.synthesis.dataset.generate import generate_clips as generate_clips
    from microexpr_ros.synthesis.dataset.generate import make_clip as make_clip
    from microexpr_ros.synthesis.dataset.index import Index as Index
    from microexpr_ros.synthesis.dataset.index import check_clips as check_clips
    from microexpr_ros.synthesis.dataset.index import read_clip as read_clip
    from microexpr_ros.synthesis.dataset.index import read_clips as read_clips
    from microexpr_ros.synthesis.dataset.index import read_index as read_index
    from microexpr_ros.synthesis.dataset.recipe import Recipe as Recipe
    from microexpr_ros.synthesis.dataset.splits import SPLITS as SPLITS
    from microexpr_ros.synthesis.sensors.live_camera import SimulatedCamera as SimulatedCamera
    from microexpr_ros.synthesis.sensors.live_camera import (
        SimulationSettings as SimulationSettings,
    )
    from microexpr_ros.synthesis.sensors.streaming import StreamChunk as StreamChunk
    from microexpr_ros.synthesis.sensors.streaming import stream as stream

_MODULES: Final = {
    'check_recordings': 'dataset.bags',
    'generate_recordings': 'dataset.bags',
    'make_recording': 'dataset.bags',
    'Clip': 'dataset.clip',
    'ClipMetadata': 'dataset.clip',
    'generate_clips': 'dataset.generate',
    'make_clip': 'dataset.generate',
    'Index': 'dataset.index',
    'check_clips': 'dataset.index',
    'read_clip': 'dataset.index',
    'read_clips': 'dataset.index',
    'read_index': 'dataset.index',
    'Recipe': 'dataset.recipe',
    'SPLITS': 'dataset.splits',
    'SimulatedCamera': 'sensors.live_camera',
    'SimulationSettings': 'sensors.live_camera',
    'StreamChunk': 'sensors.streaming',
    'stream': 'sensors.streaming',
}

__all__ = list(_MODULES)

__getattr__ = load_lazily(__name__, _MODULES)
