"""Data sets of clips and recordings on disk.

The names are loaded when they are first asked for, as most need the renderer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from microexpr_ros.lazy import load_lazily

if TYPE_CHECKING:
    from microexpr_ros.synthesis.dataset.bags import RecordingMetadata as RecordingMetadata
    from microexpr_ros.synthesis.dataset.bags import check_recordings as check_recordings
    from microexpr_ros.synthesis.dataset.bags import generate_recordings as generate_recordings
    from microexpr_ros.synthesis.dataset.bags import make_recording as make_recording
    from microexpr_ros.synthesis.dataset.clip import Clip as Clip
    from microexpr_ros.synthesis.dataset.clip import ClipMetadata as ClipMetadata
    from microexpr_ros.synthesis.dataset.clip import TakeMetadata as TakeMetadata
    from microexpr_ros.synthesis.dataset.generate import generate_clips as generate_clips
    from microexpr_ros.synthesis.dataset.generate import make_clip as make_clip
    from microexpr_ros.synthesis.dataset.index import Index as Index
    from microexpr_ros.synthesis.dataset.index import IndexEntry as IndexEntry
    from microexpr_ros.synthesis.dataset.index import check_clips as check_clips
    from microexpr_ros.synthesis.dataset.index import read_clip as read_clip
    from microexpr_ros.synthesis.dataset.index import read_clips as read_clips
    from microexpr_ros.synthesis.dataset.index import read_index as read_index
    from microexpr_ros.synthesis.dataset.recipe import GENERATOR as GENERATOR
    from microexpr_ros.synthesis.dataset.recipe import Recipe as Recipe
    from microexpr_ros.synthesis.dataset.recipe import check_recipe as check_recipe
    from microexpr_ros.synthesis.dataset.splits import SPLITS as SPLITS
    from microexpr_ros.synthesis.dataset.splits import Split as Split
    from microexpr_ros.synthesis.dataset.take import Take as Take
    from microexpr_ros.synthesis.dataset.take import sample_take as sample_take

_MODULES: Final = {
    'RecordingMetadata': 'bags',
    'check_recordings': 'bags',
    'generate_recordings': 'bags',
    'make_recording': 'bags',
    'Clip': 'clip',
    'ClipMetadata': 'clip',
    'TakeMetadata': 'clip',
    'generate_clips': 'generate',
    'make_clip': 'generate',
    'Index': 'index',
    'IndexEntry': 'index',
    'check_clips': 'index',
    'read_clip': 'index',
    'read_clips': 'index',
    'read_index': 'index',
    'GENERATOR': 'recipe',
    'Recipe': 'recipe',
    'check_recipe': 'recipe',
    'SPLITS': 'splits',
    'Split': 'splits',
    'Take': 'take',
    'sample_take': 'take',
}

__all__ = list(_MODULES)

__getattr__ = load_lazily(__name__, _MODULES)
