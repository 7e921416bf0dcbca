"""Every kind of bag with every kind of damage, read by everything that reads bags.

Never anything but a MicroexprError, never a silent loss: what was read, what was left out by
reason and what is damaged are the whole, or it is said that the number of lost messages is not
known.
"""

from __future__ import annotations

import shutil

import damaged_bags as corpus
import numpy as np
import pytest
from counting_network import counting_classifier
from zstandard import ZstdCompressor

from microexpr_ros import bags
from microexpr_ros.analysis import analyze_recording
from microexpr_ros.bags.pacing import Pacer
from microexpr_ros.bags.playback import Playback, PlaybackOptions
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.conversion import convert_recording
from microexpr_ros.events.files import open_recording
from microexpr_ros.events.inspection import inspect

CHECKSUMS = ('mcap', 'mcap with lz4', 'mcap without compression', 'mcap of this package')
UNCHECKED = (
    'mcap without chunks',
    'mixed compression',
    'sqlite3',
    'split sqlite3',
    'sqlite3 with an empty topic',
)
"""Kinds in which a byte of a message can change unnoticed."""

EVENTS = 40 * corpus.COUNT


class Unpaced(Pacer):
    """Does not wait: a damaged time may lie years ahead."""

    def wait_until(self, recorded_ns, ends_step=False):
        return None if self.stopped else 0


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """Return the path of a whole bag of a kind, which is made once."""
    folder = tmp_path_factory.mktemp('whole')

    def make(kind):
        path = folder / kind.replace(' ', '_') / 'bag'
        if not path.exists():
            path.parent.mkdir()
            corpus.KINDS[kind](path)
        return path

    return make


@pytest.fixture
def copy(whole, tmp_path):
    """Return a copy of a bag of a kind, to be damaged."""

    def make(kind, name='bag'):
        target = tmp_path / name
        shutil.rmtree(target, ignore_errors=True)
        return shutil.copytree(whole(kind), target)

    return make


def is_uncounted(contents, damage):
    """Return whether it is said that an unknown number of messages is lost."""
    return not contents.complete or any(place.messages is None for place in damage)


def check_messages(path, size):
    """Check what `read_messages` gives; return the messages, and what is damaged."""
    contents = bags.read_contents(path)
    damage = bags.Damage()
    read = list(bags.read_messages(path, damage=damage))
    foreign = list(bags.read_foreign(path, damage))
    found = len(read) + len(foreign)
    assert found <= size
    assert found + damage.messages >= size or is_uncounted(contents, damage)
    listed = sum(topic.messages for topic in contents.topics)
    assert len(read) <= listed <= len(read) + damage.messages
    return read, damage


def check_inspection(path, size, has_checksums):
    found = inspect(path)
    read = sum(topic.messages for topic in found.topics)
    is_counted = found.complete and not any('unknown number' in line for line in found.damage)
    assert read + found.messages_damaged >= size or not is_counted
    for report in found.events if has_checksums else ():
        is_whole = report.events == EVENTS
        assert is_whole or report.error or report.left_out or found.damage or not found.complete
    return found


def check_error(error, path):
    assert '\n' not in str(error)
    assert str(path) in str(error)


def check_conversion(path, target, has_checksums):
    """Check that a conversion counts what it has not; a bag without packets is refused."""
    try:
        report = convert_recording(open_recording(path), target)
    except MicroexprError as error:
        check_error(error, path)
        return None
    kept = [packet for _, packet in bags.read_packets(target)]
    assert report.events_out == EVENTS or sum(report.dropped.values()) or not has_checksums
    assert kept or report.events_out == 0
    return report


def check_analysis(path, converted, has_checksums):
    """Check that an analysis reads and counts what a conversion does."""
    try:
        found = analyze_recording(open_recording(path), counting_classifier())
    except MicroexprError as error:
        check_error(error, path)
        assert converted is None
        return
    assert found.events == EVENTS or any(found.losses.values()) or not has_checksums
    assert found.events == converted.events_out
    assert found.damage == converted.damage
    for reason, count in found.losses.items():
        assert count == converted.dropped.get(reason, count)


