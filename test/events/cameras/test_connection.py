from __future__ import annotations

import threading
import time

import pytest
from event_streams import events_at

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.cameras import (
    Batch,
    Camera,
    CameraAbsentError,
    CameraLostError,
    Connection,
)

MS = 1_000_000


class ScriptedCamera(Camera):
    """Sends one event at each time of a script, in ms; raises the exceptions in it."""

    def __init__(self, script):
        self.model, self.serial, self.height, self.width = 'scripted', '7', 48, 64
        self.script = list(script)
        self.closed = 0

    def read(self, timeout_s):
        step = self.script.pop(0)
        if isinstance(step, Exception):
            raise step
        self.ended = self.ended or step is END
        return Batch(events_at([step * MS]), arrival_ns=step) if step is not END else Batch()

    def close(self):
        self.closed += 1


END = object()


def connect(*found, **options):
    """Return a connection that finds these cameras, or errors, one after the other."""
    found = list(found)

    def open_camera():
        step = found.pop(0)
        if isinstance(step, Exception):
            raise step
        return step

    return Connection(
        open_camera, options.pop('stopping', threading.Event()), MS // 10, retry_s=0.01, **options
    )


def test_a_camera_is_waited_for_lost_and_found_again():
    reasons = []
    first = ScriptedCamera([1, 2, CameraLostError('it is gone')])
    second = ScriptedCamera([3, END])
    absent = CameraAbsentError('no camera')
    connection = connect(
        absent, absent, first, absent, second, waiting=lambda error: reasons.append(str(error))
    )
    seen = []
    for camera in connection.cameras():
        assert connection.camera is camera
        seen.append((camera, [batch.arrival_ns for batch in connection.batches()]))
        assert camera.closed == 0
    assert seen == [(first, [1, 2]), (second, [3, 0])]
    assert reasons == ['no camera', 'no camera', 'it is gone', 'no camera']
    assert (connection.connects, connection.camera) == (2, None)
    assert first.closed == second.closed == 1


def test_a_camera_that_is_lost_at_once_is_not_opened_without_a_pause():
    stopping = threading.Event()
    found = (ScriptedCamera([CameraLostError('it is gone')]) for _ in iter(int, 1))
    connection = Connection(lambda: next(found), stopping, MS, retry_s=0.05)
    threading.Timer(0.2, stopping.set).start()
    assert [list(connection.batches()) for _ in connection.cameras()] == [[]] * connection.connects
    assert 1 <= connection.connects <= 5


def test_a_camera_whose_clock_is_set_back_is_read_on():
    connection = connect(ScriptedCamera([5000, 5001, 1, 2, END]))
    for _ in connection.cameras():
        seen = [[batch.arrival_ns for batch in stream] for stream in connection.streams()]
    # The batch in between is split before its first event.
    assert seen == [[5000, 5001, 1], [1, 2, 0]]
    assert connection.connects == 1


def test_a_wrong_setting_is_not_waited_out():
    connection = connect(MicroexprError('no bias of that name'))
    with pytest.raises(MicroexprError, match='no bias of that name'):
        next(connection.cameras())


def test_a_connection_ends_when_it_is_stopped():
    stopping = threading.Event()
    camera = ScriptedCamera(range(1, 100))
    connection = connect(camera, stopping=stopping)
    for _ in connection.cameras():
        for batch in connection.batches():
            if batch.arrival_ns == 3:
                stopping.set()
    assert camera.closed == 1
    assert len(camera.script) == 96


def test_a_camera_is_read_at_the_interval():
    camera = ScriptedCamera([*range(1, 11), END])
    connection = Connection(lambda: camera, threading.Event(), interval_ns=5 * MS)
    began = time.monotonic()
    assert sum(len(list(connection.batches())) for _ in connection.cameras()) == 11
    assert time.monotonic() - began > 0.05
