"""Models of the sensors that look at a scene.

The names are loaded when they are first asked for, as most need the renderer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from microexpr_ros.lazy import load_lazily

if TYPE_CHECKING:
    from microexpr_ros.synthesis.sensors.event_sensor import SENSORS as SENSORS
    from microexpr_ros.synthesis.sensors.event_sensor import SensorParameters as SensorParameters
    from microexpr_ros.synthesis.sensors.event_sensor import SensorState as SensorState
    from microexpr_ros.synthesis.sensors.filming import RenderedFrames as RenderedFrames
    from microexpr_ros.synthesis.sensors.filming import Sample as Sample
    from microexpr_ros.synthesis.sensors.filming import film as film
    from microexpr_ros.synthesis.sensors.filming import sense as sense
    from microexpr_ros.synthesis.sensors.frame_camera import FrameCamera as FrameCamera
    from microexpr_ros.synthesis.sensors.frame_camera import FrameClock as FrameClock
    from microexpr_ros.synthesis.sensors.frame_camera import FrameSensor as FrameSensor
    from microexpr_ros.synthesis.sensors.frame_camera import auto_expose as auto_expose
    from microexpr_ros.synthesis.sensors.frame_taking import TakenFrames as TakenFrames
    from microexpr_ros.synthesis.sensors.frame_taking import take_frames as take_frames
    from microexpr_ros.synthesis.sensors.live_camera import SimulatedCamera as SimulatedCamera
    from microexpr_ros.synthesis.sensors.live_camera import (
        SimulationSettings as SimulationSettings,
    )
    from microexpr_ros.synthesis.sensors.models import BIASES as BIASES
    from microexpr_ros.synthesis.sensors.models import EventSensor as EventSensor
    from microexpr_ros.synthesis.sensors.models import sample_sensor as sample_sensor
    from microexpr_ros.synthesis.sensors.streaming import StreamChunk as StreamChunk
    from microexpr_ros.synthesis.sensors.streaming import stream as stream
    from microexpr_ros.synthesis.sensors.video_sensor import VideoSensor as VideoSensor

_MODULES: Final = {
    'SENSORS': 'event_sensor',
    'SensorParameters': 'event_sensor',
    'SensorState': 'event_sensor',
    'RenderedFrames': 'filming',
    'Sample': 'filming',
    'film': 'filming',
    'sense': 'filming',
    'FrameCamera': 'frame_camera',
    'FrameClock': 'frame_camera',
    'FrameSensor': 'frame_camera',
    'auto_expose': 'frame_camera',
    'TakenFrames': 'frame_taking',
    'take_frames': 'frame_taking',
    'SimulatedCamera': 'live_camera',
    'SimulationSettings': 'live_camera',
    'BIASES': 'models',
    'EventSensor': 'models',
    'sample_sensor': 'models',
    'StreamChunk': 'streaming',
    'stream': 'streaming',
    'VideoSensor': 'video_sensor',
}

__all__ = list(_MODULES)

__getattr__ = load_lazily(__name__, _MODULES)
