"""The launch file, with the real launch stack; one test starts the pipeline on a recording.

`MICROEXPR_TEST_DATA` names the folder that holds `recordings/`.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

# Not `launch`: beside the folder of that name, its import succeeds without the package.
pytest.importorskip('launch_ros')
pytest.importorskip('microexpr_ros.msg')

import rclpy
from launch.actions import DeclareLaunchArgument, OpaqueFunction, Shutdown
from launch.launch_description_sources import load_python_launch_file_as_module
from launch_ros.actions import Node
from microexpr_ros.msg import ActionUnitArray
from rclpy.executors import SingleThreadedExecutor

from launch import LaunchContext
from microexpr_ros.ros import environment, qos, topics
from microexpr_ros.ros.cameras import USED
from microexpr_ros.ros.face_sources import FACE_SOURCES

environment.keep_on_loopback()
environment.prepare()

FILE = Path(__file__).resolve().parents[2] / 'launch' / 'pipeline.launch.py'
DATA = os.environ.get('MICROEXPR_TEST_DATA')
NETWORKS = ['synchronizer', 'au_classifier', 'reconstructor']
FORMS = pytest.mark.parametrize('composed', ['true', 'false'])


@pytest.fixture
def pipeline():
    return load_python_launch_file_as_module(str(FILE))


@pytest.fixture
def start(pipeline, monkeypatch):
    """Return a function that takes launch arguments and returns what each node is given."""
    given = []

    def record(**kwargs):
        given.append(SimpleNamespace(**kwargs))
        return Node(**kwargs)

    monkeypatch.setattr(pipeline, 'Node', record)

    def run(**arguments):
        context = LaunchContext()
        context.launch_configurations.update(arguments)
        for entity in pipeline.generate_launch_description().entities:
            assert isinstance(entity, DeclareLaunchArgument | OpaqueFunction)
            entity.execute(context)
        return given

    return run


def parameters(node):
    """Return what the arguments set, by name of the node."""
    written = yaml.safe_load(Path(node.parameters[-1]).read_text(encoding='utf-8'))
    assert all(name.startswith('/**/') for name in written), 'must hold in every namespace'
    return {
        name.removeprefix('/**/'): values['ros__parameters'] for name, values in written.items()
    }


def hosted(nodes):
    """Return the names of the nodes that run, whichever form was started."""
    if nodes[0].executable == 'pipeline':
        assert len(nodes) == 1
        return parameters(nodes[0])['pipeline']['nodes']
    return [node.executable for node in nodes]


def test_every_argument_is_declared_with_its_meaning(pipeline):
    declared = pipeline.generate_launch_description().get_launch_arguments()
    assert [argument.name for argument in declared] == [
        'composed',
        'bag',
        'rate',
        'loop',
        'driver',
        'events',
        'sensor',
        'events_topic',
        'rgb',
        'rgb_topic',
        'face_source',
        'record',
        'redact',
        'overlay',
        'rviz',
        'view',
        'view_host',
        'view_token',
        'use_sim_time',
        'params',
        'namespace',
        'log_level',
    ]
    for argument in declared:
        assert argument.default_value is not None, argument.name
        assert argument.description, argument.name


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'composed': 'maybe'}, 'composed:=maybe is neither true nor false'),
        ({'loop': ''}, 'loop:= is neither true nor false'),
        ({'bag': 'a', 'events': 'b'}, 'leave out driver:=, events:= and rgb:='),
        ({'bag': 'a', 'rgb': '0'}, 'leave out driver:=, events:= and rgb:='),
        ({'bag': 'a', 'driver': 'simulated'}, 'leave out driver:=, events:= and rgb:='),
        ({'driver': 'simulated', 'events': 'b'}, 'leave out driver:='),
        (
            {'driver': 'metavision'},
            'driver:=metavision is none of simulated, webcam, neuromorphic',
        ),
        ({'events_topic': '/e', 'driver': 'simulated'}, 'leave out driver:= and events:='),
        ({'events_topic': '/e', 'events': 'a'}, 'leave out driver:= and events:='),
        ({'rgb_topic': '/i', 'rgb': '0'}, 'leave out rgb:='),
        ({'rgb_topic': '/i', 'rgb': 'event_camera'}, 'leave out rgb:='),
        ({'face_source': 'yolo'}, 'face_source:=yolo is none of auto, rgb, events, hri, fixed'),
        ({'sensor': '64x48'}, 'give events:=PATH, too'),
        ({'rate': '2', 'driver': 'simulated'}, 'give bag:= or events:=PATH, too'),
        ({'rate': 'fast'}, 'rate:=fast is not a number'),
        ({'view': 'yes'}, 'view:=yes is neither true nor false'),
        ({'view_host': '0.0.0.0'}, 'add view:=true'),
        ({'redact': 'true'}, 'add record:=PATH'),
        ({'log_level': 'loud'}, 'log_level:=loud is none of debug, info'),
        ({'params': '/nowhere.yaml'}, 'params:=/nowhere.yaml is not a file'),
    ],
)
def test_arguments_that_make_no_sense_start_nothing(start, arguments, message):
    with pytest.raises(RuntimeError, match=message):
        start(**arguments)


@FORMS
@pytest.mark.parametrize(
    ('arguments', 'expected'),
    [
        ({}, NETWORKS),
        ({'bag': 'a'}, ['player', *NETWORKS]),
        ({'events': 'a'}, ['event_camera', *NETWORKS]),
        ({'driver': 'simulated'}, ['event_camera', *NETWORKS]),
        ({'rgb': '0'}, ['rgb_camera', *NETWORKS]),
        ({'events': 'a', 'rgb': '0'}, ['event_camera', 'rgb_camera', *NETWORKS]),
        ({'bag': 'a', 'overlay': 'True'}, ['player', *NETWORKS, 'overlay']),
        ({'events_topic': '/e', 'rgb_topic': '/i', 'record': 'b'}, [*NETWORKS, 'recorder']),
    ],
)
def test_nodes_follow_from_the_arguments(start, composed, arguments, expected):
    nodes = start(composed=composed, **arguments)
    assert hosted(nodes) == expected
    assert all(node.on_exit is not None for node in nodes)


@FORMS
@pytest.mark.parametrize(('given', 'expected'), [('hri', 'hri'), ('', None)])
def test_the_source_of_faces_is_that_of_the_synchronizer(start, composed, given, expected):
    for node in start(composed=composed, face_source=given):
        assert parameters(node).get('synchronizer', {}).get('face_source') == expected


def test_the_sources_of_faces_are_those_of_the_synchronizer(pipeline):
    assert pipeline.FACE_SOURCES == FACE_SOURCES


def test_rviz_brings_the_overlay_that_it_shows(start):
    *nodes, rviz = start(rviz='true', namespace='robot1')
    assert hosted(nodes) == [*NETWORKS, 'overlay']
    assert (rviz.package, rviz.namespace) == ('rviz2', 'robot1')
    assert Path(rviz.arguments[1]).is_file()


@FORMS
def test_the_player_waits_for_every_consumer(start, composed):
    for node in start(composed=composed, bag='a', overlay='true', namespace='robot1'):
        assert parameters(node)['player']['wait_for_nodes'] == [*NETWORKS, 'overlay']


@FORMS
def test_threads_share_a_heap_unless_the_user_says_otherwise(start, monkeypatch, composed):
    for name, value in environment.ALLOCATION.items():
        monkeypatch.delenv(name, raising=False)
        nodes = list(start(composed=composed))
        assert {node.additional_env[name] for node in nodes} == {value}
        monkeypatch.setenv(name, '4')
        assert {node.additional_env[name] for node in start(composed=composed)[len(nodes) :]} == {
            '4'
        }


@FORMS
def test_the_page_is_served_as_the_arguments_say(start, composed):
    nodes = start(composed=composed, view='true')
    assert hosted(nodes) == [*NETWORKS, 'view']
    assert 'view' not in parameters(nodes[0]), 'the parameter file decides'
    nodes = start(composed=composed, view='true', view_host='0.0.0.0', view_token='12345678')
    assert parameters(nodes[-1])['view'] == {'host': '0.0.0.0', 'token': '12345678'}


@FORMS
def test_a_bag_sets_the_player_and_the_clock(start, composed):
    for node in start(composed=composed, bag='/a bag', rate='2', loop='true'):
        given = parameters(node)
        assert given['player'] == {
            'bag': '/a bag',
            'rate': 2.0,
            'loop': True,
            'wait_for_nodes': NETWORKS,
        }
        assert isinstance(given['player']['rate'], float)
        assert given['synchronizer'] == {'use_sim_time': True}


@FORMS
def test_a_recording_of_events_is_played_as_asked(start, composed):
    for node in start(composed=composed, events='/a.npy', sensor='640x480', rate='0.5'):
        expected = {'path': '/a.npy', 'sensor': '640x480', 'rate': 0.5}
        assert parameters(node)['event_camera'] == expected


@FORMS
def test_the_recorder_is_given_its_folder(start, composed):
    for node in start(composed=composed, driver='simulated', record='/data/a session'):
        assert parameters(node)['recorder'] == {'output': '/data/a session'}


@FORMS
def test_a_recording_can_be_without_pictures(start, composed):
    for node in start(composed=composed, driver='webcam', record='/data/a', redact='true'):
        assert parameters(node)['recorder'] == {'output': '/data/a', 'redact': True}


@FORMS
def test_topics_of_other_drivers_are_read_and_recorded(start, composed):
    for node in start(composed=composed, events_topic='/dvs/events', rgb_topic='/usb/image'):
        assert node.remappings == [
            ('synchronizer:event_camera/events', '/dvs/events'),
            ('recorder:event_camera/events', '/dvs/events'),
            ('synchronizer:rgb_camera/image_raw', '/usb/image'),
            ('reconstructor:rgb_camera/image_raw', '/usb/image'),
            ('recorder:rgb_camera/image_raw', '/usb/image'),
        ]


@FORMS
def test_topics_of_a_bag_can_have_other_names(start, composed):
    for node in start(composed=composed, bag='a', events_topic='/dvs/events'):
        assert node.remappings[0] == ('synchronizer:event_camera/events', '/dvs/events')
        assert ('/rgb_camera/image_raw', 'rgb_camera/image_raw') in node.remappings


@FORMS
@pytest.mark.parametrize(
    ('arguments', 'expected'),
    [
        ({}, {}),
        ({'rgb': 'event_camera'}, {}),
        ({'rgb': '/dev/video2'}, {'device': '/dev/video2'}),
        ({'rgb_topic': '/usb/image'}, {'topic': '/usb/image'}),
    ],
)
def test_a_webcam_is_event_camera_and_frame_camera(start, composed, arguments, expected):
    nodes = start(composed=composed, driver='webcam', **arguments)
    assert hosted(nodes) == ['event_camera', *NETWORKS]
    for node in nodes:
        assert parameters(node)['event_camera'] == {'driver': 'webcam', **expected}
        assert node.remappings == [
            ('synchronizer:rgb_camera/image_raw', 'event_camera/image_raw'),
            ('reconstructor:rgb_camera/image_raw', 'event_camera/image_raw'),
        ]


@FORMS
def test_the_clock_of_a_bag_that_others_play_can_be_followed(start, composed):
    for node in start(composed=composed, use_sim_time='true', record='/new'):
        given = parameters(node)
        assert given['synchronizer'] == {'use_sim_time': True}
        assert given['recorder'] == {'output': '/new', 'use_sim_time': True}


@FORMS
def test_cameras_leave_the_clock_alone(start, composed):
    for node in start(composed=composed, events='/a', rgb='0'):
        given = parameters(node)
        assert given['event_camera'] == {'path': '/a'}
        assert given['synchronizer'] == {'use_sim_time': False}


def test_every_driver_can_be_launched(pipeline):
    assert tuple(driver for driver in USED if driver != 'file') == pipeline.DRIVERS


def test_topics_are_named_as_by_the_nodes(pipeline):
    assert set(pipeline.INPUTS) <= set(topics.RECORDED)


@FORMS
@pytest.mark.parametrize('source', [{'driver': 'inivation'}, {'events': 'a'}, {'bag': 'a'}])
def test_the_frames_of_an_event_camera_stand_in_for_the_rgb_cameras(start, composed, source):
    nodes = start(composed=composed, rgb='event_camera', **source)
    assert 'rgb_camera' not in hosted(nodes)
    for node in nodes:
        assert node.remappings[:2] == [
            ('synchronizer:rgb_camera/image_raw', 'event_camera/image_raw'),
            # With `paste` it reads the frames, too.
            ('reconstructor:rgb_camera/image_raw', 'event_camera/image_raw'),
        ]


@FORMS
def test_frames_come_from_where_they_are_asked_for(start, composed):
    for arguments in ({}, {'rgb': '0'}):
        nodes = start(composed=composed, driver='inivation', **arguments)
        assert not any(node.remappings for node in nodes)


@FORMS
@pytest.mark.parametrize('text', ['0', '1e3', 'true', 'a: [b', '"', 'é 😀', '/dev/video0'])
def test_a_text_stays_the_text_that_it_was(start, composed, text):
    for node in start(composed=composed, rgb=text):
        assert parameters(node)['rgb_camera'] == {'device': text}


@FORMS
def test_arguments_win_over_the_parameter_file(start, tmp_path, composed):
    own = tmp_path / 'own.yaml'
    own.write_text('{}')
    for node in start(composed=composed, params=str(own)):
        assert node.parameters[0] == str(own)
        assert len(node.parameters) == 2


@FORMS
def test_a_bag_is_heard_inside_a_namespace(start, composed):
    for node in start(composed=composed, bag='a', namespace='robot1', log_level='debug'):
        assert node.namespace == 'robot1'
        assert node.ros_arguments == ['--log-level', 'debug']
        assert ('/event_camera/events', 'event_camera/events') in node.remappings
        assert ('/rgb_camera/image_raw', 'rgb_camera/image_raw') in node.remappings


@FORMS
def test_drivers_topics_are_left_alone(start, composed):
    assert not any(node.remappings for node in start(composed=composed, namespace='robot1'))


def test_the_launch_ends_as_its_first_process_does(pipeline):
    context = LaunchContext()
    ended = SimpleNamespace(process_name='player-1', returncode=0)
    failed = SimpleNamespace(process_name='player-1', returncode=2)
    assert isinstance(pipeline.end(ended, context), Shutdown)
    with pytest.raises(RuntimeError, match='player-1 failed with exit code 2'):
        pipeline.end(failed, context)
    context._set_is_shutdown(True)
    assert pipeline.end(failed, context) is None


LAUNCH = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

path, *arguments = sys.argv[1:]
included = IncludeLaunchDescription(
    PythonLaunchDescriptionSource(path),
    launch_arguments=[tuple(text.split(':=', 1)) for text in arguments],
)
service = LaunchService(noninteractive=True)
service.include_launch_description(LaunchDescription([included]))
sys.exit(service.run())
"""


