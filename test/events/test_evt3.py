"""EVT3 word by word."""

from __future__ import annotations

import event_streams as streams
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events import codecs
from microexpr_ros.events.events import Events


def decode(words, height=2048, width=2048):
    decoder = codecs.decoder('evt3', height, width)
    return decoder, *decoder.decode(np.array(words, '<u2'))


def reference(words, height, width, registers):
    """Decode as the format is told, one word after the other."""
    events, triggers = [], []

    def now(kind):
        time_us = (registers['loops'] << 24) + registers['high'] * 4096 + registers['low']
        registers[kind] = max(registers[kind], time_us * 1000)
        return registers[kind]

    def emit(x, p):
        if registers['low'] is not None and x < width and registers['y'] < height:
            events.append([now('event'), x, registers['y'], p])

    for word in map(int, words):
        code, value = word >> 12, word & 0xFFF
        if code == 0x0:
            registers['y'] = value & 0x7FF
        elif code == 0x2:
            emit(value & 0x7FF, value >> 11)
        elif code == 0x3:
            registers['x'], registers['p'] = value & 0x7FF, value >> 11
        elif code in (0x4, 0x5):
            size = 12 if code == 0x4 else 8
            for bit in range(size):
                if value >> bit & 1:
                    emit(registers['x'] + bit, registers['p'])
            registers['x'] += size
        elif code == 0x6:
            if registers['high'] is not None:
                registers['low'] = value
        elif code == 0x8:
            old = registers['high']
            if old is not None and value != old:
                registers['loops'] += old - value > 10 and registers['low'] is not None
                registers['low'] = 0 if registers['low'] is not None else None
            registers['high'] = value
        elif code == 0xA and registers['low'] is not None:
            triggers.append([now('trigger'), value >> 8, value & 1])
    return events, triggers


def fresh_registers():
    return {
        **dict.fromkeys(('y', 'x', 'p', 'loops', 'event', 'trigger'), 0),
        **dict.fromkeys(('high', 'low')),
    }


codes = st.sampled_from([0, 0, 2, 2, 2, 3, 4, 5, 6, 6, 8, 8, 0xA, 7, 9, 0xE])
values = st.integers(0, 0xFFF)


@given(st.lists(st.builds(lambda c, v: c << 12 | v, codes, values), max_size=120), st.data())
@settings(max_examples=150, deadline=None)
def test_decodes_like_the_reference(words, data):
    cut = data.draw(st.integers(0, len(words)))
    decoder, registers = codecs.decoder('evt3', 1500, 1800), fresh_registers()
    for part in (words[:cut], words[cut:]):
        events, triggers = decoder.decode(np.array(part, '<u2'))
        want, want_triggers = reference(part, 1500, 1800, registers)
        assert np.stack([events.t, events.x, events.y, events.p], 1).tolist() == want
        got_triggers = np.stack([triggers.t, triggers.id, triggers.edge], 1).tolist()
        assert got_triggers == want_triggers


def test_long_random_words_decode_like_the_reference():
    rng = np.random.default_rng(5)
    chosen = rng.choice([0, 2, 2, 2, 2, 3, 4, 5, 6, 8, 0xA], 20_000)
    words = (chosen << 12 | rng.integers(0, 4096, 20_000)).astype('<u2')
    _, events, triggers = decode(words, 1500, 1800)
    want, want_triggers = reference(words, 1500, 1800, fresh_registers())
    assert np.stack([events.t, events.x, events.y, events.p], 1).tolist() == want
    assert len(triggers) == len(want_triggers)


def test_by_hand():
    decoder, events, triggers = decode(
        [
            0x2003,  # an event before any time
            0x6005,  # TIME_LOW before any TIME_HIGH
            0x2003,  # still no time
            0x8001,  # TIME_HIGH 1
            0x6002,  # TIME_LOW 2
            0x0807,  # ADDR_Y 7, system type bit set
            0x2803,  # ADDR_X 3, ON
            0x3010,  # VECT_BASE_X 16, OFF
            0x4801,  # VECT_12: 16 and 27
            0x5002,  # VECT_8: 28 + 1
            0xA601,  # EXT_TRIGGER 6, rising
            0x9999,  # padding
        ]
    )
    time_ns = (4096 + 2) * 1000
    want = streams.make_events([time_ns] * 4, [3, 16, 27, 29], [7] * 4, [1, 0, 0, 0])
    streams.assert_same(events, want)
    streams.assert_same(triggers, streams.make_triggers([time_ns], [6], [1]))
    assert (decoder.dropped, decoder.undated, decoder.skipped) == (0, 2, 1)