def check_playback(path, expected):
    contents = bags.read_contents(path)
    topics = [topic.name for topic in contents.topics]
    if not topics:
        return
    played = []
    playback = Playback(contents, PlaybackOptions(topics), Unpaced())
    playback.run(played.append, lambda _: None)
    assert played == expected
    assert playback.damage.messages >= 0


def check(path, kind, tmp_path):
    """Read a damaged bag with everything; return the messages and what is damaged."""
    size, _ = corpus.whole_size(kind)
    try:
        read, damage = check_messages(path, size)
    except MicroexprError as error:
        check_error(error, path)
        return None
    check_inspection(path, size, kind not in UNCHECKED)
    has_checksums = kind not in UNCHECKED
    converted = check_conversion(path, tmp_path / 'converted', has_checksums)
    check_analysis(path, converted, has_checksums)
    shutil.rmtree(tmp_path / 'converted', ignore_errors=True)
    check_playback(path, read)
    return read, damage


@pytest.mark.parametrize('kind', corpus.KINDS)
def test_a_whole_bag_has_no_damage(whole, tmp_path, kind):
    size, foreign = corpus.whole_size(kind)
    read, damage = check(whole(kind), kind, tmp_path)
    assert (len(read), len(damage)) == (size - foreign, 0)
    assert sorted(message.cdr for message in read) == sorted(cdr for *_, cdr in corpus.messages())
    found = inspect(whole(kind))
    assert (found.complete, found.damage, found.messages_damaged) == (True, (), 0)
    assert sum(topic.messages for topic in found.topics) == size
    assert sum(topic.seq_gaps for topic in found.topics) == (
        0 if kind != 'times backwards' else found.topics[0].seq_gaps
    )


@pytest.mark.parametrize('kind', corpus.KINDS)
def test_one_flipped_byte_a_cut_and_zeros(copy, tmp_path, kind):
    for damage, share in ((corpus.flip, 0.5), (corpus.cut, 0.7), (corpus.zero, 0.8)):
        path = copy(kind)
        file = corpus.storage_file(path)
        damage(file, int(share * file.stat().st_size))
        assert check(path, kind, tmp_path) is not None


