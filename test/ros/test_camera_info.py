"""Calibrations: files of camera_calibration, and what camera nodes publish of them."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from ament_index_python.packages import get_package_share_directory
from event_camera_msgs.msg import EventPacket
from sensor_msgs.msg import CameraInfo, Image

from microexpr_ros.errors import MicroexprError
from microexpr_ros.ros import qos
from microexpr_ros.ros.camera_info import parse_camera_info, read_camera_info
from microexpr_ros.ros.conversions import to_ns
from microexpr_ros.ros.diagnostics import WARN
from microexpr_ros.ros.nodes.event_camera import EventCameraNode
from microexpr_ros.ros.nodes.rgb_camera import RgbCameraNode

# As camera_calibration writes it.
WRITTEN = """
image_width: 64
image_height: 48
camera_name: narrow_stereo
camera_matrix:
  rows: 3
  cols: 3
  data: [ 60.5,  0. , 31.5,
           0. , 61. , 23.5,
           0. ,  0. ,  1. ]
distortion_model: plumb_bob
distortion_coefficients:
  rows: 1
  cols: 5
  data: [0.1, -0.2, 1e-05, 0.002, 0.000000]
rectification_matrix:
  rows: 3
  cols: 3
  data: [1., 0., 0., 0., 1., 0., 0., 0., 1.]
projection_matrix:
  rows: 3
  cols: 4
  data: [58., 0., 31., 0., 0., 59., 23., 0., 0., 0., 1., 0.]
