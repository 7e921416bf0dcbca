"""EVT2, EVT2.1 and EVT4, by hand and against a decoder that takes one word after the other."""

from __future__ import annotations

import event_streams as streams
import numpy as np
import pytest

from microexpr_ros.events.codecs.evt2 import Evt2Decoder
from microexpr_ros.events.codecs.evt4 import Evt4Decoder
from microexpr_ros.events.codecs.evt21 import Evt21Decoder, Evt21LegacyDecoder
from microexpr_ros.events.files import open_recording

HEIGHT, WIDTH = streams.HEIGHT, streams.WIDTH


def head(code, time_low, x, y):
    return code << 28 | time_low << 22 | x << 11 | y


def evt21(code, time_low, x, y, mask):
    return head(code, time_low, x, y) << 32 | mask


def test_evt21_by_hand():
    words = [
        evt21(1, 5, 8, 2, 0b11),  # before the first time
        0x8 << 60 | 3 << 32,
        evt21(1, 5, 8, 2, 1 << 31 | 1 << 2 | 1),
        evt21(0, 6, 50, 7, 0xF << 12),  # two of four outside
        0xA << 60 | (7 << 22 | 4 << 8 | 1) << 32,
        0xE << 60,  # the vendor's own
        0x5 << 60,  # undefined
    ]
    decoder = Evt21Decoder(HEIGHT, WIDTH)
    events, triggers = decoder.decode(np.array(words, '<u8'))
    t = [197_000] * 3 + [198_000] * 2
    want = streams.make_events(t, [8, 10, 39, 62, 63], [2] * 3 + [7] * 2, [1] * 3 + [0] * 2)
    streams.assert_same(events, want)
    streams.assert_same(triggers, streams.make_triggers([199_000], [4], [1]))
    assert (decoder.dropped, decoder.undated, decoder.skipped) == (2, 2, 1)


# The bytes that the documentation of Prophesee gives for one word, from both kinds of sensor.
@pytest.mark.parametrize(
    ('decoder', 'order'),
    [(Evt21Decoder, '0807060504030201'), (Evt21LegacyDecoder, '0403020108070605')],
)
def test_evt21_in_both_orders(decoder, order):
    time_high = {Evt21Decoder: '0000000000000080', Evt21LegacyDecoder: '0000008000000000'}
    events, _ = decoder(2048, 2048).decode(bytes.fromhex(time_high[decoder] + order))
    word = 0x0102030405060708
    bits = [i for i in range(32) if word >> i & 1]
    x, y = word >> 43 & 0x7FF, word >> 32 & 0x7FF
    t = (word >> 54 & 0x3F) * 1000
    count = len(bits)
    want = streams.make_events([t] * count, [x + i for i in bits], [y] * count, [0] * count)
    streams.assert_same(events, want)


def test_evt4_by_hand():
    words = [
        head(0xB, 1, 9, 9),  # before the first time
        head(0xC, 1, 9, 9),
        0xE0000001,  # a mask that looks like TIME_HIGH
        0xE0000003,
        head(0xA, 1, 5, 4),
        head(0xB, 2, 7, 6),
        head(0xD, 3, 5, 4),
        1 << 7 | 1 << 3 | 1,
        head(0x9, 4, 0, 0) | 2 << 8 | 1,
        0xFFFFFFFF,  # padding
        0x60000014,
        0x70000001,
        0x10000000,  # undefined
        head(0xC, 5, 60, 1),
    ]
    decoder = Evt4Decoder(HEIGHT, WIDTH)
    events, triggers = decoder.decode(np.array(words, '<u4'))
    assert (decoder.undated, decoder.skipped) == (5, 2)
    more, _ = decoder.decode(np.array([0b110001], '<u4'))
    want = streams.make_events(
        [193_000, 194_000, 195_000, 195_000, 195_000], [5, 7, 5, 8, 12], [4, 6] + [4] * 3,
        [0, 1, 1, 1, 1],
    )  # fmt: skip
    streams.assert_same(events, want)
    streams.assert_same(more, streams.make_events([197_000], [60], [1], [0]))
    streams.assert_same(triggers, streams.make_triggers([196_000], [2], [1]))
    assert (decoder.dropped, decoder.undated, decoder.skipped) == (2, 5, 1)


def reference(words, kinds, layout):
    """Decode one unit after the other; return events, triggers, and what was left out."""
    events, triggers, left_out = [], [], {'dropped': 0, 'undated': 0, 'skipped': 0, 'held': 0}
    high, newest, i = None, 0, 0
    step, head_at, mask_at = layout
    while i + step <= len(words):
        word, start = int(words[i + head_at]), i
        kind = kinds.get(word >> 28)
        i += step
        bits = [0]
        if kind in ('off+', 'on+'):
            i = max(i, start + 2)
            if i > len(words):
                left_out['skipped'] += 1
                break
            bits = [bit for bit in range(32) if int(words[start + mask_at]) >> bit & 1]
        if kind == 'time':
            high = word & 0xFFFFFFF
        elif kind is None:
            left_out['skipped'] += 1
        elif kind != 'ignored':
            if high is None:
                left_out['undated'] += 0 if kind == 'trigger' else len(bits)
                continue
            now = (high * 64 + (word >> 22 & 63)) * 1000
            is_back, newest = now < newest, max(newest, now)
            if kind == 'trigger':
                triggers.append([newest, word >> 8 & 31, word & 1])
                left_out['held'] += is_back
                continue
            for bit in bits:
                x, y = (word >> 11 & 0x7FF) + bit, word & 0x7FF
                if x < WIDTH and y < HEIGHT:
                    events.append([newest, x, y, kind.startswith('on')])
                    left_out['held'] += is_back
                else:
                    left_out['dropped'] += 1
    return events, triggers, left_out


