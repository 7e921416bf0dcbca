"""A checksum of events, to compare what was written with what was decoded."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.events.events import Events, Triggers
from microexpr_ros.events.kernel import Integer, kernel


def sum_columns(content: Events | Triggers) -> NDArray[np.int64]:
    """Return the number of events or triggers and the sum of each column, modulo 2^64."""
    columns: tuple[NDArray[Any], ...]
    if isinstance(content, Events):
        columns = content.t, content.x, content.y, content.p
    else:
        columns = content.t, content.id, content.edge
    return np.array([len(content), *(_sum(column) for column in columns)], np.int64)


@kernel
def _sum(column: NDArray[Any]) -> Integer:
    total: Integer = np.int64(0)
    for value in column:
        total += np.int64(value)
    return total