def test_vectors_at_the_edge_drop_only_what_is_outside():
    decoder, events, _ = decode([0x8000, 0x6000, 0x0000, 0x3004, 0x4FFF, 0x40FF], 4, 10)
    assert events.x.tolist() == [4, 5, 6, 7, 8, 9]
    assert decoder.dropped == 6 + 8


def test_vectors_cannot_leave_the_eleven_bits_of_a_column():
    decoder, events, _ = decode([0x8000, 0x6000, 0x37FF, 0x4003, 0x4FFF], 4, 4096)
    assert events.x.tolist() == [2047]
    assert events.p.tolist() == [0]
    assert decoder.dropped == 1 + 12


def test_more_full_vectors_than_sixteen_bits_can_count():
    starts = np.tile(4 * np.arange(400), 10)
    full = [np.full(len(starts), word) for word in (0x4FFF, 0x50FF)]
    rows = np.stack([0x3000 | starts, *full], axis=1).reshape(-1)
    decoder, events, _ = decode([0x8000, 0x6000, 0x0000, *rows])
    want = (starts[:, None] + np.arange(20)).reshape(-1)
    assert len(want) > 1 << 16
    np.testing.assert_array_equal(events.x, want)
    assert decoder.dropped == 0


def test_time_loops_are_unwrapped_across_packets():
    decoder = codecs.decoder('evt3', 4, 4)
    times = []
    for high in (0xFFF, 0x000, 0x800, 0xFFF, 0x001):
        events, _ = decoder.decode(np.array([0x8000 | high, 0x6001, 0x2000], '<u2'))
        times.append(int(events.t[0]) // 1000)
    assert times == [
        0xFFF001,
        (1 << 24) + 1,
        (1 << 24) + 0x800001,
        (1 << 24) + 0xFFF001,
        (2 << 24) + 0x1001,
    ]


def test_a_small_step_back_holds_the_newest_time():
    _, events, _ = decode([0x8005, 0x6009, 0x2000, 0x8004, 0x6001, 0x2000, 0x8005, 0x600A, 0x2000])
    newest = (5 * 4096 + 9) * 1000
    assert events.t.tolist() == [newest, newest, newest + 1000]


def test_a_new_time_high_starts_at_its_beginning():
    _, events, _ = decode([0x8005, 0x6009, 0x2000, 0x8006, 0x2000])
    assert events.t.tolist() == [(5 * 4096 + 9) * 1000, 6 * 4096 * 1000]


@given(streams.events(), streams.triggers())
@settings(max_examples=60, deadline=None)
def test_triggers_round_trip_with_events(events, triggers):
    encoder = codecs.encoder('evt3', streams.HEIGHT, streams.WIDTH)
    time_base, payload = encoder.encode(events, triggers)
    decoded = codecs.decoder('evt3', streams.HEIGHT, streams.WIDTH).decode(payload, time_base)
    streams.assert_same(decoded[0], events)
    streams.assert_same(decoded[1], triggers)


@given(streams.events(), streams.triggers())
def test_packets_start_with_time_and_row(events, triggers):
    encoder = codecs.encoder('evt3', streams.HEIGHT, streams.WIDTH)
    _, payload = encoder.encode(events, triggers)
    if payload:
        assert (np.frombuffer(payload, '<u2')[:3] >> 12).tolist() == [0x8, 0x6, 0x0]


def test_vectors_save_words():
    x = [5, 6, 8, 20, 24, 41]
    events = streams.make_events([0] * 6, x, [3] * 6, [1] * 6)
    _, payload = codecs.encoder('evt3', 64, 64).encode(events)
    words = np.frombuffer(payload, '<u2').tolist()
    assert words == [
        0x8000,
        0x6000,
        0x0003,
        0x3805,  # VECT_BASE_X 5, ON
        0x400B,  # 5, 6 and 8
        0x4088,  # 20 and 24 of 17 to 28
        0x2829,  # ADDR_X 41, ON: beyond the next twelve
    ]


def test_long_gaps_are_spelt_out():
    second_us = 1_000_000
    times = np.array([0, 1, 40, 41, 100]) * second_us * 1000
    events = streams.make_events(times, [0] * 5, [0] * 5, [0] * 5)
    whole = codecs.encoder('evt3', 4, 4)
    pieces = codecs.encoder('evt3', 4, 4)
    for packets in ([whole.encode(events)], [pieces.encode(events[i : i + 1]) for i in range(5)]):
        decoder = codecs.decoder('evt3', 4, 4)
        decoded = streams.concatenate(decoder.decode(payload)[0] for _, payload in packets)
        streams.assert_same(decoded, events)


def test_a_stream_that_starts_late_is_told_modulo_a_loop():
    events = streams.make_events([100_000_000_000], [0], [0], [0])
    _, payload = codecs.encoder('evt3', 4, 4).encode(events)
    decoded, _ = codecs.decoder('evt3', 4, 4).decode(payload)
    assert int(decoded.t[0]) == 100_000_000_000 % (1000 << 24)


@pytest.mark.parametrize(
    ('times', 'message'),
    [([-5000], 'negative'), ([5000, 4000], 'decrease from 5000 to 4000 ns at index 1')],
)
def test_times_that_cannot_be_encoded(times, message):
    count = len(times)
    with pytest.raises(MicroexprError, match=message):
        codecs.encoder('evt3', 4, 4).encode(
            streams.make_events(times, [0] * count, [0] * count, [0] * count)
        )


def test_packets_out_of_order_are_refused():
    encoder = codecs.encoder('evt3', 4, 4)
    encoder.encode(streams.make_events([9000], [0], [0], [0]))
    with pytest.raises(MicroexprError, match='before the end of the one before'):
        encoder.encode(streams.make_events([8000], [0], [0], [0]))


def test_trigger_channels_have_four_bits():
    with pytest.raises(MicroexprError, match='0 to 15, not 16'):
        codecs.encoder('evt3', 4, 4).encode(Events.empty(), streams.make_triggers([0], [16], [0]))


def test_times_that_are_held_are_counted():
    words = [
        0x8001, 0x6020, 0x0002, 0x2003, 0x6010, 0x2004, 0xA001, 0x6030, 0x2005, 0x6008, 0x2006,
        0xA001,
    ]  # fmt: skip
    decoder, events, triggers = decode(words)
    assert events.t.tolist() == [(4096 + low) * 1000 for low in (0x20, 0x20, 0x30, 0x30)]
    assert triggers.t.tolist() == [(4096 + 0x10) * 1000] * 2
    assert decoder.held == 3
    more, _ = decoder.decode(np.array([0x2007], '<u2'))
    assert more.t.tolist() == [(4096 + 0x30) * 1000]
    assert decoder.held == 4


@given(
    st.lists(st.builds(lambda c, v: c << 12 | v, codes, values), max_size=120),
    st.lists(st.integers(2048, 2060), max_size=4),
    st.floats(0.05, 1.0),
)
@settings(deadline=None)
def test_a_decoder_that_leaves_events_out_goes_on_as_if_it_had_not(words, highs, share):
    # Times of a clock, as real ones are; anything else.
    steps = iter(sorted(highs))
    words = [0x8800, 0x6000, *(0x8000 | next(steps, 2060) if w >> 12 == 8 else w for w in words)]
    payload = np.array(words, '<u2')
    whole, thin = (codecs.decoder('evt3', 2048, 2048) for _ in range(2))
    for _ in range(2):
        events, triggers = whole.decode(payload)
        some_events, some_triggers, left_out = thin.decode_thinly(payload, 0, share)
        # A column outside of the sensor is left out before it is known to be one.
        assert len(events) <= len(some_events) + left_out
        assert some_triggers.id.tolist() == triggers.id.tolist()
        np.testing.assert_array_equal(thin._state[:5], whole._state[:5])


@pytest.mark.parametrize('encoding', codecs.EVENT_ENCODINGS)
@pytest.mark.parametrize('share', [0.02, 0.3, 1.0])
def test_thinned_events_are_a_share_of_every_millisecond(encoding, share):
    events = streams.random_events(np.random.default_rng(0), 200_000, 10_000_000, 48, 64)
    time_base, payload = codecs.encoder(encoding, 48, 64).encode(events)
    some, _, left_out = codecs.decoder(encoding, 48, 64).decode_thinly(payload, time_base, share)
    assert len(some) + left_out == len(events)
    per_ms, all_per_ms = (np.histogram(one.t, 10, (0, 10_000_000))[0] for one in (some, events))
    np.testing.assert_allclose(per_ms, share * all_per_ms, rtol=0.25)