"""


@pytest.fixture
def url(tmp_path):
    path = tmp_path / 'my camera.yaml'
    path.write_text(WRITTEN)
    return f'file://{tmp_path}/my%20camera.yaml'


def changed(**changes):
    """Return the calibration with other values; None takes a value away."""
    given = yaml.safe_load(WRITTEN) | changes
    return yaml.safe_dump({name: value for name, value in given.items() if value is not None})


def test_a_calibration_is_read(url):
    info = read_camera_info(url)
    assert (info.width, info.height, info.distortion_model) == (64, 48, 'plumb_bob')
    assert list(info.k) == [60.5, 0, 31.5, 0, 61, 23.5, 0, 0, 1]
    assert list(info.d) == [0.1, -0.2, 1e-05, 0.002, 0]
    assert list(info.r) == [1, 0, 0, 0, 1, 0, 0, 0, 1]
    assert list(info.p) == [58, 0, 31, 0, 0, 59, 23, 0, 0, 0, 1, 0]
    assert info.header.frame_id == ''


def test_a_calibration_of_a_package_is_found(monkeypatch, tmp_path):
    (tmp_path / 'config').mkdir()
    (tmp_path / 'config' / 'eye.yaml').write_text(WRITTEN)
    monkeypatch.setattr(
        'microexpr_ros.ros.camera_info.get_package_share_directory',
        {'robot_description': str(tmp_path)}.__getitem__,
    )
    assert read_camera_info('package://robot_description/config/eye.yaml').width == 64


@pytest.mark.parametrize(
    ('url', 'message'),
    [
        ('/etc/camera.yaml', "'/etc/camera.yaml' is not a URL of a file; give file:///PATH"),
        ('file://camera.yaml', "'file://camera.yaml' is not a URL of a file"),
        ('http://robot/camera.yaml', 'is not a URL of a file'),
        ('package:///camera.yaml', 'is not a URL of a file'),
        ('package://no_such_package/a.yaml', 'there is no package no_such_package'),
        ('package://No-Package!/a.yaml', 'there is no package No-Package!'),
        ('file:///nowhere/camera.yaml', '/nowhere/camera.yaml cannot be read: No such file'),
        ('package://microexpr_ros/config', 'config cannot be read: Is a directory'),
    ],
)
def test_a_url_that_leads_nowhere_is_refused(url, message):
    assert Path(get_package_share_directory('microexpr_ros'), 'config').is_dir()
    with pytest.raises(MicroexprError, match=message):
        read_camera_info(url)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('', 'not a calibration'),
        ('- 1', 'not a calibration'),
        ('a: [1', 'not YAML: while parsing'),
        (changed(image_width=None), r'image_width = None; give the pixels'),
        (changed(image_height=0), 'image_height = 0'),
        (changed(image_height=True), 'image_height = True'),
        (changed(camera_matrix=None), 'camera_matrix has no data'),
        (changed(camera_matrix=[1, 2]), 'camera_matrix has no data'),
        (changed(camera_matrix={'data': [1.0] * 8}), 'camera_matrix has 8 numbers; it needs 9'),
        (changed(camera_matrix={'data': ['x'] * 9}), 'camera_matrix has data that are not numb'),
        (changed(camera_matrix={'data': [[1.0]] * 9}), 'camera_matrix has data that are not'),
        (changed(camera_matrix={'data': [0.0] * 9}), 'camera_matrix has focal length 0'),
        (changed(rectification_matrix={'data': [np.nan] * 9}), 'rectification_matrix has data'),
        (changed(projection_matrix={'data': [1.0] * 9}), 'projection_matrix has 9 .* needs 12'),
        (changed(distortion_model='fishy'), "distortion_model = 'fishy'; known are plumb_bob"),
        (changed(distortion_model='equidistant'), 'has 5 numbers; equidistant has 4'),
    ],
)
def test_what_is_not_a_calibration_is_refused_by_name(text, message, tmp_path):
    with pytest.raises(MicroexprError, match=message):
        parse_camera_info(text)
    path = tmp_path / 'eye.yaml'
    path.write_text(text)
    with pytest.raises(MicroexprError, match=f'calibration {path}: .*{message}'):
        read_camera_info(f'file://{path}')


def test_a_file_that_is_not_text_is_refused(tmp_path):
    path = tmp_path / 'eye.yaml'
    path.write_bytes(b'\xff\xfe\x00')
    with pytest.raises(MicroexprError, match='is not a text'):
        read_camera_info(f'file://{path}')


@pytest.mark.parametrize(
    ('model', 'count'), [('plumb_bob', 4), ('rational_polynomial', 8), ('equidistant', 4)]
)
def test_all_models_of_distortion_are_read(model, count):
    text = changed(distortion_model=model, distortion_coefficients={'data': [0.5] * count})
    info = parse_camera_info(text)
    assert (info.distortion_model, list(info.d)) == (model, [0.5] * count)


def test_a_file_without_a_model_is_of_the_oldest():
    assert parse_camera_info(changed(distortion_model=None)).distortion_model == 'plumb_bob'


def make_video(path, width, height):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'MJPG'), 50, (width, height))
    for _ in range(10):
        writer.write(np.zeros((height, width, 3), np.uint8))
    writer.release()


def test_every_image_has_its_calibration(world, tmp_path, url):
    path = tmp_path / 'video.avi'
    make_video(path, 64, 48)
    images = world.collect(Image, 'rgb_camera/image_raw', qos.FRAMES)
    infos = world.collect(CameraInfo, 'rgb_camera/camera_info', qos.FRAMES)
    node = world.add(RgbCameraNode, device=str(path), camera_info_url=url, frame_id='eye')
    node.start()
    world.until(lambda: len(images) > 5 and len(infos) > 5)
    assert {message.header.frame_id for message in infos} == {'eye'}
    stamps = [{to_ns(message.header.stamp) for message in one} for one in (images, infos)]
    assert len(stamps[0] & stamps[1]) > 3
    assert infos[0].k[0] == 60.5


def test_every_packet_has_its_calibration(world, tmp_path, url):
    table = np.zeros(4000, [('t', 'i8'), ('x', 'u2'), ('y', 'u2'), ('p', '?')])
    table['t'] = np.arange(4000) * 50
    np.save(tmp_path / 'dot.npy', table)
    packets = world.collect(EventPacket, 'event_camera/events', qos.EVENTS)
    infos = world.collect(CameraInfo, 'event_camera/camera_info', qos.EVENTS)
    node = world.add(
        EventCameraNode,
        path=str(tmp_path / 'dot.npy'),
        time_unit='us',
        sensor='64x48',
        camera_info_url=url,
        frame_id='eye',
    )
    node.start()
    world.until(lambda: len(packets) > 20 and len(infos) > 20)
    assert {message.header.frame_id for message in infos} == {'eye'}
    stamps = [{to_ns(message.header.stamp) for message in one} for one in (packets, infos)]
    assert len(stamps[0] & stamps[1]) > 15


def test_a_calibration_of_another_size_is_not_published(world, tmp_path, url, capfd):
    path = tmp_path / 'video.avi'
    make_video(path, 32, 24)
    images = world.collect(Image, 'rgb_camera/image_raw', qos.FRAMES)
    infos = world.collect(CameraInfo, 'rgb_camera/camera_info', qos.FRAMES)
    node = world.add(RgbCameraNode, device=str(path), camera_info_url=url)
    node.start()
    world.until(lambda: len(images) > 5)
    assert node.count_subscribers('/rgb_camera/camera_info') == 1
    assert not infos
    line = 'the calibration is of 64 x 48, the camera has 32 x 24'
    assert line in capfd.readouterr().err
    diagnosis = node.diagnose()
    assert line in diagnosis.message
    assert diagnosis.level == WARN


def test_without_a_calibration_there_is_no_topic(world, tmp_path):
    path = tmp_path / 'video.avi'
    make_video(path, 64, 48)
    images = world.collect(Image, 'rgb_camera/image_raw', qos.FRAMES)
    world.add(RgbCameraNode, device=str(path)).start()
    world.until(lambda: images)
    assert world.tester.count_publishers('/rgb_camera/camera_info') == 0


def test_a_node_with_a_bad_calibration_says_why(world):
    node = world.add(EventCameraNode, driver='inivation', camera_info_url='file:///nowhere.yaml')
    with pytest.raises(MicroexprError, match=r'/nowhere\.yaml cannot be read'):
        node.start()
