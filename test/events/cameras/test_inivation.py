"""Tests without a camera: sockets of dv-processing have the interface of its cameras."""

from __future__ import annotations

import subprocess
import sys
from unittest.mock import create_autospec

import numpy as np
import pytest

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events import Region
from microexpr_ros.events.cameras import CameraLostError, CameraSettings


@pytest.fixture
def inivation():
    pytest.importorskip('dv_processing')
    from microexpr_ros.events.cameras import inivation

    return inivation


SENDER = """
import sys, time
import dv_processing as dv

stream = dv.io.Stream.EventStream(0, 'events', 'DVXplorer_DXA00093', (640, 480))
writer = dv.io.NetworkWriter(sys.argv[1], stream)
print('ready', flush=True)
while writer.getClientCount() == 0:
    time.sleep(0.01)
k = 0
while True:
    store = dv.EventStore()
    for _ in range(50):
        store.push_back(1_700_000_000_000_000 + 10 * k, k % 640, k % 480, k % 3 == 0)
        k += 1
    writer.writeEvents(store)
    time.sleep(0.001)
"""


def read_on(camera):
    for _ in range(1000):
        camera.read(0.01)


def test_a_live_source_is_read_until_it_is_unplugged(inivation, tmp_path):
    path = str(tmp_path / 'socket')
    sender = subprocess.Popen([sys.executable, '-c', SENDER, path], stdout=subprocess.PIPE)
    try:
        assert sender.stdout.readline() == b'ready\n'
        with inivation.InivationCamera(inivation.dv.io.NetworkReader(path)) as camera:
            assert (camera.model, camera.serial) == ('DVXplorer', 'DXA00093')
            assert (camera.height, camera.width) == (480, 640)
            batches = []
            while sum(len(batch.events) for batch in batches) < 2000:
                batches.append(camera.read(1.0))
            k = np.arange(sum(len(batch.events) for batch in batches))
            times = np.concatenate([batch.events.t for batch in batches])
            np.testing.assert_array_equal(times, (1_700_000_000_000_000 + 10 * k) * 1000)
            columns = np.concatenate([batch.events.x for batch in batches])
            np.testing.assert_array_equal(columns, k % 640)
            polarity = np.concatenate([batch.events.p for batch in batches])
            np.testing.assert_array_equal(polarity, k % 3 == 0)
            sender.kill()
            with pytest.raises(CameraLostError, match='DVXplorer DXA00093 is gone'):
                read_on(camera)
    finally:
        sender.kill()
        sender.wait()
        sender.stdout.close()


def test_a_silent_source_gives_an_empty_batch(inivation, tmp_path):
    path = str(tmp_path / 'socket')
    silent = SENDER.replace('    writer.writeEvents(store)\n', '')
    sender = subprocess.Popen([sys.executable, '-c', silent, path], stdout=subprocess.PIPE)
    try:
        sender.stdout.readline()
        camera = inivation.InivationCamera(inivation.dv.io.NetworkReader(path))
        assert camera.read(0.02).newest_ns is None
    finally:
        sender.kill()
        sender.wait()
        sender.stdout.close()


def test_only_triggers_from_outside_are_triggers(inivation):
    dv = inivation.dv
    kinds = [
        dv.TriggerType.EXTERNAL_SIGNAL_RISING_EDGE,
        dv.TriggerType.APS_EXPOSURE_START,
        dv.TriggerType.EXTERNAL_SIGNAL_FALLING_EDGE,
        dv.TriggerType.EXTERNAL_SIGNAL_PULSE,
    ]
    triggers = inivation.to_triggers([dv.Trigger(10 * k, kind) for k, kind in enumerate(kinds)])
    assert triggers.t.tolist() == [0, 20_000, 30_000]
    assert triggers.edge.tolist() == [1, 0, 1]
    assert len(inivation.to_triggers([])) == 0


def test_frames_come_in_the_order_of_red_green_blue(inivation):
    blue = np.zeros((4, 6, 3), np.uint8)
    blue[..., 0] = 9
    frame = inivation.to_frame(inivation.dv.Frame(5, blue))
    assert (frame.t, frame.pixels.shape) == (5000, (4, 6, 3))
    assert frame.pixels[0, 0].tolist() == [0, 0, 9]
    grey = inivation.to_frame(inivation.dv.Frame(5, blue[..., 0]))
    assert grey.pixels.shape == (4, 6)


def test_frames_are_dated_in_the_middle_of_their_exposure(inivation):
    dv = inivation.dv
    begin_us = 1_700_000_000_000_001
    frame = dv.Frame(begin_us, 4001, 0, 0, np.zeros((4, 6), np.uint8), dv.FrameSource.SENSOR)
    assert inivation.to_frame(frame).t == begin_us * 1000 + 2_000_500


@pytest.fixture
def dvxplorer(inivation):
    source = create_autospec(inivation.dv.io.camera.DVXplorer, instance=True)
    source.getCameraName.return_value = 'DVXplorer_DXA00093'
    source.getEventResolution.return_value = (640, 480)
    return source


def test_the_settings_reach_a_dvxplorer(inivation, dvxplorer):
    inivation.set_up(
        dvxplorer,
        CameraSettings(
            biases={'contrast_threshold_on': 11},
            roi=Region(10, 20, 300, 200),
            trigger_in_mode='external',
        ),
    )
    dvxplorer.setContrastThresholdOn.assert_called_once_with(11)
    dvxplorer.setContrastThresholdOff.assert_not_called()
    dvxplorer.setCropArea.assert_called_once_with((10, 20, 300, 200))
    dvxplorer.setDetectorRunning.assert_called_once_with(True)


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'biases': {'diff_on': 1}}, 'it has contrast_threshold_on, contrast_threshold_off'),
        ({'biases': {'contrast_threshold_on': 18}}, 'takes 0 to 17'),
        ({'roi': Region(600, 0, 41, 10)}, '640 x 480'),
    ],
)
def test_what_a_dvxplorer_does_not_have_is_refused(inivation, dvxplorer, settings, message):
    with pytest.raises(MicroexprError, match=message):
        inivation.set_up(dvxplorer, CameraSettings(**settings))


def test_a_trigger_mode_of_a_camera_without_trigger_input_is_refused(inivation):
    micro = create_autospec(inivation.dv.io.camera.DVXplorerM, instance=True)
    micro.getCameraName.return_value = 'DVXplorerMicro_1'
    with pytest.raises(MicroexprError, match='DVXplorerMicro_1 has no trigger input'):
        inivation.set_up(micro, CameraSettings(trigger_in_mode='external'))


def test_one_part_of_a_current_of_a_davis_is_set_at_a_time(inivation):
    davis = inivation.dv.io.camera.DAVIS
    source = create_autospec(davis, instance=True)
    source.getCameraName.return_value = 'DAVIS346_00000002'
    source.getSensorModel.return_value = davis.SensorModel.DAVIS346
    source.getDavis346BiasCoarseFine.return_value = (4, 39)
    inivation.set_up(source, CameraSettings(biases={'Diff_fine': 50}))
    source.setDavis346BiasCoarseFine.assert_called_once_with(davis.Davis346BiasCF.Diff, 4, 50)
    with pytest.raises(MicroexprError, match='takes 0 to 7'):
        inivation.set_up(source, CameraSettings(biases={'Diff_coarse': 8}))


def test_an_error_is_shortened_to_its_reason(inivation):
    with pytest.raises(RuntimeError) as caught:
        inivation.dv.io.camera.open('no such number')
    assert inivation._reason(caught.value) == 'Could not find device with given serial number'
