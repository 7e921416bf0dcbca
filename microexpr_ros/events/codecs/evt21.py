"""EVT2.1: Prophesee's words of 64 bits, the default of the GenX320."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.events.codecs import words32
from microexpr_ros.events.codecs.words32 import WordDecoder, WordLayout

_TIME_HIGH: Final = 0x8


class Evt21Decoder(WordDecoder):
    """Decodes EVT2.1: a word has a row's 32 pixels from one column on, as a mask.

    The mask is the lower half of a word, code and place are the upper half. EventPackets never
    have this encoding, so it is not among `codecs.ENCODINGS`.
    """

    encoding = 'evt21'
    layout = WordLayout(
        {
            0x0: words32.VECTOR_OFF,
            0x1: words32.VECTOR_ON,
            _TIME_HIGH: words32.TIME_HIGH,
            0xA: words32.EXT_TRIGGER,
            0xE: words32.IGNORED,
            0xF: words32.IGNORED,
        },
        step=2,
        head=1,
        mask=0,
    )


class Evt21LegacyDecoder(Evt21Decoder):
    """Decodes EVT2.1 of the IMX636 and older sensors, which send the upper half first."""

    layout = replace(Evt21Decoder.layout, head=0, mask=1)


def has_upper_half_first(words: NDArray[np.uint32]) -> bool:
    """Return whether words of EVT2.1 have their upper half first, as far as their times say.

    Args:
        words: Halves of words from the beginning of a file.
    """
    pairs = words[: len(words) // 2 * 2].reshape(-1, 2)
    upper_second, upper_first = (_count_steps(pairs[:, half]) for half in (1, 0))
    return upper_first > upper_second


def _count_steps(halves: NDArray[np.uint32]) -> int:
    """Return how many TIME_HIGH follow another within a few steps, as those of a clock do."""
    times = halves[halves >> 28 == _TIME_HIGH].astype(np.int64)
    steps = np.diff(times)
    return int(np.count_nonzero((steps >= 0) & (steps <= 16)))
