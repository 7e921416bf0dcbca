"""What every encoding promises."""

from __future__ import annotations

import array

import event_streams as streams
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events import codecs
from microexpr_ros.events.codecs.evt2 import Evt2Decoder
from microexpr_ros.events.codecs.evt4 import Evt4Decoder
from microexpr_ros.events.codecs.evt21 import Evt21Decoder
from microexpr_ros.events.events import Events, Triggers

EVENT_ENCODINGS = codecs.EVENT_ENCODINGS
# The times of an encoding are multiples of this.
STEP_NS = {'evt3': 1000, 'libcaer': 1000, 'libcaer_cmp': 1000, 'mono': 1}


def test_unknown_encoding_lists_the_known_ones():
    for find in (codecs.decoder, codecs.encoder):
        with pytest.raises(MicroexprError, match=r"'evt9'.*evt3, libcaer, libcaer_cmp, mono, tri"):
            find('evt9', 4, 4)


@pytest.mark.parametrize('encoding', EVENT_ENCODINGS)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_round_trip(encoding, data):
    events = data.draw(streams.events(step_ns=STEP_NS[encoding]))
    cut = data.draw(st.integers(0, len(events)))
    encoder = codecs.encoder(encoding, streams.HEIGHT, streams.WIDTH)
    decoder = codecs.decoder(encoding, streams.HEIGHT, streams.WIDTH)
    parts = []
    for part in (events[:cut], events[cut:]):
        time_base, payload = encoder.encode(part)
        decoded, triggers = decoder.decode(payload, time_base)
        assert len(triggers) == 0
        parts.append(decoded)
    streams.assert_same(streams.concatenate(parts), events)
    assert (decoder.dropped, decoder.undated, decoder.skipped) == (0, 0, 0)


@given(streams.triggers(max_channel=255))
def test_trigger_round_trip(triggers):
    time_base, payload = codecs.encoder('trigger', 4, 4).encode(Events.empty(), triggers)
    events, decoded = codecs.decoder('trigger', 4, 4).decode(payload, time_base)
    assert len(events) == 0
    streams.assert_same(decoded, triggers)


@pytest.mark.parametrize('encoding', codecs.ENCODINGS)
def test_nothing_round_trips_to_nothing(encoding):
    time_base, payload = codecs.encoder(encoding, 4, 4).encode(Events.empty(), Triggers.empty())
    assert payload == b''
    events, triggers = codecs.decoder(encoding, 4, 4).decode(payload, time_base)
    assert len(events) == len(triggers) == 0


@pytest.mark.parametrize('encoding', EVENT_ENCODINGS)
def test_any_buffer_decodes_alike(encoding):
    events = streams.random_events(np.random.default_rng(1), 500, 5_000_000)
    time_base, payload = codecs.encoder(encoding, streams.HEIGHT, streams.WIDTH).encode(events)
    unaligned = np.frombuffer(b'x' + payload, np.uint8)[1:]
    for buffer in (
        bytearray(payload),
        memoryview(payload),
        array.array('B', payload),
        np.frombuffer(payload, np.uint8),
        unaligned,
    ):
        decoder = codecs.decoder(encoding, streams.HEIGHT, streams.WIDTH)
        streams.assert_same(decoder.decode(buffer, time_base)[0], events)


@pytest.mark.parametrize('encoding', EVENT_ENCODINGS)
def test_events_outside_the_sensor_are_dropped_and_counted(encoding):
    events = streams.random_events(np.random.default_rng(2), 3000, 5_000_000)
    time_base, payload = codecs.encoder(encoding, streams.HEIGHT, streams.WIDTH).encode(events)
    decoder = codecs.decoder(encoding, 20, 30)
    inside = (events.x < 30) & (events.y < 20)
    want = Events(*(getattr(events, name)[inside] for name in 'txyp'))
    streams.assert_same(decoder.decode(payload, time_base)[0], want)
    assert decoder.dropped == np.count_nonzero(~inside)


