"""`microexpr calibrate time` on bags whose offset is known."""

import json

import numpy as np
import pytest
from command_line import invoke
from fake_clips import needs_face
from moving_faces import EPOCH_NS, make_face, write_face

pytest.importorskip('rclpy')
pytest.importorskip('microexpr_ros.msg')

from microexpr_ros.bags import BagWriter
from microexpr_ros.cli import app
from microexpr_ros.errors import MicroexprError

MS = 1_000_000


@pytest.fixture(scope='module')
def face(tmp_path_factory):
    path = tmp_path_factory.mktemp('face') / 'bag'
    write_face(path, *make_face('bright', 37 * MS))
    return path


@needs_face
def test_the_offset_of_a_bag_is_printed_with_how_to_give_it(face, tmp_path):
    picture = tmp_path / 'offset.png'
    found = json.loads(invoke(app, 'calibrate', 'time', face, '--json').stdout)
    assert found['frame_offset_s'] == pytest.approx(0.037, abs=0.01)
    assert 0 < found['sigma_ms'] < 15
    assert found['correlation'] > 0.8 > found['rival_correlation']
    text = invoke(app, 'calibrate', 'time', face, '--picture', picture).stdout
    assert 'ms ahead of the events' in text
    assert f'-p frame_offset:={found["frame_offset_s"]:.4f}' in text
    assert picture.stat().st_size > 1000


def test_a_bag_without_frames_says_what_it_has(tmp_path):
    with BagWriter(tmp_path / 'bag') as writer:
        writer.write_image('/left', np.zeros((4, 4), np.uint8), EPOCH_NS, 'left')
        writer.write_image('/right', np.zeros((4, 4), np.uint8), EPOCH_NS, 'right')
    with pytest.raises(MicroexprError, match='it has /left, /right; name it'):
        invoke(app, 'calibrate', 'time', tmp_path / 'bag')
    with pytest.raises(MicroexprError, match='has not images on /up'):
        invoke(app, 'calibrate', 'time', tmp_path / 'bag', '--frames-topic', '/up')
