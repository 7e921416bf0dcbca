"""Tests without a camera: objects of neuromorphic-drivers' own types stand in for its data."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events import Region, cameras
from microexpr_ros.events.cameras import CameraAbsentError, CameraLostError, CameraSettings


@pytest.fixture
def neuromorphic():
    pytest.importorskip('neuromorphic_drivers')
    from microexpr_ros.events.cameras import neuromorphic

    return neuromorphic


EVENT_TABLE = np.dtype([('t', '<u8'), ('x', '<u2'), ('y', '<u2'), ('on', '?')])


@given(
    st.lists(
        st.tuples(st.integers(0, 2**53), st.integers(0, 1279), st.integers(0, 719), st.booleans())
    )
)
def test_tables_of_events_keep_every_value(rows):
    pytest.importorskip('neuromorphic_drivers')
    from microexpr_ros.events.cameras.neuromorphic import to_events

    events = to_events(np.array(rows, EVENT_TABLE))
    assert [
        (t // 1000, x, y, p == 1)
        for t, x, y, p in zip(
            *(column.tolist() for column in (events.t, events.x, events.y, events.p)), strict=True
        )
    ] == rows
    assert (events.t.dtype, events.x.dtype, events.p.dtype) == (np.int64, np.uint16, np.uint8)


def test_a_packet_of_an_evk4_becomes_a_batch(neuromorphic):
    packet = neuromorphic.nd.Evt3Packet()
    packet.polarity_events = np.array([(5, 1, 2, True), (6, 3, 4, False)], EVENT_TABLE)
    packet.trigger_events = np.array(
        [(7, 6, True), (8, 6, False)], [('t', '<u8'), ('id', 'u1'), ('rising', '?')]
    )
    packet.polarity_events_overflow_indices = np.array([0, 1])
    packet.trigger_events_overflow_indices = None
    batch = neuromorphic.to_batch(packet, 99, 0.25)
    assert batch.events.t.tolist() == [5000, 6000]
    assert batch.events.p.tolist() == [1, 0]
    assert batch.triggers.t.tolist() == [7000, 8000]
    assert batch.triggers.id.tolist() == [6, 6]
    assert batch.triggers.edge.tolist() == [1, 0]
    assert (batch.arrival_ns, batch.lost, batch.lag_ns) == (99, 2, 250_000_000)
    assert batch.frames == ()


def test_a_packet_of_a_davis_has_frames(neuromorphic):
    nd = neuromorphic.nd
    frame = nd.Frame()
    frame.start_t, frame.exposure_start_t, frame.exposure_end_t, frame.t = 100, 110, 130, 150
    frame.pixels = np.array([[0, 64, 65472]], np.uint16)
    packet = nd.Davis346Packet()
    packet.polarity_events = packet.trigger_events = None
    packet.polarity_events_overflow_indices = packet.trigger_events_overflow_indices = None
    packet.frames = [frame]
    batch = neuromorphic.to_batch(packet, 0, 0.0)
    assert len(batch.events) == len(batch.triggers) == 0
    assert batch.frames[0].t == 120_000
    assert batch.frames[0].pixels.tolist() == [[0, 0, 255]]
    frame.exposure_start_t = None
    assert neuromorphic.to_frame(frame).t == 125_000


def test_pulses_count_as_rising_edges(neuromorphic):
    table = np.array(
        [(1, 0, 0), (2, 0, 1), (3, 0, 2)], [('t', '<u8'), ('id', 'u1'), ('polarity', 'u1')]
    )
    assert neuromorphic.to_triggers(table).edge.tolist() == [0, 1, 1]


@pytest.mark.parametrize('name', ['PROPHESEE_EVK4', 'PROPHESEE_EVK3_HD'])
def test_rows_and_columns_outside_the_region_are_masked(neuromorphic, name):
    settings = CameraSettings(roi=Region(100, 50, 3, 2))
    made = neuromorphic.configuration(neuromorphic.nd.Name[name], settings, {})
    for mask, size, start, length in ((made.x_mask, 1280, 100, 3), (made.y_mask, 720, 50, 2)):
        number = sum(word << (64 * index) for index, word in enumerate(mask))
        on = [index for index in range(size) if not number >> index & 1]
        assert on == list(range(start, start + length))
    assert not made.mask_intersection_only
    assert made.serialize()


def test_the_settings_of_each_camera_reach_its_configuration(neuromorphic):
    name = neuromorphic.nd.Name
    evk4 = neuromorphic.configuration(
        name.PROPHESEE_EVK4, CameraSettings(trigger_in_mode='external'), {'diff_on': 20}
    )
    assert evk4.enable_external_trigger
    assert (evk4.biases.diff_on, evk4.biases.diff_off) == (20, 0)
    assert not neuromorphic.configuration(
        name.PROPHESEE_EVK4, CameraSettings(), {}
    ).enable_external_trigger
    davis = neuromorphic.configuration(
        name.INIVATION_DAVIS346, CameraSettings(roi=Region(1, 2, 30, 40)), {}
    )
    assert dataclasses.astuple(davis.region_of_interest) == (1, 2, 30, 40)


@pytest.mark.parametrize(
    ('name', 'settings', 'message'),
    [
        ('PROPHESEE_EVK4', {'roi': Region(0, 0, 1281, 1)}, '1280 x 720'),
        ('PROPHESEE_EVK3_HD', {'trigger_in_mode': 'external'}, 'trigger input of Prophesee EVK3'),
        ('INIVATION_DVXPLORER', {'roi': Region(0, 0, 9, 9)}, 'use driver inivation'),
    ],
)
def test_what_a_camera_does_not_have_is_refused(neuromorphic, name, settings, message):
    with pytest.raises(MicroexprError, match=message):
        neuromorphic.configuration(neuromorphic.nd.Name[name], CameraSettings(**settings), {})


class Device:
    """What the library's device does for its reader."""

    def __init__(self, nd, script):
        self.nd, self.script, self.sent, self.closed = nd, list(script), [], 0

    def name(self):
        return self.nd.Name.PROPHESEE_EVK4

    def serial(self):
        return '00051501'

    def properties(self):
        return self.nd.prophesee_evk4.Properties()

    def biases_bounds(self):
        bounds = self.nd.prophesee_evk4.Bounds
        return self.nd.prophesee_evk4.BiasesBounds(diff_on=bounds(-85, 140))

    def update_configuration(self, configuration):
        self.sent.append(configuration)

    def __next__(self):
        step = self.script.pop(0)
        if isinstance(step, Exception):
            raise step
        return step

    def close(self):
        self.closed += 1


