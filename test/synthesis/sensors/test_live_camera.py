import importlib.util
import os
import signal
import subprocess
import sys
import time
from itertools import takewhile
from pathlib import Path

import numpy as np
import pytest

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.cameras import CameraLostError
from microexpr_ros.synthesis.person.person import make_person
from microexpr_ros.synthesis.sensors.live_camera import (
    SimulatedCamera,
    SimulationSettings,
    extend_motion,
    film_live,
)
from microexpr_ros.synthesis.world.light import ROOM_LIGHTS
from microexpr_ros.synthesis.world.motion_sampling import sample_story
from microexpr_ros.synthesis.world.scene import build_scene, full_camera
from microexpr_ros.synthesis.world.timing import render_times

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec('anny') is None, reason='the face model (anny) is not installed'
)

MS = 1_000_000
SMALL = SimulationSettings(seed=3, width=64, height=48)


def never_late():
    return 0


def shoot(settings, until_ns, now_ns=never_late):
    return list(takewhile(lambda piece: piece.end_ns <= until_ns, film_live(settings, now_ns)))


@pytest.fixture(scope='module')
def pieces():
    return shoot(SMALL, 1200 * MS)


def test_pieces_follow_each_other_without_gaps(pieces):
    ends = [piece.end_ns for piece in pieces]
    assert ends[0] == 0
    assert np.diff(ends).max() <= 40 * MS
    for start_ns, piece in zip(ends, pieces[1:], strict=False):
        times = piece.events.t
        assert (np.diff(times) >= 0).all()
        if len(times):
            assert start_ns <= times[0]
            assert times[-1] <= piece.end_ns
    assert sum(len(piece.events) for piece in pieces) > 100
    assert not any(piece.skipped for piece in pieces)


def test_frames_come_thirty_times_a_second(pieces):
    frames = [frame for piece in pieces for _, frame in piece.frames]
    assert len(frames) == pytest.approx(1.2 * 30, abs=1)
    assert (np.diff([frame.t for frame in frames]) == 1_000_000_000 // 30).all()
    assert all(ready_ns > frame.t for piece in pieces for ready_ns, frame in piece.frames)
    assert (frames[0].pixels.shape, frames[0].pixels.dtype) == ((48, 64), np.uint8)
    assert frames[0].pixels.std() > 10


def test_the_seed_decides_on_everything(pieces):
    again = shoot(SMALL, 300 * MS)
    for first, second in zip(pieces, again, strict=False):
        assert first.end_ns == second.end_ns
        for name in ('t', 'x', 'y', 'p'):
            np.testing.assert_array_equal(
                getattr(first.events, name), getattr(second.events, name)
            )
        for (_, one), (_, other) in zip(first.frames, second.frames, strict=True):
            np.testing.assert_array_equal(one.pixels, other.pixels)
    other = shoot(SimulationSettings(seed=4, width=64, height=48), 300 * MS)
    assert [len(piece.events) for piece in other] != [len(piece.events) for piece in again]


def test_what_is_too_late_is_left_out_and_counted(pieces):
    late = shoot(SMALL, 1200 * MS, now_ns=lambda: 500 * MS)
    skipped = sum(piece.skipped for piece in late)
    assert skipped == sum(0 < piece.end_ns < 500 * MS for piece in pieces)
    assert late[1].end_ns >= 500 * MS
    assert [piece.end_ns for piece in late[2:]] == [
        piece.end_ns for piece in pieces[skipped + 2 :]
    ]
    # The light of the time between is not forgotten: what moved makes its events all the same.
    assert len(late[1].events) > 0


def test_one_story_goes_over_into_the_next():
    rng = np.random.default_rng(5)
    joint_ns = 20_000_000_000
    motion = sample_story(rng, joint_ns)
    after = extend_motion(motion, joint_ns, rng)
    times = np.array([joint_ns - MS, joint_ns, joint_ns + MS])
    np.testing.assert_allclose(motion.channels(times[:2]), after.channels(times[:2]), atol=1e-6)
    # Nothing is faster than a saccade, which takes 30 ms or more: 0.1 in a millisecond.
    assert np.abs(np.diff(after.channels(times), axis=0)).max() < 0.1
    np.testing.assert_array_equal(motion.pose(times), after.pose(times))
    later = after.channels(joint_ns + np.arange(0, 20_000, 10) * MS)
    assert later[:, : 2 * 17].max() > 0.1


def test_a_later_part_of_a_motion_is_sampled_as_finely_as_asked():
    rng = np.random.default_rng(6)
    scene = build_scene(
        rng,
        make_person(4_000_000, 1),
        ROOM_LIGHTS.sample(rng, 'bright'),
        full_camera(346, 260),
        np.zeros(3),
        0.4,
    )
    motion = sample_story(rng, 4_000 * MS)
    fine = render_times(scene, motion, 1_000 * MS, 3_000 * MS, step_px=0.2)
    coarse = render_times(scene, motion, 1_000 * MS, 3_000 * MS, step_px=0.8)
    for times in (fine, coarse):
        assert (times[0], times[-1]) == (1_000 * MS, 3_000 * MS)
        assert (np.diff(times) > 0).all()
        assert np.diff(times).max() <= 40 * MS
        assert not (times % 1000).any()
    assert len(fine) > 1.5 * len(coarse)


def test_an_unknown_light_is_an_error_of_the_reader():
    with (
        SimulatedCamera(SimulationSettings(light='neon')) as camera,
        pytest.raises(MicroexprError, match="unknown light 'neon'"),
    ):
        read_until(camera, lambda batch: False)


def test_nothing_in_the_working_directory_is_run(tmp_path, monkeypatch):
    (tmp_path / 'json.py').write_text('raise SystemExit')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'path', ['', *sys.path])
    with (
        SimulatedCamera(SimulationSettings(light='neon')) as camera,
        pytest.raises(MicroexprError, match="unknown light 'neon'"),
    ):
        read_until(camera, lambda batch: False)


