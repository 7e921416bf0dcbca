from __future__ import annotations

import dataclasses

from event_streams import events_at, make_triggers
from hypothesis import given
from hypothesis import strategies as st

from microexpr_ros.events import Frame
from microexpr_ros.events.cameras import Batch, in_order
from microexpr_ros.events.cameras.order import MAX_BACK_NS

MS = 1_000_000


def test_older_data_of_a_batch_arrived_earlier():
    batch = Batch(events_at([3 * MS, 5 * MS]), frames=(Frame(4 * MS, None),), arrival_ns=100 * MS)
    assert batch.host_ns(5 * MS) == 100 * MS
    assert batch.host_ns(3 * MS) == 98 * MS
    late = dataclasses.replace(batch, frames=(Frame(6 * MS, None),))
    assert late.host_ns(6 * MS) == 100 * MS
    assert Batch(arrival_ns=7).host_ns(3) == 7


def triggers_at(times_ns):
    return make_triggers(times_ns, [0] * len(times_ns), [1] * len(times_ns))


def ordered(*batches):
    return [
        (number, batch.events.t.tolist(), batch.triggers.t.tolist())
        for number, batch in in_order(
            Batch(events_at(events), triggers_at(triggers)) for events, triggers in batches
        )
    ]


def test_few_events_out_of_order_are_dated_like_the_newest_before_them():
    assert ordered(([100, 90, 120], [95]), ([110, 130], [100])) == [
        (0, [100, 100, 120], [95]),
        (0, [120, 130], [120]),
    ]


def test_events_out_of_order_are_counted():
    batches = (
        Batch(events_at([100, 90, 120]), triggers_at([95, 94]), held=3),
        Batch(events_at([110, 130, 1000 * MS, 0, 1, 0]), triggers_at([100])),
    )
    counts = [(number, batch.held) for number, batch in in_order(batches)]
    assert counts == [(0, 3 + 2), (0, 2), (1, 1)]


def test_time_begins_anew_when_the_clock_is_set_back():
    second = 1000 * MS
    assert ordered(([5 * second], []), ([0, MS], [MS]), ([2 * MS], [])) == [
        (0, [5 * second], []),
        (0, [], []),
        (1, [0, MS], [MS]),
        (1, [2 * MS], []),
    ]
    assert ordered(([5 * second, 6 * second, 0, MS], [6 * second, MS])) == [
        (0, [5 * second, 6 * second], [6 * second]),
        (1, [0, MS], [MS]),
    ]


def test_frames_and_losses_of_a_batch_that_is_split_are_in_its_first_part():
    batch = Batch(
        events_at([1000 * MS, 0]),
        frames=(Frame(990 * MS, None),),
        arrival_ns=7 * MS,
        lost=2,
        lag_ns=3,
    )
    (_, before), (_, after) = in_order([batch])
    assert (len(before.frames), before.lost) == (1, 2)
    assert (after.frames, after.lost) == ((), 0)
    for part in (before, after):
        assert (part.arrival_ns, part.lag_ns) == (7 * MS, 3)
    assert before.host_ns(1000 * MS) == after.host_ns(0) == 7 * MS


@given(st.lists(st.lists(st.integers(0, 6 * MAX_BACK_NS), max_size=6), max_size=6))
def test_every_event_is_kept_and_only_restarts_go_back(batches):
    parts = list(in_order(Batch(events_at(times)) for times in batches))
    expected = []
    number, newest = 0, -MAX_BACK_NS
    for time_ns in (time_ns for times in batches for time_ns in times):
        is_anew = time_ns < newest - MAX_BACK_NS
        number, newest = (number + 1, time_ns) if is_anew else (number, max(newest, time_ns))
        expected.append((number, newest))
    assert [(k, t) for k, part in parts for t in part.events.t.tolist()] == expected
    columns = [x for times in batches for x in events_at(times).x.tolist()]
    assert [x for _, part in parts for x in part.events.x.tolist()] == columns