@pytest.mark.parametrize('kind', CHECKSUMS)
def test_a_damaged_chunk_costs_exactly_that_chunk(copy, kind):
    path = copy(kind)
    file = corpus.storage_file(path)
    content = file.read_bytes()
    chunks = [place for place in corpus.boundaries(file) if content[place] == 6]
    assert len(chunks) > 3
    corpus.flip(file, chunks[2] + 80)
    damage = bags.Damage()
    read = list(bags.read_messages(path, damage=damage))
    (place,) = damage
    assert (place.file, place.offset) == (file.name, chunks[2])
    assert 0 < place.messages < corpus.COUNT // 2
    lost = {'/events': 0, '/tick': 0} | place.counts
    for topic, count in (('/events', corpus.COUNT), ('/tick', corpus.COUNT // 5)):
        assert sum(message.topic == topic for message in read) == count - lost[topic]
    assert {message.cdr for message in read} <= {cdr for *_, cdr in corpus.messages()}


@pytest.mark.parametrize('kind', ['mcap', 'mcap without compression', 'mcap without chunks'])
def test_a_damaged_length_costs_what_it_belongs_to_without_an_index_too(copy, kind):
    path = copy(kind)
    file = corpus.storage_file(path)
    content = file.read_bytes()
    blocks = [place for place in corpus.boundaries(file) if content[place] in (5, 6)]
    end = next(place for place in corpus.boundaries(file) if content[place] == 15)
    corpus.flip(file, blocks[2] + 3)
    corpus.cut(file, end)
    read, damage = check_messages(path, corpus.whole_size(kind)[0])
    assert len(damage) >= 1
    assert len(read) > 0.7 * corpus.COUNT


@pytest.mark.parametrize('name', corpus.METADATA)
@pytest.mark.parametrize('kind', ['split mcap', 'split sqlite3', 'mixed compression'])
def test_metadata_that_is_wrong_costs_no_message(copy, kind, name):
    path = copy(kind)
    change = corpus.METADATA[name]
    if change is None:
        (path / 'metadata.yaml').unlink(missing_ok=True)
    else:
        corpus.change_metadata(path, change)
    read, damage = check_messages(path, corpus.whole_size(kind)[0])
    assert len(read) == corpus.whole_size(kind)[0]
    assert damage.messages == 0
    assert len(damage) == (name in ('cut', 'of wrong types'))


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_a_truncated_compressed_file_is_read_as_far_as_it_decompresses(copy, storage):
    path = copy('mcap of this package' if storage == 'mcap' else 'sqlite3')
    file = corpus.storage_file(path)
    # Small blocks, as of a file that is much larger than one block.
    compressor = ZstdCompressor().compressobj()
    content = file.read_bytes()
    packed = b''
    for place in range(0, len(content), 1000):
        packed += compressor.compress(content[place : place + 1000]) + compressor.flush(1)
    packed += compressor.flush()
    file.unlink()
    (path / f'{file.name}.zstd').write_bytes(packed)
    assert len(list(bags.read_messages(path))) == corpus.whole_size('mcap')[0]
    (path / f'{file.name}.zstd').write_bytes(packed[: int(0.7 * len(packed))])
    read, damage = check_messages(path, corpus.whole_size('mcap')[0])
    assert len(read) > 0.4 * corpus.COUNT
    assert any('its compression is cut off' in place.reason for place in damage)


def test_a_file_that_cannot_be_read_does_not_cost_the_others(copy):
    path = copy('split mcap')
    (path / 'bag_1.mcap').write_bytes(b'nothing of a bag')
    read, damage = check_messages(path, corpus.whole_size('split mcap')[0])
    assert 0 < len(read) < corpus.COUNT
    (place,) = damage
    assert (place.file, place.messages) == ('bag_1.mcap', None)


def test_rows_of_a_cut_sqlite3_file_are_what_was_written(copy):
    path = copy('sqlite3')
    file = corpus.storage_file(path)
    corpus.cut(file, int(0.7 * file.stat().st_size))
    read = list(bags.read_messages(path, damage=bags.Damage()))
    written = {(time_ns, cdr) for _, _, time_ns, cdr in corpus.messages()}
    assert {(message.time_ns, message.cdr) for message in read} <= written
    assert len(read) > 0.3 * corpus.COUNT
    assert not bags.read_contents(path).complete


def test_large_messages_of_a_damaged_sqlite3_file_are_put_together(tmp_path):
    rng = np.random.default_rng(0)
    pixels = [rng.integers(0, 256, (100, 300), np.uint8) for _ in range(20)]
    with bags.BagWriter(tmp_path / 'bag', 'sqlite3') as writer:
        for number, picture in enumerate(pixels):
            writer.write_image('/rgb', picture, number, 'rgb')
    want = [message.cdr for message in bags.read_messages(tmp_path / 'bag')]
    file = tmp_path / 'bag' / 'bag_0.db3'
    corpus.cut(file, file.stat().st_size // 2)
    damage = bags.Damage()
    read = [message.cdr for message in bags.read_messages(tmp_path / 'bag', damage=damage)]
    assert len(read) >= 8
    assert set(read) <= set(want)
    assert any(place.messages is None for place in damage)


@pytest.mark.slow
@pytest.mark.parametrize('damage', [corpus.cut, corpus.zero])
@pytest.mark.parametrize('kind', corpus.KINDS)
def test_cuts_and_zeros_at_every_block(copy, tmp_path, kind, damage):
    places = corpus.boundaries(corpus.storage_file(copy(kind)))
    for place in places[:: max(len(places) // 40, 1)]:
        path = copy(kind)
        damage(corpus.storage_file(path), place)
        check(path, kind, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize('kind', corpus.KINDS)
def test_a_flipped_byte_in_every_region(copy, tmp_path, kind):
    size = corpus.storage_file(copy(kind)).stat().st_size
    rng = np.random.default_rng(0)
    for begin in range(0, size, max(size // 60, 1)):
        path = copy(kind)
        corpus.flip(corpus.storage_file(path), min(begin + int(rng.integers(40)), size - 1))
        check(path, kind, tmp_path)
