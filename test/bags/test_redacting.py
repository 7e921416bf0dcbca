"""What is left of a bag that is redacted: an allow-list, by name and type."""

from dataclasses import replace

import numpy as np
import pytest
from packet_bags import make_packet

from microexpr_ros import bags
from microexpr_ros.bags import BagWriter, folder, redact_bag
from microexpr_ros.bags.definitions import define
from microexpr_ros.errors import MicroexprError
from microexpr_ros.redaction import KEPT, is_kept

PICTURES = {
    '/event_camera/events': 'event_camera_msgs/msg/EventPacket',
    '/event_camera/image_raw': 'sensor_msgs/msg/Image',
    '/rgb_camera/image_raw/compressed': 'sensor_msgs/msg/CompressedImage',
    '/aligned_events': 'microexpr_ros/msg/AlignedEvents',
    '/reconstruction/image': 'sensor_msgs/msg/Image',
    '/overlay/image/compressed': 'sensor_msgs/msg/CompressedImage',
    '/humans/faces/f1/cropped': 'sensor_msgs/msg/Image',
    '/humans/faces/f1/aligned': 'sensor_msgs/msg/Image',
    '/humans/faces/f1/roi': 'hri_msgs/msg/NormalizedRegionOfInterest2D',
    '/humans/faces/f1/landmarks': 'hri_msgs/msg/FacialLandmarks',
    '/somebody/else': 'std_msgs/msg/String',
}


@pytest.mark.parametrize('namespace', ['', '/robot', '/fleet/robot'])
@pytest.mark.parametrize(('name', 'kind'), KEPT.items())
def test_results_are_kept_in_any_namespace(namespace, name, kind):
    topic = f'{namespace}/{name.replace("ID", "f0001")}'
    assert is_kept(topic)
    assert is_kept(topic, kind)
    assert not is_kept(topic, 'sensor_msgs/msg/Image')
    assert not is_kept(f'{topic}/compressed')
    assert not is_kept(f'/x{topic[1:].replace("/", "_")}', kind)


@pytest.mark.parametrize(('topic', 'kind'), PICTURES.items())
def test_everything_else_is_left_out(topic, kind):
    assert not is_kept(topic)
    assert not is_kept(topic, kind)


def write_results(writer):
    define('hri_msgs/msg/IdsList')
    types = bags.typestore().types
    header = types['std_msgs/msg/Header'](
        stamp=types['builtin_interfaces/msg/Time'](sec=1, nanosec=2), frame_id='eye'
    )
    status = types['diagnostic_msgs/msg/DiagnosticArray'](header=header, status=[])
    ids = types['hri_msgs/msg/IdsList'](header=header, ids=['f0001'])
    writer.write('/diagnostics', 'diagnostic_msgs/msg/DiagnosticArray', status, 10)
    writer.write('/humans/faces/tracked', 'hri_msgs/msg/IdsList', ids, 20)


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_a_redacted_bag_has_results_alone_and_says_what_was_left_out(tmp_path, storage):
    source = tmp_path / 'source'
    with BagWriter(source, storage) as writer:
        write_results(writer)
        for seq in range(3):
            writer.write_packet('/event_camera/events', make_packet(seq))
        writer.write_image('/rgb_camera/image_raw', np.zeros((2, 2), np.uint8), 5, 'camera')
        # An image under the name of a result.
        writer.write_image('/robot/au_predictions', np.zeros((2, 2), np.uint8), 6, 'camera')
    done = []
    report = redact_bag(source, tmp_path / 'target', storage=storage, on_progress=done.append)
    assert report.kept == {'/diagnostics': 1, '/humans/faces/tracked': 1}
    assert report.left_out == {
        '/event_camera/events': 3,
        '/rgb_camera/image_raw': 1,
        '/robot/au_predictions': 1,
    }
    assert done[-1] == 1.0
    before = {one.topic: one for one in bags.read_messages(source)}
    after = list(bags.read_messages(tmp_path / 'target'))
    assert [one.topic for one in after] == ['/diagnostics', '/humans/faces/tracked']
    for one in after:
        assert (one.cdr, one.time_ns) == (before[one.topic].cdr, before[one.topic].time_ns)
    content = b''.join(p.read_bytes() for p in (tmp_path / 'target').iterdir() if p.is_file())
    assert b'EventPacket' not in content
    assert b'image_raw' not in content


def test_what_cannot_be_redacted_is_refused_and_leaves_nothing(tmp_path):
    source = tmp_path / 'source'
    with BagWriter(source) as writer:
        writer.write_packet('/event_camera/events', make_packet(0))
    with pytest.raises(MicroexprError, match='has no topic that can be kept: these are au_pred'):
        redact_bag(source, tmp_path / 'target')
    (tmp_path / 'a.raw').write_bytes(b'%')
    with pytest.raises(MicroexprError, match='only a bag can be redacted'):
        redact_bag(tmp_path / 'a.raw', tmp_path / 'target')
    assert not (tmp_path / 'target').exists()


def test_results_of_another_version_are_left_out(tmp_path, monkeypatch):
    def define_without_kind(name):
        found = define(name)
        return replace(found, text=found.text.replace('uint8 kind\n', ''))

    with monkeypatch.context() as patch:
        patch.setattr(folder, 'define', define_without_kind)
        with BagWriter(tmp_path / 'old') as writer:
            write_results(writer)
            kind = 'microexpr_ros/msg/MicroExpression'
            writer.write_serialized('/micro_expressions', kind, bytes(8), 30)
    report = redact_bag(tmp_path / 'old', tmp_path / 'new')
    assert report.left_out == {'/micro_expressions': 1}
