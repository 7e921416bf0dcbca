from __future__ import annotations

import itertools
import threading
import time

import pytest

from microexpr_ros import bags
from microexpr_ros.bags import playback
from microexpr_ros.bags.folder import BagFolder
from microexpr_ros.bags.pacing import Pacer
from microexpr_ros.bags.playback import READ_AHEAD_BYTES, Playback, PlaybackOptions
from microexpr_ros.errors import MicroexprError

MS = 1_000_000
START = 1_700_000_000_000 * MS
EMPTY = 'std_msgs/msg/Empty'


def write(path, times_ms, size=4, **options):
    bag = BagFolder(path, **options)
    for number, time_ms in enumerate(times_ms):
        topic = '/odd' if number % 2 else '/even'
        bag.write(
            topic, EMPTY, number.to_bytes(4, 'little') + bytes(size - 4), START + time_ms * MS
        )
    bag.close()
    return bags.read_contents(path)


@pytest.fixture
def bag(tmp_path):
    return write(tmp_path / 'bag', range(0, 100, 10), max_ns=35 * MS)


@pytest.mark.parametrize('clock_hz', [0.0, 100.0])
@pytest.mark.parametrize('loop', [False, True])
def test_years_between_messages_are_not_waited_for(tmp_path, clock_hz, loop):
    folder = BagFolder(tmp_path / 'bag')
    # The times of the first two were zeroed.
    for number, time_ns in enumerate((0, 0, START, START + 10 * MS)):
        folder.write('/even', EMPTY, number.to_bytes(4, 'little'), time_ns)
    folder.close()
    contents = bags.read_contents(tmp_path / 'bag')
    most = 8 if loop else 4
    played = Played(contents, topics=('/even',), clock_hz=clock_hz, loop=loop, most=most)
    played.start()
    played.until(most)
    played.pacer.stop()
    played.end()
    numbers = [message.cdr[0] for message in played.messages[:most]]
    assert numbers == [0, 1, 2, 3] * (most // 4)
    assert played.playback.pauses_skipped >= most // 4


class Played:
    """What was played, on a thread of its own, and when."""

    def __init__(self, bag, pacer=None, topics=('/even', '/odd'), most=10**9, **options):
        self.pacer = pacer or Pacer(100.0)
        self.playback = Playback(bag, PlaybackOptions(topics, **options), self.pacer)
        self.messages, self.times_ns, self.ticks, self.order = [], [], [], []
        self._most = most
        self._thread = threading.Thread(target=self.run)

    def start(self):
        self._thread.start()
        return self

    def run(self):
        self.playback.run(self._publish, self._tell)
        return self

    def end(self):
        self._thread.join(20)
        assert not self._thread.is_alive()
        return self

    @property
    def offsets_ms(self):
        return [(message.time_ns - START) // MS for message in self.messages]

    def until(self, count):
        deadline = time.monotonic() + 10
        while len(self.messages) < count:
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def _publish(self, message):
        self.messages.append(message)
        self.times_ns.append(time.monotonic_ns())
        self.order.append(message.time_ns)
        if len(self.messages) == self._most:
            self.pacer.stop()

    def _tell(self, time_ns):
        self.ticks.append(time_ns)
        self.order.append(time_ns)


def test_every_message_is_played_as_it_was_recorded(bag):
    played = Played(bag).run()
    assert played.messages == list(bags.read_messages(bag.path))
    assert played.offsets_ms == list(range(0, 100, 10))
    assert played.ticks == []


def test_messages_keep_their_distance(bag):
    played = Played(bag, Pacer(0.5)).run()
    for number, time_ns in enumerate(played.times_ns):
        assert time_ns - played.times_ns[0] >= (number * 20 - 5) * MS
    assert played.playback.lateness.percentile_ms(50) < 50


@pytest.mark.parametrize(
    ('part', 'expected'),
    [
        ({'start_offset_ns': 35 * MS}, [40, 50, 60, 70, 80, 90]),
        ({'start_offset_ns': 40 * MS}, [40, 50, 60, 70, 80, 90]),
        ({'duration_ns': 20 * MS}, [0, 10, 20]),
        ({'start_offset_ns': 35 * MS, 'duration_ns': 20 * MS}, [40, 50]),
        ({'topics': ['/odd']}, [10, 30, 50, 70, 90]),
    ],
)
def test_a_part_is_played(bag, part, expected):
    assert Played(bag, **part).run().offsets_ms == expected


def test_a_part_that_is_not_there_is_refused(bag):
    with pytest.raises(MicroexprError, match=r'start offset 1 s is behind the end .* 0\.09 s'):
        Played(bag, start_offset_ns=1000 * MS)
    with pytest.raises(MicroexprError, match='has no topic /nose: it has /even'):
        Played(bag, topics=['/nose'])
    with pytest.raises(MicroexprError, match='no topic that can be played'):
        Played(bag, topics=[])


def test_a_loop_has_no_gap(bag):
    played = Played(bag, Pacer(1.0), loop=True, most=31, clock_hz=50).run()
    assert played.offsets_ms == [*(list(range(0, 100, 10)) * 3), 0]
    # Three rounds of 90 ms: the last message of one is the moment of the first of the next.
    elapsed_ms = (played.times_ns[-1] - played.times_ns[0]) / MS
    assert 265 <= elapsed_ms < 400
    rounds = played.ticks.count(START)
    assert rounds == 4


def test_a_bag_of_one_message_does_not_run_wild(tmp_path):
    bag = write(tmp_path / 'bag', [0])
    played = Played(bag, Pacer(1.0), ['/even'], loop=True, most=50).run()
    assert played.times_ns[-1] - played.times_ns[0] >= 40 * MS


def test_a_delay_comes_before_each_round(bag):
    began_ns = time.monotonic_ns()
    played = Played(bag, Pacer(10.0), loop=True, delay_ns=100 * MS, most=11).run()
    assert played.times_ns[0] - began_ns >= 100 * MS
    assert played.times_ns[10] - played.times_ns[9] >= 95 * MS


@pytest.mark.parametrize('rate', [0.5, 2.0])
def test_the_clock_ticks_in_steady_time_and_in_order(bag, rate):
    played = Played(bag, Pacer(rate), clock_hz=100).run()
    steps = {after - before for before, after in itertools.pairwise(played.ticks)}
    assert steps == {round(10 * MS * rate)}
    assert played.ticks[0] == START
    assert START + 90 * MS - played.ticks[-1] < 10 * MS * rate
    assert played.order == sorted(played.order)


def test_a_pause_stops_messages_and_clock(bag):
    played = Played(bag, Pacer(0.5), clock_hz=100).start()
    played.until(3)
    played.pacer.toggle()
    time.sleep(0.05)
    counts = len(played.messages), len(played.ticks)
    time.sleep(0.3)
    assert (len(played.messages), len(played.ticks)) == counts
    played.pacer.toggle()
    played.end()
    assert played.offsets_ms == list(range(0, 100, 10))
    # No burst: each of the rest keeps its distance.
    gaps = [b - a for a, b in itertools.pairwise(played.times_ns[counts[0] :])]
    assert all(gap > 10 * MS for gap in gaps)
    assert played.playback.lateness.worst_ns < 300 * MS


def test_steps_play_one_message_each(bag):
    played = Played(bag, Pacer(1.0, paused=True), clock_hz=1000).start()
    for count in range(1, 4):
        played.pacer.step()
        played.until(count)
        time.sleep(0.05)
        assert len(played.messages) == count
    played.pacer.stop()
    played.end()


@pytest.mark.parametrize(
    ('size', 'period_ms', 'ahead'),
    [(1_000_000, 1, READ_AHEAD_BYTES // 1_000_000), (10, 10, 200)],
)
def test_disk_is_read_ahead_but_not_all_of_it(tmp_path, monkeypatch, size, period_ms, ahead):
    bag = write(tmp_path / 'bag', range(0, (ahead + 20) * period_ms, period_ms), size)
    read = []

    def read_and_count(*arguments):
        for message in bags.read_messages(*arguments):
            read.append(message)
            yield message

    monkeypatch.setattr(playback, 'read_messages', read_and_count)
    played = Played(bag, Pacer(1.0, paused=True)).start()
    deadline = time.monotonic() + 10
    while len(read) < ahead:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.2)
    # One waits for its time, and one for room.
    assert len(read) <= ahead + 2
    played.pacer.change(rate=10.0, paused=False)
    played.end()
    assert len(played.messages) == ahead + 20


def test_a_short_loop_is_read_one_round_ahead(bag, monkeypatch):
    rounds = []

    def read_and_count(*arguments):
        rounds.append(arguments)
        return bags.read_messages(*arguments)

    monkeypatch.setattr(playback, 'read_messages', read_and_count)
    played = Played(bag, Pacer(0.5), loop=True).start()
    played.until(25)
    # Two have been played and the third has begun.
    assert 3 <= len(rounds) <= 4
    played.pacer.stop()
    played.end()


def test_it_stops_at_once_though_the_disk_is_slow(bag, monkeypatch):
    going_on = threading.Event()

    def wait_and_read(*arguments):
        going_on.wait(10)
        return bags.read_messages(*arguments)

    monkeypatch.setattr(playback, 'read_messages', wait_and_read)
    played = Played(bag).start()
    began_s = time.monotonic()
    played.playback.stop()
    played.end()
    assert time.monotonic() - began_s < 2
    assert played.messages == []
    going_on.set()


def test_a_damaged_chunk_costs_that_chunk_and_counts_once_in_a_loop(tmp_path):
    bag = write(tmp_path / 'bag', range(50), 100_000, compression='none')
    (file,) = (tmp_path / 'bag').glob('*.mcap')
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 10] = b'\xff' * 10
    file.write_bytes(content)
    played = Played(bag).run()
    (place,) = played.playback.damage
    assert 'checksum' in place.reason
    assert 0 < place.messages <= 11
    assert len(played.messages) == 50 - place.messages
    looped = Played(bag, loop=True).start()
    looped.until(2 * len(played.messages) + 1)
    looped.playback.stop()
    looped.end()
    assert [str(one) for one in looped.playback.damage] == [str(place)]
