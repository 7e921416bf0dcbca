"""Files of events in every format, with every damage: all is read, counted or refused by name."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from counting_network import counting_classifier
from event_files import EVENT_FILES
from event_streams import HEIGHT, WIDTH, assert_same, concatenate, make_events

from microexpr_ros.analysis import analyze_recording
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.conversion import convert_recording
from microexpr_ros.events.files import open_recording

COUNT = 1500
REASONS = ('outside_sensor', 'undated', 'events_unreadable')


@pytest.fixture(scope='module')
def events():
    rng = np.random.default_rng(0)
    t = np.sort(rng.integers(1000, 30_000, COUNT)) * 1000
    return make_events(
        t, rng.integers(0, WIDTH, COUNT), rng.integers(0, HEIGHT, COUNT), rng.integers(0, 2, COUNT)
    )


@pytest.fixture(params=EVENT_FILES)
def kind(request):
    return EVENT_FILES[request.param]


@pytest.fixture
def whole(tmp_path, kind, events):
    """The bytes of a whole file."""
    path = tmp_path / f'whole{kind.suffix}'
    kind.write(path, events)
    return path.read_bytes()


def analyze(path, kind):
    """Return what an analysis finds; None if the file is refused in one line."""
    try:
        return analyze_recording(open_recording(path, **kind.options), counting_classifier())
    except MicroexprError as error:
        refusal = str(error)
    assert str(path) in refusal
    assert '\n' not in refusal
    return None


@pytest.fixture
def check(tmp_path, kind):
    """Returns a function that reads and converts bytes, and checks what came of them.

    It returns the events and what was left out, or None if the file was refused in one line.
    """

    def check(content):
        path, target = tmp_path / f'damaged{kind.suffix}', tmp_path / 'converted.raw'
        path.write_bytes(content)
        refusal = None
        analysis = analyze(path, kind)
        try:
            recording = open_recording(path, **kind.options)
            got = concatenate(events for events, _ in recording.chunks())
            report = convert_recording(open_recording(path, **kind.options), target)
        except MicroexprError as error:
            refusal = str(error)
        if refusal is not None:
            assert str(path) in refusal
            assert '\n' not in refusal
            assert not target.exists()
            assert analysis is None
            return None
        target.unlink()
        assert report.events_out == len(got)
        # A wrong bit may make a trigger of a channel that EVT3 lacks.
        report.dropped.pop('triggers_not_in_raw')
        lost = recording.damage.count(recording.other_topics)
        others = report.dropped.pop('messages_of_other_topics', 0)
        assert others == recording.other_messages - lost
        damage = report.dropped.pop('messages_damaged'), report.dropped.pop('damaged_places')
        assert damage == (recording.damage.messages, len(recording.damage))
        left_out = {reason: count for reason, count in report.dropped.items() if count}
        assert left_out == {reason: count for reason, count in recording.losses.items() if count}
        assert report.events_in == len(got) + sum(left_out.get(reason, 0) for reason in REASONS)
        assert analysis.events == len(got)
        assert {reason: analysis.losses[reason] for reason in recording.losses} == recording.losses
        assert (np.diff(got.t) >= 0).all()
        assert (got.x < WIDTH).all()
        assert (got.y < HEIGHT).all()
        return got, left_out, recording

    return check


def require_all_or_damage(result):
    """Check that what is missing of a file in packets is counted or named."""
    if result is not None:
        got, left_out, recording = result
        assert len(got) == COUNT or left_out or recording.damage


def require_nothing_lost(kind, result):
    """Check that a file that has a number of events has all of them: read or counted."""
    if kind.is_in_packets:
        require_all_or_damage(result)
    elif result is not None and not kind.is_stream:
        got, left_out, _ = result
        assert len(got) + sum(left_out.get(reason, 0) for reason in REASONS) == COUNT


def test_a_whole_file_is_read_whole(kind, whole, check, events):
    got, left_out, recording = check(whole)
    offset_ns = recording.epoch_ns
    assert_same(got.shifted(offset_ns), events)
    assert (left_out, recording.held) == ({}, 0)


def cut(kind, whole, check, events, sizes):
    for size in sizes:
        result = check(whole[:size])
        if not kind.is_stream and not kind.is_in_packets:
            assert result is None
        elif result is not None:
            got, left_out, _ = result
            # The events before the cut, all of them; what is left of a record is counted.
            assert_same(got, events[: len(got)])
            assert sum(left_out.values()) <= 7 or kind.is_in_packets
            if kind.is_in_packets:
                require_all_or_damage(result)
    if kind.is_stream or kind.is_in_packets:
        sizes = range(len(whole) - 8, len(whole))
        kept = [len(check(whole[:size])[0]) for size in sizes]
        assert kept == sorted(kept)
        assert kept[0] >= COUNT - 4


def test_a_file_that_is_cut_off(kind, whole, check, events):
    cut(kind, whole, check, events, np.linspace(0, len(whole) - 1, 8).astype(int).tolist())


@pytest.mark.slow
def test_a_file_that_is_cut_off_anywhere(kind, whole, check, events):
    cut(kind, whole, check, events, range(0, len(whole), 23))


def flip(kind, whole, check, seed, count):
    rng = np.random.default_rng(seed)
    refused = 0
    for _ in range(count):
        content = bytearray(whole)
        content[int(rng.integers(len(content)))] ^= 1 << int(rng.integers(8))
        result = check(bytes(content))
        refused += result is None
        if kind.is_in_packets:
            require_all_or_damage(result)
        elif kind.is_stream and result is not None:
            got, left_out, _ = result
            # A bit is an event more or less, a vector of 12, or a place or time that is wrong.
            assert abs(len(got) + sum(left_out.values()) - COUNT) <= 40
    return refused


def test_a_bit_that_is_wrong(kind, whole, check):
    flip(kind, whole, check, seed=1, count=15)


@pytest.mark.slow
def test_any_bit_that_is_wrong(kind, whole, check):
    flip(kind, whole, check, seed=2, count=600)


def test_a_tail_of_zeros(kind, whole, check, events):
    for size in (1, 100, len(whole) // 4, len(whole) // 2):
        result = check(whole[: len(whole) - size] + bytes(size))
        require_nothing_lost(kind, result)
        if kind.is_stream and size > 100:
            got, _, _ = result
            kept = len(got) - 1
            # The last event may be half of zeros.
            assert_same(got[:kept], events[:kept])
            assert kept >= COUNT * (1 - size / len(whole)) * 0.8


def test_times_at_zero(tmp_path, kind, check, events):
    t = np.array(events.t)
    t[: COUNT // 2] = 0
    path = tmp_path / f'zeros{kind.suffix}'
    kind.write(path, make_events(t, events.x, events.y, events.p))
    got, left_out, recording = check(path.read_bytes())
    assert got.t.tolist() == t.tolist()
    assert (left_out, recording.held) == ({}, 0)


# The others' times are of few bits, or put in order when they are written.
@pytest.mark.parametrize('kind', ['dat', 'v2e', 'columns', 'npy'], indirect=True)
@pytest.mark.parametrize('order', ['one', 'all'])
def test_times_backwards(tmp_path, kind, check, events, order):
    t = np.array(events.t)
    if order == 'all':
        t = t[::-1].copy()
    else:
        t[700] = t[600]
    path = tmp_path / f'backwards{kind.suffix}'
    kind.write(path, make_events(t, events.x, events.y, events.p))
    result = check(path.read_bytes())
    if order == 'all':
        assert result is None
    else:
        got, left_out, recording = result
        assert got.t.tolist() == np.maximum.accumulate(t).tolist()
        assert (left_out, recording.held) == ({}, 1)


@pytest.mark.parametrize(
    ('name', 'missing'),
    [('metavision', 'CD/indexes'), ('metavision', 'EXT_TRIGGER'), ('dsec', 'ms_to_idx')],
)
def test_an_index_that_is_missing(tmp_path, events, name, missing):
    kind = EVENT_FILES[name]
    path = tmp_path / f'events{kind.suffix}'
    kind.write(path, events)
    with h5py.File(path, 'a') as file:
        del file[missing]
        first_us = int(file['t_offset'][()]) if name == 'dsec' else 0
    unit = {'time_unit': 'us'} if name == 'dsec' else {}
    parts = [part for part, _ in open_recording(path, **unit).chunks()]
    assert_same(concatenate(parts).shifted(first_us * 1000), events)
