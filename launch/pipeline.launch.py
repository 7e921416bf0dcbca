"""Start the pipeline: live or from a recording, in one process or in a process per node."""

from __future__ import annotations

import atexit
import json
import os
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from ament_index_python.packages import get_package_share_directory
from launch.actions import DeclareLaunchArgument, OpaqueFunction, Shutdown
from launch.events.process import ProcessExited
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription

PACKAGE = 'microexpr_ros'
CONFIG = Path(get_package_share_directory(PACKAGE)) / 'config'

ARGUMENTS = {
    'composed': ('true', 'true: all nodes in one process; false: a process per node'),
    'bag': ('', 'rosbag2 to play in place of the cameras'),
    'rate': ('1.0', 'speed at which the bag or the recording of events is played; 1 is that of '
             'the recording'),
    'loop': ('false', 'true: play the bag again at its end'),
    'driver': ('', 'driver of the event camera: simulated, webcam, neuromorphic or inivation; '
               'empty: no event camera node; another package may publish event_camera/events. '
               'webcam: events are made from the frames of rgb:=, by default camera 0, or of '
               'rgb_topic:='),
    'events': ('', 'recording of events to play in place of an event camera'),
    'sensor': ('', 'sensor size WIDTHxHEIGHT of a recording of events that does not state it'),
    'events_topic': ('', 'topic of another driver, or of the bag, to read in place of '
                     'event_camera/events'),
    'rgb': ('', 'RGB camera: its number, /dev/video..., rtsp://... or a video file; event_camera: '
            'use the frames of the event camera (DAVIS or simulated); empty: no RGB camera node; '
            'another package may publish rgb_camera/image_raw. With driver:=webcam the RGB camera '
            'is the event camera'),
    'rgb_topic': ('', 'topic of another driver, or of the bag, to read in place of '
                  'rgb_camera/image_raw; one that ends in /compressed holds compressed images'),
    'face_source': ('', 'where faces are known from: auto, rgb, events, hri (another detector, on '
                    '/humans/faces) or fixed; empty: as the parameter file says'),
    'record': ('', 'new folder for a rosbag2 of the inputs, the slices and the Action Units'),
    'redact': ('false', 'true: record no pictures of persons, but Action Units, movements and '
               'diagnostics'),
    'overlay': ('false', 'true: publish events, reconstruction and Action Units in one picture '
                'on overlay/image'),
    'rviz': ('false', 'true: start RViz, and the overlay that it shows'),
    'view': ('false', 'true: serve a live page for a browser'),
    'view_host': ('', 'address to serve the page at; empty: that of the parameter file, else '
                  '127.0.0.1; 0.0.0.0: all, which needs view_token:='),
    'view_token': ('', 'what a viewer of the page must know, at least 8 characters'),
    'use_sim_time': ('false', 'true: follow /clock, for a bag that `ros2 bag play --clock` plays; '
                     'with bag:= it is followed anyway'),
    'params': (str(CONFIG / 'pipeline.yaml'), 'parameter file'),
    'namespace': ('', 'namespace of all nodes'),
    'log_level': ('info', 'debug, info, warn, error or fatal'),
}  # fmt: skip
FACE_SOURCES = ('auto', 'rgb', 'events', 'hri', 'fixed')
DRIVERS = ('simulated', 'webcam', 'neuromorphic', 'inivation')
WEBCAM = 'webcam'
"""Driver for which one RGB camera is event camera and frame camera at once."""

SAME_SENSOR = 'event_camera'
"""Value of `rgb` with which the event camera's frames replace those of an RGB camera."""

FLAGS = ('composed', 'loop', 'redact', 'overlay', 'rviz', 'view', 'use_sim_time')
LOG_LEVELS = ('debug', 'info', 'warn', 'error', 'fatal')
EVENTS = 'event_camera/events'
EVENT_FRAMES = 'event_camera/image_raw'
FRAMES = 'rgb_camera/image_raw'
INPUTS = (EVENTS, EVENT_FRAMES, FRAMES, 'aligned_events')
"""Topics that a bag may hold and our nodes read."""

READERS = ('synchronizer', 'recorder')
"""Nodes that read the events of cameras."""