@contextlib.contextmanager
def launched(*arguments):
    """Launch in a process group of its own, of which nothing is left behind."""
    process = subprocess.Popen(
        [sys.executable, '-c', LAUNCH, str(FILE), *arguments], start_new_session=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.slow
@pytest.mark.skipif(not DATA, reason='MICROEXPR_TEST_DATA is not set')
def test_a_bag_becomes_action_units_inside_a_namespace(monkeypatch):
    domain = os.getpid() * 11 % 100 + 1
    monkeypatch.setenv('ROS_DOMAIN_ID', str(domain))
    bag = Path(DATA) / 'recordings' / 'test_events_1.db3'
    context = rclpy.Context()
    context.init(domain_id=domain)
    node = rclpy.create_node('tester', context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    heard = []
    node.create_subscription(ActionUnitArray, '/robot1/au_predictions', heard.append, qos.RESULTS)
    try:
        with launched(f'bag:={bag}', 'namespace:=robot1') as process:
            deadline = time.monotonic() + 120
            while process.poll() is None and time.monotonic() < deadline:
                executor.spin_once(timeout_sec=0.1)
            assert process.poll() == 0, 'the launch ends with the bag'
    finally:
        executor.shutdown()
        node.destroy_node()
        context.try_shutdown()
    assert heard
    assert heard[0].units
