"""Snapshots of what the pipeline sees and finds."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from view_pages import EPOCH_NS, MS, make_estimate, make_expression, make_slice

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.region import AlignedRegion
from microexpr_ros.facs import CODES
from microexpr_ros.landmarks import PLACES
from microexpr_ros.perception.classifier import Status
from microexpr_ros.perception.drawing import BACKGROUND, OFF, ON
from microexpr_ros.view import NodeReport, Snapshot, SnapshotComposer
from microexpr_ros.view.snapshots import LATEST_EXPRESSIONS


def test_nothing_new_is_no_snapshot():
    composer = SnapshotComposer()
    assert composer.compose() is None
    composer.add_slice(make_slice(), 'face_0')
    assert composer.compose() is not None
    assert composer.compose() is None


def test_a_snapshot_by_hand():
    composer = SnapshotComposer()
    composer.add_slice(make_slice(7), 'face_0')
    composer.add_estimate(make_estimate(7, status=Status.HEAD_MOVING), 'face_0', 3 * MS)
    composer.add_expression(make_expression(7), 'face_0', micro=True)
    composer.add_report(NodeReport('synchronizer', 1, 'lost', {'late_events': '4'}))
    values = composer.compose().values
    assert values['time_ms'] == EPOCH_NS / MS + 80
    assert (values['clock'], values['clock_error_ms']) == ('SOFTWARE', 0.25)
    [face] = values['faces']
    assert face['id'] == 'face_0'
    assert face['region'] == [100, 50, 256, 256]
    assert face['events'] == 128 * 64
    assert (face['status'], face['latency_ms']) == ('HEAD_MOVING', 3.0)
    assert face['left'] == pytest.approx([0.1] * len(CODES))
    assert face['right'] == pytest.approx([0.4] * len(CODES))
    assert face['active'] == [True] * len(CODES)
    assert values['expressions'] == [
        {
            'face': 'face_0',
            'codes': [6, 12],
            'onset_ms': EPOCH_NS / MS - 120,
            'apex_ms': EPOCH_NS / MS - 20,
            'offset_ms': EPOCH_NS / MS + 80,
            'peak': 0.25,
            'confidence': 0.5,
            'micro': True,
        }
    ]
    assert values['nodes'] == {'synchronizer': {'level': 1, 'message': 'lost', 'late_events': '4'}}
    json.dumps(values)


def test_what_happens_between_two_snapshots_is_not_lost():
    composer = SnapshotComposer()
    for number, (left, active) in enumerate([(0.1, False), (0.7, True), (0.2, False)]):
        composer.add_slice(make_slice(number), 'face_0')
        composer.add_estimate(make_estimate(number, left, 0.3, active), 'face_0')
    [face] = composer.compose().values['faces']
    assert face['left'][0] == pytest.approx(0.7)
    assert face['right'][0] == pytest.approx(0.3)
    assert face['active'][0]
    assert face['events'] == 3 * 128 * 64
    composer.add_slice(make_slice(3), 'face_0')
    composer.add_estimate(make_estimate(3, 0.2, 0.3, False), 'face_0')
    [face] = composer.compose().values['faces']
    assert face['left'][0] == pytest.approx(0.2)
    assert not face['active'][0]
    assert face['events'] == 128 * 64


def test_stamps_that_mean_nothing_are_no_number():
    composer = SnapshotComposer()
    composer.add_slice(replace(make_slice(), sync_error_ns=float('inf')), 'face_0')
    snapshot = composer.compose()
    assert snapshot.values['clock_error_ms'] is None
    assert b'Infinity' not in snapshot.to_bytes()


def test_events_have_their_colours_and_fade():
    counts = np.zeros((2, 128, 128), np.uint8)
    counts[0, :, :32], counts[1, :, 32:64] = 40, 40
    composer = SnapshotComposer()
    composer.add_slice(make_slice(0, counts), 'face_0')
    pictures = composer.compose().pictures[:, :, ::-1]
    assert pictures.shape == (128, 256, 3)
    np.testing.assert_allclose(pictures[64, 8], OFF, atol=1)
    np.testing.assert_allclose(pictures[64, 40], ON, atol=1)
    np.testing.assert_allclose(pictures[64, 100], BACKGROUND, atol=1)
    for number in range(1, 60):
        composer.add_slice(make_slice(number, np.zeros_like(counts)), 'face_0')
    pictures = composer.compose().pictures[:, :, ::-1]
    np.testing.assert_allclose(pictures[64, 8], BACKGROUND, atol=1)


def test_reconstructions_of_any_size_stand_beside_the_events():
    composer = SnapshotComposer()
    composer.add_reconstruction(np.zeros((64, 64), np.uint8))
    composer.add_slice(make_slice(), 'face_0')
    composer.add_reconstruction(np.full((64, 64), 200, np.uint8))
    pictures = composer.compose().pictures
    assert (pictures[:, 128:] == 200).all()


def test_the_reconstruction_is_that_of_the_nearest_face():
    composer = SnapshotComposer()
    for number in range(2):
        # The farther face comes last.
        composer.add_slice(make_slice(number), 'face_1')
        composer.add_slice(make_slice(number), 'face_0')
        composer.add_reconstruction(np.full((128, 128), 200, np.uint8))
    shown = composer.compose().values['faces']
    assert [(one['id'], one['reconstructed']) for one in shown] == [
        ('face_1', True),
        ('face_0', False),
    ]


def test_each_face_has_a_row_until_it_is_gone():
    composer = SnapshotComposer()
    composer.add_slice(make_slice(0, region=None), '')
    assert composer.compose().values['faces'][0]['region'] is None
    for number in range(1, 3):
        for name in ('face_0', 'face_1'):
            composer.add_slice(make_slice(number), name)
            composer.add_estimate(make_estimate(number), name)
    snapshot = composer.compose()
    assert [face['id'] for face in snapshot.values['faces']] == ['face_0', 'face_1']
    assert snapshot.pictures.shape == (256, 256, 3)
    for number in range(3, 30):
        composer.add_slice(make_slice(number), 'face_1')
    composer.add_estimate(make_estimate(30), 'face_0')
    assert [face['id'] for face in composer.compose().values['faces']] == ['face_1']


def test_a_recording_that_begins_again_has_found_nothing():
    composer = SnapshotComposer()
    composer.add_slice(make_slice(500), 'face_0')
    composer.add_expression(make_expression(500), 'face_0', micro=True)
    assert len(composer.compose().values['expressions']) == 1
    composer.add_slice(make_slice(0), 'face_1')
    values = composer.compose().values
    assert values['expressions'] == []
    assert [face['id'] for face in values['faces']] == ['face_1']


def test_the_latest_expressions_are_in_every_snapshot():
    composer = SnapshotComposer()
    for number in range(LATEST_EXPRESSIONS + 3):
        composer.add_slice(make_slice(number), 'face_0')
        composer.add_expression(make_expression(number), 'face_0', micro=True)
    for number in (100, 101):
        composer.add_slice(make_slice(number), 'face_0')
        found = composer.compose().values['expressions']
        assert len(found) == LATEST_EXPRESSIONS
        last_ms = EPOCH_NS / MS + 10 * (LATEST_EXPRESSIONS + 3)
        assert found[-1]['offset_ms'] == pytest.approx(last_ms, abs=0.01)


def test_bytes_and_back():
    composer = SnapshotComposer()
    composer.add_slice(make_slice(), 'face_0')
    composer.add_reconstruction(np.full((128, 128), 90, np.uint8))
    snapshot = composer.compose()
    data = snapshot.to_bytes()
    assert len(data) < 30_000
    again = Snapshot.from_bytes(data)
    assert again.values == snapshot.values
    difference = np.abs(again.pictures.astype(int) - snapshot.pictures)
    assert difference.mean() < 2


@pytest.mark.parametrize('data', [b'', b'\x01', b'\xff\xff\xff\xff{}', b'\x02\x00\x00\x00no'])
def test_other_bytes_are_refused(data):
    with pytest.raises(MicroexprError, match=f'{len(data)} bytes are not a snapshot'):
        Snapshot.from_bytes(data)


def test_landmarks_are_in_shares_of_the_turned_region():
    region = AlignedRegion(300, 200, 120, roll=np.pi / 6)
    aligned = make_slice(1, region=region)
    composer = SnapshotComposer()
    landmarks = region.to_pixels(PLACES).astype(np.float32)
    composer.add_slice(replace(aligned, landmarks=landmarks), 'face_0')
    face = composer.compose().values['faces'][0]
    assert face['roll_deg'] == 30
    np.testing.assert_allclose(face['landmarks'], PLACES, atol=6e-4)
    bounds = region.bounds()
    assert face['region'] == [bounds.x, bounds.y, bounds.width, bounds.height]


def test_a_reconstruction_is_tinted_where_it_is_unsure_and_stays_as_bright():
    composer = SnapshotComposer()
    composer.add_slice(make_slice(), 'face_0')
    picture = np.full((128, 128), 60, np.uint8)
    picture[64:] = 150
    composer.add_reconstruction(picture)
    interval = np.zeros((128, 128), np.uint8)
    interval[:, 64:] = 127
    composer.add_interval(interval)
    right = composer.compose().pictures[:, 128:]
    np.testing.assert_allclose(right[:, :64], np.repeat(picture[:, :64, None], 3, 2), atol=1)
    blue, green, red = (right[:, 64:, place].astype(int) for place in range(3))
    assert (blue - green > 20).all()
    assert (red > green).all()
    bright = cv2.cvtColor(right, cv2.COLOR_BGR2GRAY)
    np.testing.assert_allclose(bright, picture, atol=4)