FRAME_READERS = ('synchronizer', 'reconstructor')
"""Nodes that work with the frames of the RGB camera, beside the recorder."""


def read_arguments(context: LaunchContext) -> dict[str, Any]:
    """Return the arguments, flags as bool and the rate as float.

    Raises:
        RuntimeError: a value is not allowed, or the parameter file does not exist.
    """
    given: dict[str, Any] = {
        name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS
    }
    for name in FLAGS:
        if given[name].lower() not in ('true', 'false'):
            raise RuntimeError(f'{name}:={given[name]} is neither true nor false')
        given[name] = given[name].lower() == 'true'
    try:
        given['rate'] = float(given['rate'])
    except ValueError:
        raise RuntimeError(f'rate:={given["rate"]} is not a number') from None
    if given['log_level'].lower() not in LOG_LEVELS:
        raise RuntimeError(f'log_level:={given["log_level"]} is none of {", ".join(LOG_LEVELS)}')
    # Node only warns of a missing file, and the nodes would run with other parameters.
    if not Path(given['params']).is_file():
        raise RuntimeError(f'params:={given["params"]} is not a file')
    if given['driver'] not in ('', *DRIVERS):
        raise RuntimeError(
            f'driver:={given["driver"]} is none of {", ".join(DRIVERS)}; '
            'for a recording give events:=PATH'
        )
    if given['face_source'] not in ('', *FACE_SOURCES):
        raise RuntimeError(
            f'face_source:={given["face_source"]} is none of {", ".join(FACE_SOURCES)}'
        )
    if not given['view'] and (given['view_host'] or given['view_token']):
        raise RuntimeError('view_host:= and view_token:= are for the live page; add view:=true')
    if given['redact'] and not given['record']:
        raise RuntimeError('redact:=true is for a recording; add record:=PATH')
    return given


def require_one_source(given: dict[str, Any]) -> None:
    """Refuse two sources of events or of frames, and arguments of a source that is not there.

    Raises:
        RuntimeError: the arguments name two, or none to which another argument belongs.
    """
    if given['driver'] and given['events']:
        raise RuntimeError('events:= plays a recording; leave out driver:=')
    has_rgb_camera = given['rgb'] not in ('', SAME_SENSOR)
    if given['bag'] and (given['driver'] or given['events'] or has_rgb_camera):
        raise RuntimeError(
            'bag:= plays its own events and frames; leave out driver:=, events:= and rgb:='
        )
    if given['events_topic'] and (given['driver'] or given['events']):
        raise RuntimeError('events_topic:= is read instead; leave out driver:= and events:=')
    if given['rgb_topic'] and given['rgb']:
        raise RuntimeError('rgb_topic:= is read instead; leave out rgb:=')
    if given['rate'] != 1 and not (given['bag'] or given['events']):
        raise RuntimeError('rate:= is the speed of a recording; give bag:= or events:=PATH, too')
    if given['sensor'] and not given['events']:
        raise RuntimeError('sensor:= is the size of a recording; give events:=PATH, too')


