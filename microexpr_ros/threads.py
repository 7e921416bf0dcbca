"""Threads under names that the operating system shows, in `top -H`, `py-spy` or `gdb`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

LONGEST_NAME: Final = 15
"""Characters of a name that Linux keeps."""


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
