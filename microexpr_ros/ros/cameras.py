"""Parameters of the event camera node, and how to open the camera that they name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events import cameras
from microexpr_ros.events.cameras.camera import Camera
from microexpr_ros.events.cameras.file_camera import FileCamera
from microexpr_ros.events.cameras.settings import (
    TRIGGER_MODES,
    CameraSettings,
    parse_biases,
    parse_roi,
    read_bias_file,
)
from microexpr_ros.events.codecs import EVENT_ENCODINGS
from microexpr_ros.events.files import (
    KNOWN_FORMATS,
    Recording,
    open_recording,
    parse_sensor,
)
from microexpr_ros.events.packets import PACKET_BYTES, PACKET_NS
from microexpr_ros.ros.camera_info import camera_info_url_parameter
from microexpr_ros.ros.images import jpeg_quality_parameter
from microexpr_ros.ros.lifecycle import NodeParameters
from microexpr_ros.ros.parameters import parameter
from microexpr_ros.ros.video import find_source, quiet
from microexpr_ros.ros.webcam import DeviceFrames, ReceivedFrames, TopicFrames, WebcamCamera
from microexpr_ros.synthesis.sensors.video_sensor import warm_up

LIVE = ('serial', 'bias_file', 'biases', 'roi', 'trigger_in_mode')
USED = {
    'file': ('path', 'topic', 'time_unit', 'sensor', 'rate', 'loop'),
    'simulated': ('seed',),
    'webcam': ('device', 'topic', 'image_width', 'image_height', 'framerate', 'loop'),
    **dict.fromkeys(cameras.DRIVERS, LIVE),
}
"""Parameters that only some drivers use, by driver."""


@dataclass(frozen=True)
class EventCameraParameters(NodeParameters):
    """Parameters of the event camera, with the names that other ROS drivers use."""

    driver: str = parameter('file', 'where events come from', choices=tuple(USED))
    path: str = parameter('', f'file: recording, {KNOWN_FORMATS}')
    topic: str = parameter(
        '',
        'file: topic of a bag that has more than one of events; webcam: topic of images to read '
        'in place of a device',
    )
    time_unit: str = parameter(
        '',
        'file: unit of the times in an array; empty: as the file states',
        choices=('', 's', 'us', 'ns'),
    )
    sensor: str = parameter('', 'file: sensor size WIDTHxHEIGHT; empty: as the file states')
    rate: float = parameter(
        1.0, 'file: speed; 1 is that of the recording', minimum=0.01, maximum=100.0
    )
    loop: bool = parameter(
        True, 'file, webcam with a video file: play again at the end, as a camera never ends'
    )
    seed: int = parameter(
        0,
        'simulated: number of the person and its motion',
        minimum=0,
        maximum=2**31 - 1,
    )
    device: str = parameter(
        '0',
        'webcam: number or path of a camera, URL of a stream, pipeline of GStreamer, or a video '
        'file',
    )
    image_width: int = parameter(
        640, 'webcam: columns requested of a camera; 0: its own', minimum=0, maximum=8192
    )
    image_height: int = parameter(
        480, 'webcam: rows requested of a camera; 0: its own', minimum=0, maximum=8192
    )
    framerate: float = parameter(
        30.0,
        'webcam: frames per second requested of a camera; 0: its own',
        minimum=0.0,
        maximum=1000.0,
    )
    serial: str = parameter('', 'live: serial number of the camera; empty: the first one found')
    bias_file: str = parameter('', 'live: file with a line VALUE % NAME for each bias')
    biases: tuple[str, ...] = parameter(
        (), 'live: biases NAME=VALUE, which override those of bias_file', element=str
    )
    roi: tuple[int, ...] = parameter(
        (), 'live: part of the sensor [x, y, width, height]; empty: all', element=int
    )
    trigger_in_mode: str = parameter(
        'disabled', 'live: source of the trigger input', choices=TRIGGER_MODES
    )
    frame_id: str = parameter('event_camera', 'TF frame of the sensor: x right, y down, z forward')
    camera_info_url: str = camera_info_url_parameter()
    jpeg_quality: int = jpeg_quality_parameter()
    encoding: str = parameter('evt3', 'encoding of the packets', choices=EVENT_ENCODINGS)
    event_message_time_threshold: float = parameter(
        PACKET_NS / 1e9, 'longest packet, in s', minimum=0.0001, maximum=0.1
    )
    event_message_size_threshold: int = parameter(
        PACKET_BYTES, 'largest packet, in bytes', minimum=1000, maximum=PACKET_BYTES
    )


def require_used(given: EventCameraParameters) -> None:
    """Refuse parameters that the driver does not use.

    Raises:
        MicroexprError: One of them has another value than its default.
    """
    others = {name for names in USED.values() for name in names} - set(USED[given.driver])
    for field in fields(given):
        if field.name in others and getattr(given, field.name) != field.default:
            raise MicroexprError(
                f'parameter {field.name} is not one of driver {given.driver}, which knows '
                f'{", ".join(USED[given.driver])}; leave it out'
            )


def opener(
    given: EventCameraParameters, images: ReceivedFrames | None = None
) -> Callable[[], Camera]:
    """Return a function that opens the camera that the parameters name.

    Args:
        given: the parameters.
        images: what arrives on the topic of a webcam; the node subscribes to it.

    Raises:
        MicroexprError: A parameter is invalid; what depends on the camera is checked later.
    """
    require_used(given)
    interval_ns = round(given.event_message_time_threshold * 1e9)
    if given.driver == 'file':
        recording = _open_file(given)
        return lambda: FileCamera(recording, given.rate, given.loop, interval_ns)
    if given.driver == 'simulated':
        # Here, because it loads the renderer, which the other drivers do not need.
        from microexpr_ros.synthesis.sensors.live_camera import SimulatedCamera, SimulationSettings

        return lambda: SimulatedCamera(SimulationSettings(given.seed), interval_ns)
    if given.driver == 'webcam':
        return _webcam_opener(given) if images is None else _topic_opener(given, images)
    biases = read_bias_file(Path(given.bias_file)) if given.bias_file else {}
    settings = CameraSettings(
        given.serial,
        biases | parse_biases(given.biases),
        parse_roi(given.roi),
        given.trigger_in_mode,
        interval_ns,
    )
    return lambda: cameras.open_camera(given.driver, settings)


def _webcam_opener(given: EventCameraParameters) -> Callable[[], Camera]:
    quiet()
    source = find_source(given.device)

    def open_device() -> Camera:
        # Before the clock of the camera runs.
        warm_up()
        return WebcamCamera(
            DeviceFrames(
                source, given.image_width, given.image_height, given.framerate, given.loop
            )
        )

    return open_device


def _topic_opener(given: EventCameraParameters, images: ReceivedFrames) -> Callable[[], Camera]:
    if given.device != EventCameraParameters.device:
        raise MicroexprError(
            f'device = {given.device} and topic = {given.topic} are two webcams; leave one out'
        )

    def open_topic() -> Camera:
        warm_up()
        return WebcamCamera(TopicFrames(given.topic, images))

    return open_topic


def _open_file(given: EventCameraParameters) -> Recording:
    if not given.path:
        raise MicroexprError('parameter path is empty; set it to a recording of events')
    recording = open_recording(
        Path(given.path),
        time_unit=given.time_unit or None,
        sensor=parse_sensor(given.sensor) if given.sensor else None,
        topic=given.topic or None,
    )
    # Where there is no choice, `open_recording` does not look at the name.
    if given.topic and given.topic != recording.topic:
        raise MicroexprError(
            f'parameter topic = {given.topic!r}: the only events of {given.path} are '
            f'{recording.topic or "in no topic"}; leave topic out'
        )
    return recording