@pytest.mark.parametrize('encoding', codecs.ENCODINGS)
def test_trailing_bytes_are_skipped_and_counted(encoding):
    if encoding == 'trigger':
        content = Events.empty(), streams.make_triggers([5], [3], [1])
    else:
        content = streams.make_events([5000], [3], [2], [1]), None
    time_base, payload = codecs.encoder(encoding, 4, 4).encode(*content)
    decoder = codecs.decoder(encoding, 4, 4)
    events, triggers = decoder.decode(payload + b'\xff', time_base)
    assert len(events) + len(triggers) == 1
    assert decoder.skipped == 1
    decoder.decode(b'\xff', time_base)
    assert decoder.skipped == 2


@pytest.mark.parametrize('encoding', EVENT_ENCODINGS)
def test_encoders_refuse_events_outside_the_sensor(encoding):
    with pytest.raises(MicroexprError, match=r'column 4 or row 2.*4 x 4'):
        codecs.encoder(encoding, 4, 4).encode(streams.make_events([0], [4], [2], [0]))


@pytest.mark.parametrize('encoding', ['evt3', 'libcaer_cmp'])
def test_encoders_refuse_sensors_that_do_not_fit(encoding):
    codecs.encoder(encoding, 2048, 2048)
    with pytest.raises(MicroexprError, match='2048 x 2048'):
        codecs.encoder(encoding, 480, 2049)


@pytest.mark.parametrize('encoding', ['libcaer', 'libcaer_cmp', 'mono'])
def test_encoders_refuse_triggers_that_they_cannot_tell(encoding):
    with pytest.raises(MicroexprError, match='evt3'):
        codecs.encoder(encoding, 4, 4).encode(Events.empty(), streams.make_triggers([0], [0], [0]))


@pytest.mark.parametrize(
    ('encoding', 'limit_ns'), [('mono', 1 << 32), ('libcaer_cmp', 1000 << 24)]
)
def test_encoders_refuse_packets_that_are_too_long(encoding, limit_ns):
    def encode(last_ns):
        events = streams.make_events([0, last_ns], [0, 0], [0, 0], [0, 0])
        return codecs.encoder(encoding, 4, 4).encode(events)

    encode(limit_ns - 1)
    with pytest.raises(MicroexprError, match='split'):
        encode(limit_ns)


def test_libcaer_by_hand():
    def event(valid, polarity, y, x, time_us):
        return (valid | polarity << 1 | y << 2 | x << 17).to_bytes(4, 'little') + time_us.to_bytes(
            4, 'little', signed=True
        )

    payload = (
        event(1, 1, 3, 5, 10)
        + event(0, 1, 3, 5, 11)
        + event(1, 0, 9, 5, 2**31 - 1)
        + event(1, 0, 4, 6, 2)
    )
    decoder = codecs.decoder('libcaer', 9, 7)
    events, _ = decoder.decode(payload, 1_000_000)
    # The clock of 31 bits starts again inside the packet.
    want = streams.make_events(
        [1_000_000 + 10_000, 1_000_000 + (2**31 + 2) * 1000], [5, 6], [3, 4], [1, 0]
    )
    streams.assert_same(events, want)
    assert decoder.dropped == 1


def test_libcaer_cmp_by_hand():
    words = [
        0x0001,  # TIME_HIGH 1
        0x1002,  # TIME_LOW 2
        0x2005,  # ADDR_X 5
        0x3803,  # ADDR_Y 3, ON
        0x4004,  # VECT_BASE_Y 4, OFF
        0x5081,  # VECT_8: rows 4 and 11
        0x5001,  # VECT_8: row 12
        0x9999,  # padding
    ]
    decoder = codecs.decoder('libcaer_cmp', 12, 8)
    events, _ = decoder.decode(np.array(words, '<u2'), 7)
    time_ns = 7 + (4096 + 2) * 1000
    want = streams.make_events([time_ns] * 3, [5, 5, 5], [3, 4, 11], [1, 0, 0])
    streams.assert_same(events, want)
    assert (decoder.dropped, decoder.skipped) == (1, 1)
    # Time starts again with each message, the column does not.
    events, _ = decoder.decode(np.array([0x3001], '<u2'), 9)
    streams.assert_same(events, streams.make_events([9], [5], [1], [0]))