def read_until(camera, condition, seconds=30.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        batch = camera.read(0.05)
        if condition(batch):
            return batch
    raise AssertionError('did not happen in time')


def test_the_camera_runs_in_real_time_until_it_is_unplugged():
    with SimulatedCamera(SMALL) as camera:
        assert (camera.width, camera.height) == (64, 48)
        first = read_until(camera, lambda batch: len(batch.events))
        began = time.monotonic()
        times = [first.events.t]
        frames = []
        while time.monotonic() < began + 0.5:
            batch = camera.read(0.05)
            times.append(batch.events.t)
            frames += batch.frames
        times = np.concatenate(times)
        assert (np.diff(times) >= 0).all()
        # Real time; how late it is depends on what else the machine does.
        assert (times[-1] - times[0]) / 1e9 == pytest.approx(0.5, abs=0.2)
        assert 5 <= len(frames) <= 22
        camera.unplug()
        with pytest.raises(CameraLostError, match='simulated face 3 is gone'):
            read_until(camera, lambda batch: False)


@pytest.mark.slow
def test_nothing_is_left_when_the_reader_is_killed():
    program = (
        'import time\n'
        'from microexpr_ros.synthesis.sensors.live_camera import SimulatedCamera\n'
        'camera = SimulatedCamera()\n'
        'print(camera._process.pid, flush=True)\n'
        'while True: camera.read(0.1)\n'
    )
    reader = subprocess.Popen(
        [sys.executable, '-c', program],
        stdout=subprocess.PIPE,
        env={**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)},
    )
    pid = int(reader.stdout.readline())
    reader.send_signal(signal.SIGKILL)
    reader.wait()
    reader.stdout.close()
    deadline = time.monotonic() + 30
    while is_running(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_running(pid):
    try:
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] != 'Z'
    except FileNotFoundError:
        return False
