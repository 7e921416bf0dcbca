"""Compiling loops over events with numba."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar, cast

from numba import njit

_Function = TypeVar('_Function', bound=Callable[..., object])

Integer: TypeAlias = Any
"""An integer inside a kernel, of which numba chooses the width."""


def kernel(function: _Function) -> _Function:
    """Compile a function with numba: it releases the GIL and is cached on disk.

    The cache is next to the source, or in `NUMBA_CACHE_DIR`. A kernel is compiled at its first
    call; `codecs.warm_up` does that ahead of time.
    """
    return cast(_Function, njit(nogil=True, cache=True)(function))
