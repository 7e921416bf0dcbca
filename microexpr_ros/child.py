"""Commands that run Python programs in processes of their own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

_ROOT: Final = str(Path(__file__).parents[1])


def python(program: str) -> list[str]:
    """Return the command that runs a program with the module search path of this process.

    `python -c` and `python -m` would search the working directory first, which may hold modules of
    the same names; the option `-P` against that is newer than Python 3.10.

    Args:
        program: Statements; `sys` is imported already.
    """
    places = [place or _ROOT for place in sys.path]
    return [sys.executable, '-c', f'import sys; sys.path = {places}; {program}']