@pytest.fixture
def evk4(neuromorphic, monkeypatch):
    nd = neuromorphic.nd
    from neuromorphic_drivers.status import RingStatus, Status

    packet = nd.Evt3Packet()
    packet.polarity_events = np.array([(5, 1, 2, True)], EVENT_TABLE)
    packet.trigger_events = None
    packet.polarity_events_overflow_indices = packet.trigger_events_overflow_indices = None
    ring = RingStatus(99.5, 0, 1, False, 5, 0)
    script = [(Status(100.0, ring), packet), (Status(100.1, None), None), RuntimeError('NoDevice')]
    device = Device(nd, script)
    listed = nd.ListedDevice(
        device.name(), nd.Connection.USB_SUPER, '', device.serial(), error=None
    )

    def open_device(configuration, **options):
        assert options['serial'] == '00051501'
        device.sent.append(configuration)
        return device

    monkeypatch.setattr(nd, 'list_devices', lambda: [listed])
    monkeypatch.setattr(nd, 'open', open_device)
    return device


def test_an_evk4_is_opened_read_and_lost(evk4):
    settings = CameraSettings(biases={'diff_on': 30})
    with cameras.open_camera('neuromorphic', settings) as camera:
        assert (camera.model, camera.serial) == ('Prophesee EVK4', '00051501')
        assert (camera.height, camera.width) == (720, 1280)
        assert [configuration.biases.diff_on for configuration in evk4.sent] == [0, 30]
        batch = camera.read(1.0)
        assert batch.events.t.tolist() == [5000]
        assert batch.lag_ns == 500_000_000
        assert camera.read(0.0).newest_ns is None
        with pytest.raises(CameraLostError, match='Prophesee EVK4 00051501 is gone: NoDevice'):
            camera.read(1.0)
    assert evk4.closed == 1


def test_a_camera_with_a_wrong_bias_is_closed(evk4):
    with pytest.raises(MicroexprError, match='diff_on = 141: Prophesee EVK4 takes -85 to 140'):
        cameras.open_camera('neuromorphic', CameraSettings(biases={'diff_on': 141}))
    assert evk4.closed == 1


def test_an_absent_serial_number_is_refused_with_those_that_are_connected(evk4):
    with pytest.raises(CameraAbsentError, match='serial 7; there is Prophesee EVK4 00051501'):
        cameras.open_camera('neuromorphic', CameraSettings(serial='7'))
    assert not evk4.sent
