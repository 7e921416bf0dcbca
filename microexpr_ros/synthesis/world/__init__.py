"""What the cameras look at: light, motion, the rendered scene and its ground truth.

The names are loaded when they are first asked for, as most need the renderer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from microexpr_ros.lazy import load_lazily

if TYPE_CHECKING:
    from microexpr_ros.synthesis.world.labels import Labels as Labels
    from microexpr_ros.synthesis.world.labels import Movement as Movement
    from microexpr_ros.synthesis.world.labels import label as label
    from microexpr_ros.synthesis.world.labels import movements as movements
    from microexpr_ros.synthesis.world.light import ROOM_LIGHTS as ROOM_LIGHTS
    from microexpr_ros.synthesis.world.light import SHIFTED_LIGHTS as SHIFTED_LIGHTS
    from microexpr_ros.synthesis.world.light import Lamp as Lamp
    from microexpr_ros.synthesis.world.light import Light as Light
    from microexpr_ros.synthesis.world.light import LightKinds as LightKinds
    from microexpr_ros.synthesis.world.light import MovingLight as MovingLight
    from microexpr_ros.synthesis.world.motion import Instant as Instant
    from microexpr_ros.synthesis.world.motion import Motion as Motion
    from microexpr_ros.synthesis.world.motion import UnitActivation as UnitActivation
    from microexpr_ros.synthesis.world.motion_sampling import (
        sample_busy_story as sample_busy_story,
    )
    from microexpr_ros.synthesis.world.motion_sampling import sample_calm as sample_calm
    from microexpr_ros.synthesis.world.motion_sampling import sample_clip as sample_clip
    from microexpr_ros.synthesis.world.motion_sampling import sample_excerpt as sample_excerpt
    from microexpr_ros.synthesis.world.motion_sampling import (
        sample_shifted_clip as sample_shifted_clip,
    )
    from microexpr_ros.synthesis.world.motion_sampling import sample_story as sample_story
    from microexpr_ros.synthesis.world.renderer import PinholeCamera as PinholeCamera
    from microexpr_ros.synthesis.world.scene import Scene as Scene
    from microexpr_ros.synthesis.world.scene import build_scene as build_scene
    from microexpr_ros.synthesis.world.scene import sample_full_scene as sample_full_scene
    from microexpr_ros.synthesis.world.scene import sample_region_scene as sample_region_scene
    from microexpr_ros.synthesis.world.timing import STEP_PX as STEP_PX
    from microexpr_ros.synthesis.world.timing import render_times as render_times

_MODULES: Final = {
    'Labels': 'labels',
    'Movement': 'labels',
    'label': 'labels',
    'movements': 'labels',
    'ROOM_LIGHTS': 'light',
    'SHIFTED_LIGHTS': 'light',
    'Lamp': 'light',
    'Light': 'light',
    'LightKinds': 'light',
    'MovingLight': 'light',
    'Instant': 'motion',
    'Motion': 'motion',
    'UnitActivation': 'motion',
    'sample_calm': 'motion_sampling',
    'sample_clip': 'motion_sampling',
    'sample_excerpt': 'motion_sampling',
    'sample_shifted_clip': 'motion_sampling',
    'sample_busy_story': 'motion_sampling',
    'sample_story': 'motion_sampling',
    'PinholeCamera': 'renderer',
    'STEP_PX': 'timing',
    'render_times': 'timing',
    'Scene': 'scene',
    'build_scene': 'scene',
    'sample_full_scene': 'scene',
    'sample_region_scene': 'scene',
}

__all__ = list(_MODULES)

__getattr__ = load_lazily(__name__, _MODULES)
