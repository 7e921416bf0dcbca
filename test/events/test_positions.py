"""Going on where a recording was left, in every format."""

import pickle

import numpy as np
import pytest
from event_files import EVENT_FILES, EventFile
from event_streams import HEIGHT, WIDTH, assert_same, concatenate, random_events

from microexpr_ros.bags import BagWriter
from microexpr_ros.events.events import Triggers
from microexpr_ros.events.files import Recording, arrays, dat, hdf5, open_recording, raw
from microexpr_ros.events.packets import packetize
from microexpr_ros.events.writers import hdf5 as hdf5_writer

COUNT = 3000


def write_bag(path, events):
    packets = packetize([(events, Triggers.empty())], HEIGHT, WIDTH, epoch_ns=10**18)
    with BagWriter(path, storage=path.suffix[1:]) as writer:
        for packet in packets:
            writer.write_packet('/event_camera/events', packet)


FORMATS = {
    **EVENT_FILES,
    'mcap': EventFile('.mcap', write_bag, {}),
    'sqlite3': EventFile('.sqlite3', write_bag, {}),
}

READ_AGAIN = ('aedat4', 'ros1 arrays')
"""Formats that are decoded from their begin."""


@pytest.fixture(params=FORMATS)
def made(request, tmp_path, monkeypatch):
    """Return the name of a format, a file of it in many small pieces, and how it is opened."""
    monkeypatch.setattr(raw, '_BLOCK_BYTES', 1024)
    monkeypatch.setattr(dat, '_BLOCK_BYTES', 1024)
    for module in (arrays, hdf5):
        monkeypatch.setattr(module, '_BLOCK_ROWS', 256)
    monkeypatch.setattr(hdf5_writer, '_CHUNK_ROWS', 256)
    kind = FORMATS[request.param]
    path = tmp_path / f'events{kind.suffix}'
    kind.write(path, random_events(np.random.default_rng(0), COUNT, 300_000_000))
    return request.param, path, kind.options


def facts(recording):
    return recording.losses, recording.held, recording.epoch_ns, list(recording.damage)


def test_reading_goes_on_in_another_process_as_if_it_had_not_stopped(made):
    name, path, options = made
    whole = open_recording(path, **options)
    pieces = [events for events, _ in whole.chunks()]
    assert len(pieces) > 4
    for stop in (1, len(pieces) // 2, len(pieces) - 1):
        begun = open_recording(path, **options)
        chunks = begun.chunks()
        before = [next(chunks)[0] for _ in range(stop)]
        rest = before[-1][len(before[-1]) // 2 :]
        position = pickle.loads(pickle.dumps(begun.position((rest, Triggers.empty()))))
        resumed = open_recording(path, **options)
        decoded = count_decoded(resumed)
        after = [events for events, _ in resumed.chunks(position)]
        assert_same(after[0], rest)
        assert [len(piece) for piece in after[1:]] == [len(piece) for piece in pieces[stop:]]
        assert_same(concatenate(after[1:]), concatenate(pieces[stop:]))
        assert facts(resumed) == facts(whole)
        left = sum(len(piece) for piece in pieces[stop:])
        assert sum(decoded) == (COUNT if name in READ_AGAIN else left)


def count_decoded(recording):
    """Return a list of how many events the format will have decoded, piece by piece."""
    decoded = []

    def counting(read):
        def read_and_count(*place):
            for events, triggers in read(*place):
                decoded.append(len(events))
                yield events, triggers

        return read_and_count

    begins_anywhere = type(recording)._read_from is not Recording._read_from
    name = '_read_from' if begins_anywhere else '_read'
    setattr(recording, name, counting(getattr(recording, name)))
    return decoded
