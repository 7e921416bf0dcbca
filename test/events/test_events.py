from __future__ import annotations

import event_streams as streams
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microexpr_ros.events.events import Events, Triggers


@given(st.lists(streams.events()))
def test_events_are_concatenated(parts):
    streams.assert_same(Events.concatenate(iter(parts)), streams.concatenate(parts))


@given(st.lists(streams.triggers()))
def test_triggers_are_concatenated(parts):
    streams.assert_same(Triggers.concatenate(iter(parts)), streams.concatenate_triggers(parts))


@pytest.mark.parametrize(
    'whole',
    [
        streams.make_events([3, 5, 5, 9], [1, 2, 3, 4], [5, 6, 7, 8], [0, 1, 1, 0]),
        streams.make_triggers([3, 5, 5, 9], [1, 2, 3, 4], [0, 1, 1, 0]),
    ],
)
def test_a_slice_is_a_view_and_slices_make_up_the_whole(whole):
    first, rest = whole[:1], whole[1:]
    assert first.t.tolist() == [3]
    assert rest.t.tolist() == [5, 5, 9]
    assert rest.t.base is whole.t
    streams.assert_same(type(whole).concatenate([first, rest]), whole)


def test_shifting_changes_the_times_alone():
    events = streams.make_events([3, 5], [1, 2], [5, 6], [0, 1])
    streams.assert_same(events.shifted(-3), streams.make_events([0, 2], [1, 2], [5, 6], [0, 1]))
    triggers = streams.make_triggers([3, 5], [1, 2], [0, 1])
    streams.assert_same(triggers.shifted(7), streams.make_triggers([10, 12], [1, 2], [0, 1]))
