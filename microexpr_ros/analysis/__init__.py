"""Recordings through the chain of the nodes, without ROS and without waiting.

The names are loaded when they are first asked for: networks and OpenCV take a while.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from microexpr_ros.lazy import load_lazily

if TYPE_CHECKING:
    from microexpr_ros.analysis.chain import AnalyzedSlice as AnalyzedSlice
    from microexpr_ros.analysis.chain import TimedMovement as TimedMovement
    from microexpr_ros.analysis.chain import read_faces as read_faces
    from microexpr_ros.analysis.results import Analysis as Analysis
    from microexpr_ros.analysis.results import analyze as analyze
    from microexpr_ros.analysis.results import analyze_recording as analyze_recording
    from microexpr_ros.analysis.stream import SliceStream as SliceStream

_MODULES: Final = {
    'Analysis': 'results',
    'AnalyzedSlice': 'chain',
    'SliceStream': 'stream',
    'TimedMovement': 'chain',
    'analyze': 'results',
    'analyze_recording': 'results',
    'read_faces': 'chain',
}

__all__ = list(_MODULES)

__getattr__ = load_lazily(__name__, _MODULES)
