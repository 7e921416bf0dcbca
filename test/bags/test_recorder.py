from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import event_streams as streams
import numpy as np
import pytest
from packet_bags import EPOCH, SECOND, make_packet, sequence

from microexpr_ros import bags
from microexpr_ros.bags.folder import STORAGES, BagFolder
from microexpr_ros.bags.recorder import Arrival, BagRecorder
from microexpr_ros.bags.serialization import serialize_packet
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.conversion import convert_recording
from microexpr_ros.events.events import Triggers
from microexpr_ros.events.files import open_recording
from microexpr_ros.events.packets import packetize
from microexpr_ros.topics import EVENTS_TOPIC

SUPPORT = str(Path(__file__).parents[1] / 'support')

RECORD = """
    import sys, time
    from pathlib import Path
    sys.path.insert(0, {support!r})
    import packet_bags
    from microexpr_ros import bags
    from microexpr_ros.bags.folder import BagFolder
    from microexpr_ros.bags.recorder import Arrival, BagRecorder
    from microexpr_ros.bags.serialization import serialize_packet

    recorder = BagRecorder(BagFolder(Path({path!r}), {storage!r}, max_ns=packet_bags.SECOND // 5))
    for seq in range(100_000):
        time_ns = packet_bags.EPOCH + seq * packet_bags.SECOND // 1000
        cdr = serialize_packet(packet_bags.make_packet(seq))
        recorder.put(Arrival('/events', bags.EVENT_PACKET, cdr, time_ns, time_ns))
        print(time.monotonic(), flush=True)
        time.sleep(0.001)
"""


def read_put_times(log):
    """Return when each message was given to the recorder; half a line at the end is none."""
    lines = log.read_text().splitlines(keepends=True)
    return [float(line) for line in lines if line.endswith('\n')]


def count_older(put_times_s, now_s):
    return sum(now_s - put_s > 1.0 for put_s in put_times_s)


@pytest.mark.parametrize('storage', STORAGES)
def test_what_is_older_than_a_second_survives_a_kill(tmp_path, storage):
    path = tmp_path / 'bag'
    script = textwrap.dedent(RECORD).format(support=SUPPORT, path=str(path), storage=storage)
    log = tmp_path / 'log'
    with log.open('w') as output:
        process = subprocess.Popen([sys.executable, '-c', script], stdout=output)
        try:
            deadline_s = time.monotonic() + 30
            while count_older(read_put_times(log), time.monotonic()) < 300:
                assert time.monotonic() < deadline_s
                time.sleep(0.05)
        finally:
            process.send_signal(signal.SIGKILL)
            killed_s = time.monotonic()
            process.wait()
    got = sequence(path)
    assert got == list(range(len(got)))
    assert len(got) >= count_older(read_put_times(log), killed_s) > 100
    found = bags.read_contents(path)
    assert found.topics[0].messages == len(got)
    assert len(list(path.glob('bag_*'))) >= 2


