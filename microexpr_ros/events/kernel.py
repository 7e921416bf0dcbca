"""Compiling loops over events with numba."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

_Function = TypeVar('_Function', bound=Callable[..., object])
_Scalar = TypeVar('_Scalar', bound=np.generic)

Integer: TypeAlias = Any
"""An integer inside a kernel, of which numba chooses the width."""

FAINTEST: Final = np.float32(1e-12)
"""What leaks away is 0 below this. Else, where nothing happens, it would get so small that
processors take a hundred times as long to compute with it (subnormal numbers), and mostly stay so:
rounded, 1.4e-45 times 0.9 is 1.4e-45."""


def kernel(function: _Function) -> _Function:
    """Compile a function with numba: it releases the GIL and is cached on disk.

    Numbers are divided as by NumPy: by 0 gives infinity. The check for it, which would raise an
    error as Python does, keeps processors from dividing many at once.

    The cache is next to the source, or in `NUMBA_CACHE_DIR`. A kernel is compiled at its first
    call; `codecs.warm_up` does that ahead of time.
    """
    return cast(_Function, njit(nogil=True, cache=True, error_model='numpy')(function))


@kernel
def end_faint(value: np.float32) -> np.float32:
    """Return what has leaked, of 0 or more, or 0 below `FAINTEST`; for kernels."""
    return value if value >= FAINTEST else np.float32(0)


def read_only(array: NDArray[_Scalar]) -> NDArray[_Scalar]:
    """Return a contiguous view, or copy, of an array that a kernel only reads.

    Writable, read-only and scattered arrays are different types to numba, and a kernel is compiled
    anew for each: in the middle of a stream, that takes longer than a slice. Arrays of messages
    are read-only, others are not.
    """
    view = np.ascontiguousarray(array).view()
    view.setflags(write=False)
    return view
