"""EVT2: Prophesee's words of 32 bits, read from files of older cameras."""

from __future__ import annotations

from microexpr_ros.events.codecs import words32
from microexpr_ros.events.codecs.words32 import WordDecoder, WordLayout


class Evt2Decoder(WordDecoder):
    """Decodes EVT2, in which each event is a word.

    EventPackets never have this encoding, so it is not among `codecs.ENCODINGS`.
    """

    encoding = 'evt2'
    layout = WordLayout(
        {
            0x0: words32.OFF,
            0x1: words32.ON,
            0x8: words32.TIME_HIGH,
            0xA: words32.EXT_TRIGGER,
            0xE: words32.IGNORED,
            0xF: words32.IGNORED,
        }
    )
