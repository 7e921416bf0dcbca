"""EVT4: Prophesee's words of 32 bits, single events and vectors."""

from __future__ import annotations

from microexpr_ros.events.codecs import words32
from microexpr_ros.events.codecs.words32 import WordDecoder, WordLayout


class Evt4Decoder(WordDecoder):
    """Decodes EVT4: an event is a word, or bits of a second word, as a mask of a row's 32 pixels.

    EventPackets never have this encoding, so it is not among `codecs.ENCODINGS`.
    """

    encoding = 'evt4'
    layout = WordLayout(
        {
            0x6: words32.IGNORED,
            0x7: words32.IGNORED,
            0x9: words32.EXT_TRIGGER,
            0xA: words32.OFF,
            0xB: words32.ON,
            0xC: words32.VECTOR_OFF,
            0xD: words32.VECTOR_ON,
            0xE: words32.TIME_HIGH,
            0xF: words32.IGNORED,
        }
    )