def test_mono_by_hand():
    word = 123 | 5 << 32 | 6 << 48 | 1 << 63
    events, _ = codecs.decoder('mono', 8, 8).decode(word.to_bytes(8, 'little'), 1000)
    streams.assert_same(events, streams.make_events([1123], [5], [6], [1]))


def test_trigger_by_hand():
    word = 123 | 6 << 48 | 1 << 63
    _, triggers = codecs.decoder('trigger', 8, 8).decode(word.to_bytes(8, 'little'), 1000)
    streams.assert_same(triggers, streams.make_triggers([1123], [6], [1]))


def test_evt2_by_hand():
    words = [
        0x1 << 28 | 1 << 22 | 3 << 11 | 2,  # an event before the first time
        0x8 << 28 | 5,  # TIME_HIGH 5: 320 us
        0x1 << 28 | 1 << 22 | 3 << 11 | 2,
        0x0 << 28 | 2 << 22 | 9 << 11 | 2,  # outside
        0xA << 28 | 3 << 22 | 4 << 8 | 1,  # trigger
        0x3 << 28,  # undefined
        0xE << 28,  # vendor's own
        0x8 << 28 | 0,  # TIME_HIGH 0 after the last one: the clock has looped
        0x0 << 28 | 2 << 22 | 1 << 11 | 2,
    ]
    words[7:7] = [0x8 << 28 | (1 << 28) - 1]
    decoder = Evt2Decoder(4, 8)
    events, triggers = decoder.decode(np.array(words, '<u4'))
    loop_us = (1 << 28) * 64
    want = streams.make_events([321_000, (loop_us + 2) * 1000], [3, 1], [2, 2], [1, 0])
    streams.assert_same(events, want)
    streams.assert_same(triggers, streams.make_triggers([323_000], [4], [1]))
    assert (decoder.dropped, decoder.undated, decoder.skipped) == (1, 1, 1)


def make_decoders(height, width):
    found = {name: codecs.decoder(name, height, width) for name in codecs.ENCODINGS}
    words = {cls.encoding: cls(height, width) for cls in (Evt2Decoder, Evt21Decoder, Evt4Decoder)}
    return found | words


def fuzz(words, seed):
    """Decode random bytes, then real packets with flipped bits, and check what comes out."""
    rng = np.random.default_rng(seed)
    events = streams.random_events(rng, 2000, 5_000_000)
    for name, decoder in make_decoders(streams.HEIGHT, streams.WIDTH).items():
        done = 0
        while done < words:
            if name in EVENT_ENCODINGS and rng.random() < 0.5:
                encoder = codecs.encoder(name, streams.HEIGHT, streams.WIDTH)
                payload = np.frombuffer(encoder.encode(events)[1], np.uint8).copy()
                place = rng.integers(0, len(payload), len(payload) // 50)
                payload[place] ^= (1 << rng.integers(0, 8, len(place))).astype(np.uint8)
            else:
                payload = rng.integers(0, 256, int(rng.integers(0, 20_000)), dtype=np.uint8)
            decoded, triggers = decoder.decode(payload, int(rng.integers(0, 2**60)))
            assert len({len(getattr(decoded, field)) for field in 'txyp'}) == 1
            if len(decoded):
                assert decoded.x.max() < streams.WIDTH
                assert decoded.y.max() < streams.HEIGHT
                assert decoded.p.max() <= 1
            if name in ('evt2', 'evt21', 'evt3', 'evt4'):
                assert (np.diff(decoded.t) >= 0).all()
                assert (np.diff(triggers.t) >= 0).all()
            done += len(payload) // 2


def test_no_bytes_break_a_decoder():
    fuzz(100_000, seed=3)


@pytest.mark.slow
def test_no_bytes_break_a_decoder_for_long():
    fuzz(5_000_000, seed=4)


def test_warm_up_compiles_in_a_thread():
    thread = codecs.warm_up()
    thread.join(120)
    assert not thread.is_alive()
