"""Keys pressed in a terminal, without waiting for a line to end."""

from __future__ import annotations

import os
import select
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

UP: Final = '\x1b[A'
DOWN: Final = '\x1b[B'
RIGHT: Final = '\x1b[C'
SPACE: Final = ' '


@contextmanager
def pressed_keys(on_key: Callable[[str], None]) -> Iterator[None]:
    """Call back with each key pressed within the block, if standard input is a terminal.

    Ctrl-C still interrupts. The terminal is restored at the end.

    Args:
        on_key: Called, on another thread, with a letter or with the sequence of a cursor key.
    """
    if not _is_own_terminal():
        yield
        return
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    ended, end = os.pipe()
    thread = threading.Thread(target=_read, args=(terminal, ended, on_key), daemon=True)
    try:
        tty.setcbreak(terminal)
        thread.start()
        yield
    finally:
        os.close(end)
        thread.join()
        os.close(ended)
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _is_own_terminal() -> bool:
    """Return whether this process controls the terminal; if not, to read it could stop it."""
    try:
        return sys.stdin.isatty() and os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except OSError:  # A terminal, but not the one that controls this process.
        return False


def _read(terminal: int, ended: int, on_key: Callable[[str], None]) -> None:
    while True:
        ready, _, _ = select.select([terminal, ended], [], [])
        if ended in ready:
            return
        text = os.read(terminal, 64).decode(errors='ignore')
        if not text:
            return
        while text:
            length = 3 if text.startswith('\x1b[') else 1
            on_key(text[:length])
            text = text[length:]
