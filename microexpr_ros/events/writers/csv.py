"""Writing events as lines of text."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.events.events import Events, Triggers
from microexpr_ros.events.kernel import Integer, kernel
from microexpr_ros.events.writers.writer import EventWriter

_LINE_BYTES: Final = 36
"""The longest line: a time of 20 characters, two places of 5, a polarity, and four signs."""

_ZERO: Final = ord('0')
_COMMA: Final = ord(',')
_NEWLINE: Final = ord('\n')


class CsvWriter(EventWriter):
    """Writes a line t,x,y,p for each event, with its time in us, after a line of these names."""

    def __init__(self, path: Path, height: int, width: int, epoch_ns: int = 0) -> None:
        super().__init__(path, height, width, epoch_ns)
        self._file = path.open('wb')
        self._file.write(b't,x,y,p\n')

    def _write(self, events: Events, triggers: Triggers) -> None:
        text = np.empty(_LINE_BYTES * len(events), np.uint8)
        size = _format(events.t // 1000, events.x, events.y, events.p, text)
        self._file.write(text[:size].data)

    def _finish(self) -> None:
        self._file.close()

    def _release(self) -> None:
        self._file.close()


@kernel
def _format(
    t_us: NDArray[np.int64],
    x: NDArray[np.uint16],
    y: NDArray[np.uint16],
    p: NDArray[np.uint8],
    text: NDArray[np.uint8],
) -> Integer:
    """Write a line for each event; return the number of bytes."""
    at: Integer = 0
    for i in range(len(t_us)):
        at = _put(text, at, t_us[i], _COMMA)
        at = _put(text, at, np.int64(x[i]), _COMMA)
        at = _put(text, at, np.int64(y[i]), _COMMA)
        at = _put(text, at, np.int64(p[i]), _NEWLINE)
    return at


@kernel
def _put(text: NDArray[np.uint8], at: Integer, value: Integer, sign: int) -> Integer:
    """Write a number in decimal and the sign after it; return the index after them."""
    if value < 0:
        text[at] = ord('-')
        at += 1
        value = -value
    digits, rest = 1, value // 10
    while rest:
        digits += 1
        rest //= 10
    for k in range(digits - 1, -1, -1):
        text[at + k] = _ZERO + value % 10
        value //= 10
    text[at + digits] = sign
    return at + digits + 1
