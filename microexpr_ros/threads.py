"""Threads under names that the operating system shows, in `top -H`, `py-spy` or `gdb`."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

LONGEST_NAME: Final = 15
"""Characters of a name that Linux keeps."""

_M_ARENA_MAX: Final = -8
"""Parameter of glibc's `mallopt`: the most heaps."""


def start_thread(name: str, work: Callable[[], object]) -> threading.Thread:
    """Start a daemon thread.

    Args:
        name: what the work is, or the node that it is of. Python before 3.14 does not pass names
            on to the operating system.
        work: what the thread does.
    """

    def run() -> None:
        # Only Linux has this file; elsewhere the name is Python's alone.
        with suppress(OSError):
            Path('/proc/thread-self/comm').write_text(name[:LONGEST_NAME])
        work()

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    return thread


def share_heap() -> None:
    """Let all threads of this process allocate from one heap; to be called before they start.

    The C library gives each thread that finds the heap locked another one, which keeps what is
    freed in it. Python's lock keeps most threads from allocating at the same time anyway. Does
    nothing where the C library is not glibc.
    """
    set_option = getattr(ctypes.CDLL(None), 'mallopt', None)
    if set_option is not None:
        set_option(_M_ARENA_MAX, 1)
