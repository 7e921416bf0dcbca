"""Start the pipeline: live or from a recording, in one process or one per node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, Shutdown
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

PACKAGE = 'microexpr_ros'
CONFIG = Path(get_package_share_directory(PACKAGE)) / 'config'

ARGUMENTS = {
    'composed': ('true', 'true: all nodes in one process; false: a process per node'),
    'bag': ('', 'rosbag2 to play instead of the cameras'),
    'rate': ('1.0', 'speed of the bag'),
    'loop': ('false', 'play the bag again at its end'),
    'events': ('', 'recording (.raw, .npy, .npz or rosbag2) for the event camera node; '
               'empty: another driver publishes event_camera/events'),
    'rgb': ('', 'camera number, /dev/video... or video file for the RGB camera node; '
            'empty: none, or another driver publishes rgb_camera/image_raw'),
    'overlay': ('false', 'publish a picture of everything on overlay/image'),
    'rviz': ('false', 'start RViz with the overlay'),
    'params': (str(CONFIG / 'pipeline.yaml'), 'parameter file'),
    'namespace': ('', 'namespace of all nodes'),
    'log_level': ('info', 'debug, info, warn, error or fatal'),
}  # fmt: skip
FLAGS = ('composed', 'loop', 'overlay', 'rviz')


def read_arguments(context: LaunchContext) -> dict[str, str]:
    """Return the arguments as the user gave them.

    Raises:
        RuntimeError: two sources of events were named, or a flag is neither true nor false.
    """
    given = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    for name in FLAGS:
        if given[name].lower() not in ('true', 'false'):
            raise RuntimeError(f'{name}:={given[name]} is neither true nor false')
        given[name] = given[name].lower()
    if given['bag'] and (given['events'] or given['rgb']):
        raise RuntimeError('bag:= plays its own events and frames; leave out events:= and rgb:=')
    return given


def choose_nodes(given: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Return the nodes to start and what the arguments set of their parameters."""
    wants_overlay = 'true' in (given['overlay'], given['rviz'])
    nodes: dict[str, dict[str, Any]] = {}
    if given['bag']:
        nodes['player'] = {
            'bag': given['bag'],
            'rate': float(given['rate']),
            'loop': given['loop'] == 'true',
        }
    if given['events']:
        nodes['event_camera'] = {'path': given['events']}
    if given['rgb']:
        nodes['rgb_camera'] = {'device': given['rgb']}
    nodes |= {'synchronizer': {}, 'au_classifier': {}, 'reconstructor': {}}
    if wants_overlay:
        nodes['overlay'] = {}
    # With a bag, time is the recording's. Only the synchronizer asks for the time: the other
    # nodes carry the slices' stamps on, and following a clock is not free.
    nodes['synchronizer']['use_sim_time'] = bool(given['bag'])
    return nodes


def start(context: LaunchContext) -> list[Any]:
    """Return the actions for the arguments given."""
    given = read_arguments(context)
    nodes = choose_nodes(given)
    common = {
        'package': PACKAGE,
        'namespace': given['namespace'],
        'output': 'screen',
        'arguments': ['--ros-args', '--log-level', given['log_level']],
    }
    actions: list[Any] = []
    if given['composed'] == 'true':
        # Parameters of a process with many nodes are addressed by node.
        arguments = list(common.pop('arguments'))
        arguments += ['-p', f'pipeline:nodes:=[{", ".join(nodes)}]']
        for name, parameters in nodes.items():
            for key, value in parameters.items():
                text = str(value).lower() if isinstance(value, bool) else str(value)
                arguments += ['-p', f'{name}:{key}:={text}']
        actions.append(
            Node(
                executable='pipeline',
                parameters=[given['params']],
                arguments=arguments,
                on_exit=Shutdown(),
                **common,
            )
        )
    else:
        actions += [
            Node(
                executable=name,
                name=name,
                parameters=[given['params'], parameters],
                on_exit=Shutdown(),
                **common,
            )
            for name, parameters in nodes.items()
        ]
    if given['rviz'] == 'true':
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