def choose_nodes(given: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the nodes to start and what the arguments set of their parameters."""
    nodes: dict[str, dict[str, Any]] = {}
    if given['bag']:
        nodes['player'] = {'bag': given['bag'], 'rate': given['rate'], 'loop': given['loop']}
    if given['driver']:
        nodes['event_camera'] = {'driver': given['driver']}
    if given['events']:
        nodes['event_camera'] = {'path': given['events']}
        if given['sensor']:
            nodes['event_camera']['sensor'] = given['sensor']
        if given['rate'] != 1:
            nodes['event_camera']['rate'] = given['rate']
    is_webcam = given['driver'] == WEBCAM
    if is_webcam and given['rgb_topic']:
        nodes['event_camera']['topic'] = given['rgb_topic']
    elif is_webcam and given['rgb'] not in ('', SAME_SENSOR):
        nodes['event_camera']['device'] = given['rgb']
    elif not is_webcam and given['rgb'] not in ('', SAME_SENSOR):
        nodes['rgb_camera'] = {'device': given['rgb']}
    nodes |= {'synchronizer': {}, 'au_classifier': {}, 'reconstructor': {}}
    if given['face_source']:
        nodes['synchronizer']['face_source'] = given['face_source']
    if given['overlay'] or given['rviz']:
        nodes['overlay'] = {}
    if given['record']:
        nodes['recorder'] = {'output': given['record']}
        if given['redact']:
            nodes['recorder']['redact'] = True
    if given['bag']:
        # Whoever starts later than the player would miss the first packets.
        nodes['player']['wait_for_nodes'] = [name for name in nodes if name != 'player']
    if given['view']:
        chosen = {'host': given['view_host'], 'token': given['view_token']}
        nodes['view'] = {name: value for name, value in chosen.items() if value}
    # With a bag, the time is that of the recording. Only the synchronizer needs it: the other
    # nodes copy the stamps of the slices, and a subscription to /clock takes processor time.
    nodes['synchronizer']['use_sim_time'] = bool(given['bag']) or given['use_sim_time']
    if 'recorder' in nodes and given['use_sim_time']:
        nodes['recorder']['use_sim_time'] = True
    return nodes


def rename_topics(given: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the remappings, of which the first that matches a name wins."""
    renamed = []
    if given['events_topic']:
        renamed += [(f'{reader}:{EVENTS}', given['events_topic']) for reader in READERS]
    is_webcam = given['driver'] == WEBCAM
    if given['rgb_topic'] and not is_webcam:
        readers = (*FRAME_READERS, 'recorder')
        renamed += [(f'{reader}:{FRAMES}', given['rgb_topic']) for reader in readers]
    if given['rgb'] == SAME_SENSOR or is_webcam:
        # Not the recorder's topic, because a bag may hold both topics.
        renamed += [(f'{reader}:{FRAMES}', EVENT_FRAMES) for reader in FRAME_READERS]
    if given['bag']:
        # A bag has absolute names, but inside a namespace the player must publish inside it, too.
        renamed += [(f'/{topic}', topic) for topic in INPUTS]
    return renamed


def write_parameters(nodes: dict[str, dict[str, Any]]) -> str:
    """Write parameters by node to a file that is deleted with the launch; return its path.

    It is a file because `-p NODE:NAME:=VALUE` does not reach nodes inside a namespace.
    """
    by_node = {
        f'/**/{name}': {'ros__parameters': values} for name, values in nodes.items() if values
    }
    with NamedTemporaryFile(
        'w', encoding='utf-8', prefix='microexpr_ros_', suffix='.yaml', delete=False
    ) as file:
        # JSON is YAML in which all texts are quoted: camera "0" stays a text.
        json.dump(by_node, file, ensure_ascii=False)
    atexit.register(Path(file.name).unlink, missing_ok=True)
    return file.name


def end(event: ProcessExited, context: LaunchContext) -> Shutdown | None:
    """End the launch with the first process that ends.

    Raises:
        RuntimeError: the process failed; this makes the launch fail, too.
    """
    if context.is_shutdown:
        return None
    if event.returncode:
        raise RuntimeError(f'{event.process_name} failed with exit code {event.returncode}')
    return Shutdown(reason=f'{event.process_name} has ended')


def start(context: LaunchContext) -> list[Node]:
    """Return the actions for the arguments given."""
    given = read_arguments(context)
    require_one_source(given)
    nodes = choose_nodes(given)
    if given['composed']:
        executables = ['pipeline']
        nodes['pipeline'] = {'nodes': list(nodes)}
    else:
        executables = list(nodes)
    # Of two files, the last one wins.
    parameters = [given['params'], write_parameters(nodes)]
    actions = [
        Node(
            package=PACKAGE,
            executable=executable,
            namespace=given['namespace'],
            parameters=parameters,
            remappings=rename_topics(given),
            ros_arguments=['--log-level', given['log_level']],
            output='screen',
            on_exit=end,
            # One heap for all threads of a process, as in `ros.environment`.
            additional_env={'MALLOC_ARENA_MAX': os.environ.get('MALLOC_ARENA_MAX', '1')},
        )
        for executable in executables
    ]
    if given['rviz']:
        actions.append(
            Node(
                package='rviz2',
                executable='rviz2',
                arguments=['-d', str(CONFIG / 'pipeline.rviz')],
                namespace=given['namespace'],
            )
        )
    return actions


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments and start the nodes."""
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in ARGUMENTS.items()
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=start)])