def test_a_killed_recording_is_converted(tmp_path):
    events = streams.random_events(np.random.default_rng(0), 20_000, SECOND)
    packets = packetize([(events, Triggers.empty())], streams.HEIGHT, streams.WIDTH)
    bag = BagFolder(tmp_path / 'bag', max_ns=SECOND // 4)
    for packet in packets:
        cdr = serialize_packet(packet)
        bag.write(EVENTS_TOPIC, bags.EVENT_PACKET, cdr, EPOCH + packet.stamp_ns)
    bag.flush()  # and no more
    report = convert_recording(open_recording(tmp_path / 'bag'), tmp_path / 'whole.raw')
    assert report.events_out == len(events)
    assert {name for name, count in report.dropped.items() if count} == {'files_cut_off'}


FILL_THE_DISK = """
    import resource, signal, sys
    from pathlib import Path
    sys.path.insert(0, {support!r})
    import packet_bags
    from microexpr_ros import bags
    from microexpr_ros.bags.folder import BagFolder
    from microexpr_ros.bags.recorder import Arrival, BagRecorder
    from microexpr_ros.bags.serialization import serialize_packet

    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))
    recorder = BagRecorder(BagFolder(Path({path!r})))
    for seq in range(1000):
        cdr = serialize_packet(packet_bags.make_packet(seq))
        time_ns = packet_bags.EPOCH + seq
        recorder.put(Arrival('/events', bags.EVENT_PACKET, cdr, time_ns, time_ns))
    recorder.close()
    progress = recorder.progress()
    print(recorder.error)
    print(progress.messages['/events'], progress.overrun['/events'])
"""


def test_a_full_disk_is_an_error_and_what_was_written_stays(tmp_path):
    path = tmp_path / 'bag'
    script = textwrap.dedent(FILL_THE_DISK).format(support=SUPPORT, path=str(path))
    run = subprocess.run(
        [sys.executable, '-c', script], capture_output=True, text=True, timeout=60
    )
    error, counts = run.stdout.splitlines()
    assert error.startswith(f'cannot write {path} (')
    assert 'disk' in error
    got = sequence(path)
    assert len(got) > 200
    assert got == list(range(len(got)))
    assert counts.split() == [str(len(got)), str(1000 - len(got))]


def make_arrival(seq, topic='/events'):
    cdr = serialize_packet(make_packet(seq))
    return Arrival(topic, bags.EVENT_PACKET, cdr, EPOCH + seq, EPOCH + seq)


def test_gaps_in_the_sequence_are_lost_packets(tmp_path):
    recorder = BagRecorder(BagFolder(tmp_path / 'bag'))
    # Three are missing, then the camera starts again.
    for seq in (5, 6, 10, 11, 0, 1):
        recorder.put(make_arrival(seq))
    for seq in (0, 2):
        recorder.put(make_arrival(seq, '/other'))
    recorder.close()
    progress = recorder.progress()
    assert progress.lost_packets == {'/events': 3, '/other': 1}
    assert progress.messages == {'/events': 6, '/other': 2}
    assert (progress.overrun, progress.lost) == ({}, 4)
    assert progress.bytes == (tmp_path / 'bag' / 'bag_0.mcap').stat().st_size


def test_a_topic_of_several_publishers_has_no_count_of_lost_packets(tmp_path):
    recorder = BagRecorder(BagFolder(tmp_path / 'bag'))
    for seq in (0, 2):
        recorder.put(make_arrival(seq, '/alone'))
    for seq in (0, 1000, 1, 1001):
        recorder.put(make_arrival(seq))
    assert recorder.give_up_counting('/events')
    assert not recorder.give_up_counting('/events')
    recorder.put(make_arrival(2000))
    recorder.close()
    progress = recorder.progress()
    assert (progress.lost_packets, progress.uncountable) == ({'/alone': 1}, ['/events'])
    assert progress.lost == 1


@pytest.mark.parametrize('storage', STORAGES)
def test_a_file_that_cannot_begin_ends_the_recording(tmp_path, storage):
    bag = BagFolder(tmp_path / 'bag', storage, max_ns=10)
    suffix = '.mcap' if storage == 'mcap' else '.db3'
    (tmp_path / 'bag' / f'bag_1{suffix}').write_bytes(b'')
    recorder = BagRecorder(bag)
    for seq in range(20):
        recorder.put(make_arrival(seq))
    deadline = time.monotonic() + 10
    while recorder.error is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    for seq in range(20, 100):
        recorder.put(make_arrival(seq))
    recorder.close()
    assert 'cannot write' in str(recorder.error)
    progress = recorder.progress()
    assert (progress.messages, progress.overrun) == ({'/events': 10}, {'/events': 90})
    assert progress.bytes >= 10 * 5000


def test_a_folder_that_is_removed_is_an_error(tmp_path):
    recorder = BagRecorder(BagFolder(tmp_path / 'bag'))
    recorder.put(make_arrival(0))
    shutil.rmtree(tmp_path / 'bag')
    recorder.close()
    assert 'cannot write' in str(recorder.error)


class SlowBag(BagFolder):
    def write(self, *arguments):
        time.sleep(0.02)
        super().write(*arguments)


def test_what_the_disk_is_too_slow_for_is_counted(tmp_path):
    recorder = BagRecorder(SlowBag(tmp_path / 'bag'), cache_bytes=20_000)
    for seq in range(40):
        recorder.put(make_arrival(seq))
    recorder.close()
    progress = recorder.progress()
    assert recorder.error is None
    assert progress.overrun['/events'] > 20
    assert progress.messages['/events'] + progress.overrun['/events'] == 40
    assert progress.lost_packets == {}
    assert len(sequence(tmp_path / 'bag')) == progress.messages['/events']


def test_a_type_that_nobody_knows_ends_the_recording(tmp_path):
    recorder = BagRecorder(BagFolder(tmp_path / 'bag'))
    recorder.put(Arrival('/a', 'foreign_msgs/msg/Thing', b'\0\1\0\0', EPOCH, EPOCH))
    recorder.close()
    assert isinstance(recorder.error, MicroexprError)
    assert 'foreign_msgs' in str(recorder.error)
