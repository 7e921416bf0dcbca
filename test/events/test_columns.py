from __future__ import annotations

from pathlib import Path

import event_streams as streams
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events import codecs
from microexpr_ros.events.files.columns import Columns, choose_unit, interleave
from microexpr_ros.events.packets import packetize


def pieces(draw, stream, make):
    """Cut a stream anywhere, so that some pieces are empty."""
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        yield make(start, end)


@given(data=st.data(), events=streams.events(), triggers=streams.triggers())
def test_interleaving_keeps_everything_in_order(data, events, triggers):
    chunks = list(
        interleave(
            pieces(data.draw, events, lambda i, j: events[i:j]),
            pieces(
                data.draw,
                triggers,
                lambda i, j: streams.make_triggers(
                    triggers.t[i:j], triggers.id[i:j], triggers.edge[i:j]
                ),
            ),
        )
    )
    streams.assert_same(streams.concatenate(chunk[0] for chunk in chunks), events)
    streams.assert_same(streams.concatenate_triggers(chunk[1] for chunk in chunks), triggers)
    # Only a stream in order can be cut into packets.
    decoder = codecs.decoder('evt3', streams.HEIGHT, streams.WIDTH)
    packets = packetize(chunks, streams.HEIGHT, streams.WIDTH)
    decoded = [decoder.decode(packet.events) for packet in packets]
    times = streams.concatenate(part for part, _ in decoded).t
    np.testing.assert_array_equal(np.diff(times), np.diff(events.t))


def test_triggers_at_the_end_of_a_piece_belong_to_it():
    events = streams.make_events([1, 5, 9], [0] * 3, [0] * 3, [0] * 3)
    triggers = streams.make_triggers([0, 5, 6, 9, 10], [0] * 5, [1] * 5)
    chunks = list(interleave(iter([events[:2], events[2:]]), iter([triggers])))
    assert [chunk[1].t.tolist() for chunk in chunks] == [[0, 5], [6, 9], [10]]


def first_events(count, ticks):
    times = np.linspace(0, ticks, count).astype(np.int64)
    zeros = np.zeros(count, np.uint16)
    return Columns(times, zeros, zeros, zeros)


# 131072 events in 0.46 s is a face that moves, seen by a sensor of 1280 x 720 pixels.
@pytest.mark.parametrize(
    ('ticks', 'given', 'rate', 'likely'),
    [
        (460_000, 's', '0.285', 'us'),
        (460_000_000, 's', '0.000285', 'ns'),
        (2_000, 'ns', '6.55e+10', 'us'),
        (130, 'ns', '1.01e+12', 's'),
    ],
)
def test_a_unit_that_makes_an_impossible_rate_is_refused(ticks, given, rate, likely):
    with pytest.raises(MicroexprError, match=f'give --time-unit {likely}$') as raised:
        choose_unit(Path('face.npy'), given, first_events(131_072, ticks))
    assert f'131072 events of face.npy make {rate} events/s' in str(raised.value)


@pytest.mark.parametrize(
    ('ticks', 'given', 'rate', 'likely'),
    [
        (460_000, 'ns', '2.85e+08', '2.85e+05 events/s if they are in us'),
        (460_000_000, 'us', '285', '2.85e+05 events/s if they are in ns'),
        (130, 'us', '1.01e+09', '1.01e+03 events/s if they are in s'),
    ],
)
def test_of_a_unit_that_makes_an_odd_rate_is_warned(ticks, given, rate, likely, caplog):
    assert choose_unit(Path('face.npy'), given, first_events(131_072, ticks)) == given
    assert f'make {rate} events/s' in caplog.text
    assert likely in caplog.text
    assert 'check --time-unit' in caplog.text


@pytest.mark.parametrize(
    ('count', 'ticks', 'given'),
    [
        (131_072, 460_000, 'us'),
        (131_072, 460_000_000, 'ns'),
        (131_072, 2_000, 'us'),
        # Too few to make a rate, all at one time, and odd in every unit.
        (999, 10, 'ns'),
        (131_072, 0, 'ns'),
        (1_000, 5, 's'),
    ],
)
def test_other_units_are_not_questioned(count, ticks, given, caplog):
    assert choose_unit(Path('face.npy'), given, first_events(count, ticks)) == given
    assert not caplog.records
