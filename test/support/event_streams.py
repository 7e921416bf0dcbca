"""Streams that tests and hypothesis make."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import strategies as st

from microexpr_ros.events.events import Events, Triggers
from microexpr_ros.events.files import open_recording

HEIGHT, WIDTH = 48, 64


def make_events(t, x, y, p):
    return Events(
        np.asarray(t, np.int64),
        np.asarray(x, np.uint16),
        np.asarray(y, np.uint16),
        np.asarray(p, np.uint8),
    )


def make_triggers(t, channel, edge):
    return Triggers(
        np.asarray(t, np.int64), np.asarray(channel, np.uint8), np.asarray(edge, np.uint8)
    )


def events_at(times_ns):
    """Return events at these times, on places that differ from one to the next."""
    x = np.arange(len(times_ns)) % 32
    return make_events(times_ns, x, x // 2, x % 2)


def random_events(rng, count, span_ns, height=HEIGHT, width=WIDTH, step_ns=1000):
    t = np.sort(rng.integers(0, max(1, span_ns // step_ns), count)) * step_ns
    return make_events(
        t, rng.integers(0, width, count), rng.integers(0, height, count), rng.integers(0, 2, count)
    )


def concatenate(parts):
    parts = list(parts) or [Events.empty()]
    return Events(*(np.concatenate([getattr(e, name) for e in parts]) for name in 'txyp'))


def concatenate_triggers(parts):
    parts = list(parts) or [Triggers.empty()]
    return Triggers(*(np.concatenate([getattr(e, n) for e in parts]) for n in ('t', 'id', 'edge')))


def read(path, **options):
    """Return the events and the triggers of a recording."""
    recording = open_recording(path, **options)
    chunks = list(recording.chunks())
    assert recording.fraction == pytest.approx(1.0)
    return concatenate(chunk[0] for chunk in chunks), concatenate_triggers(
        chunk[1] for chunk in chunks
    )


def assert_same(got, want):
    fields = ('t', 'x', 'y', 'p') if isinstance(want, Events) else ('t', 'id', 'edge')
    for name in fields:
        np.testing.assert_array_equal(getattr(got, name), getattr(want, name), err_msg=name)
        assert getattr(got, name).dtype == getattr(want, name).dtype


@st.composite
def events(draw, step_ns=1000, max_gap=5000, max_size=60, start=4_000_000):
    """Events whose times are multiples of a step; many share a time, a row and a polarity."""
    size = draw(st.integers(0, max_size))
    gaps = draw(st.lists(st.sampled_from([0, 0, 0, 1, 3, max_gap]), min_size=size, max_size=size))
    t = (draw(st.integers(0, start)) + np.cumsum(np.array(gaps, np.int64))) * step_ns
    axis = st.integers(0, WIDTH - 1)
    x = draw(st.lists(axis, min_size=size, max_size=size))
    if draw(st.booleans()):
        x = sorted(x)
    y = draw(st.lists(st.sampled_from([0, 7, HEIGHT - 1]), min_size=size, max_size=size))
    p = draw(st.lists(st.sampled_from([0, 1, 1, 1]), min_size=size, max_size=size))
    return make_events(t, x, y, p)


@st.composite
def triggers(draw, max_channel=15, start=4_000_000):
    times = sorted(draw(st.lists(st.integers(0, start + 100_000), max_size=8)))
    size = len(times)
    channel = draw(st.lists(st.integers(0, max_channel), min_size=size, max_size=size))
    edge = draw(st.lists(st.integers(0, 1), min_size=size, max_size=size))
    return make_triggers(np.array(times, np.int64) * 1000, channel, edge)
