"""Python processes of our own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

_ROOT: Final = str(Path(__file__).parents[1])


def python(program: str) -> list[str]:
    """Return the command that runs a program, with modules from where this process has them.

    `python -c` and `python -m` would look into the working directory first, where anything may
    lie; `-P` against that is newer than Python 3.10.

    Args:
        program: Statements; `sys` is imported already.
    """
    places = [place or _ROOT for place in sys.path]
    return [sys.executable, '-c', f'import sys; sys.path = {places}; {program}']