VECTORS = {0: 'off+', 1: 'on+', 8: 'time', 0xA: 'trigger', 0xE: 'ignored', 0xF: 'ignored'}
FORMATS = {
    'evt2': (Evt2Decoder, {**VECTORS, 0: 'off', 1: 'on'}, (1, 0, 1)),
    'evt21': (Evt21Decoder, VECTORS, (2, 1, 0)),
    'evt21 legacy': (Evt21LegacyDecoder, VECTORS, (2, 0, 1)),
    'evt4': (
        Evt4Decoder,
        {
            6: 'ignored', 7: 'ignored', 9: 'trigger', 0xA: 'off', 0xB: 'on', 0xC: 'off+',
            0xD: 'on+', 0xE: 'time', 0xF: 'ignored',
        },
        (1, 0, 1),
    ),
}  # fmt: skip


def random_words(rng, kinds, layout, count):
    """Return words of all kinds, with places on and near the sensor and times that go on."""
    step, head_at, mask_at = layout
    codes = list(kinds) + [code for code, kind in kinds.items() if kind[:2] in ('of', 'on')] * 6
    high, words = 5, []
    for code in rng.choice(codes, count):
        word = head(int(code), int(rng.integers(64)), int(rng.integers(70)), int(rng.integers(50)))
        if kinds[int(code)] == 'time':
            high = max(high + int(rng.integers(-2, 9)), 0)
            word = int(code) << 28 | high
        mask = int(rng.integers(1 << 32)) & int(rng.integers(1 << 32))
        unit = [word, mask] if step == 2 or kinds[int(code)].endswith('+') else [word]
        words += unit if mask_at == 1 or len(unit) == 1 else unit[::-1]
    return np.array([0x20000000, 0x20000000, *words][2 - step if head_at else 0 :], '<u4')


@pytest.mark.parametrize('name', FORMATS)
def test_words_of_all_kinds(name):
    make, kinds, layout = FORMATS[name]
    rng = np.random.default_rng(1)
    for _ in range(20):
        words = random_words(rng, kinds, layout, 400)
        events, triggers, left_out = reference(words, kinds, layout)
        decoder = make(HEIGHT, WIDTH)
        # In packets that end anywhere between units.
        cuts = np.sort(rng.integers(0, len(words) // layout[0], 5)) * layout[0]
        parts = [decoder.decode(part) for part in np.split(words, cuts)]
        got = streams.concatenate(part[0] for part in parts)
        streams.assert_same(got, streams.make_events(*np.array(events).T))
        got_triggers = streams.concatenate_triggers(part[1] for part in parts)
        streams.assert_same(got_triggers, streams.make_triggers(*np.array(triggers).T))
        assert {key: getattr(decoder, key) for key in left_out} == left_out


@pytest.mark.parametrize('name', FORMATS)
def test_one_wrong_bit_of_a_time_costs_no_more(name):
    make, kinds, (step, head_at, _) = FORMATS[name]
    code = {kind: code for code, kind in kinds.items()}
    kind = 'on' if 'on' in code else 'on+'
    words = []
    for high in range(100):
        for word in (code['time'] << 28 | high, head(code[kind], 0, high % 32, 3)):
            unit = [1, 1]
            unit[head_at] = word
            words += unit[:step]
    clean, _ = make(HEIGHT, WIDTH).decode(np.array(words, '<u4'))
    for bit in (27, 20, 15):
        damaged = list(words)
        damaged[50 * 2 * step + head_at] ^= 1 << bit
        decoder = make(HEIGHT, WIDTH)
        events, _ = decoder.decode(np.array(damaged, '<u4'))
        different = np.flatnonzero(events.t != clean.t)
        assert different.tolist() == [50]
        assert abs(int(events.t[50] - clean.t[50])) <= 64_000
        assert decoder.skipped == 1


@pytest.mark.parametrize(
    ('declared', 'is_legacy'),
    [('', False), ('', True), (';endianness=little', False), (';endianness=legacy', True)],
)
def test_raw_evt21_in_either_order(tmp_path, declared, is_legacy):
    rng = np.random.default_rng(0)
    words, want = [], []
    for high in range(50):
        words.append(0x8 << 60 | high << 32)
        for low in sorted(rng.integers(0, 64, 20).tolist()):
            mask = int(rng.integers(1, 1 << 32))
            words.append(evt21(1, low, 20, 3, mask))
            want += [(high * 64 + low, 20 + bit) for bit in range(32) if mask >> bit & 1]
    halves = np.array(words, '<u8').view('<u4').reshape(-1, 2)
    path = tmp_path / 'events.raw'
    header = f'% evt 2.1\n% format EVT21;height=48;width=64{declared}\n% end\n'
    path.write_bytes(header.encode() + (halves[:, ::-1] if is_legacy else halves).tobytes())
    assert open_recording(path).kind == 'Prophesee EVT21'
    t, x = np.array(want).T
    ones = np.ones(len(t))
    streams.assert_same(streams.read(path)[0], streams.make_events(t * 1000, x, ones * 3, ones))
