"""Order in time: a sensor's clock may step back, the times of packets must not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.events.cameras.camera import Batch

MAX_BACK_NS: Final = 40_000_000
"""A larger step back means that the clock was set back, not that data is out of order; the limit
is that of the EVT3 decoder."""

_NEVER_NS: Final = -(1 << 62)


def in_order(batches: Iterable[Batch]) -> Iterator[tuple[int, Batch]]:
    """Yield batches whose times do not decrease, each with how often the clock was set back.

    Events and triggers that are out of order by up to MAX_BACK_NS get the newest time before
    them, as in decoders, and count in `held`; none is dropped. A larger step back, also within
    a batch, starts a new count of time and increases the number.
    """
    number, newest_ns = 0, _NEVER_NS
    for batch in batches:
        rest = batch
        while True:
            i = _find_restart(rest.events.t, newest_ns)
            j = _find_restart(rest.triggers.t, newest_ns)
            events, triggers = rest.events[:i], rest.triggers[:j]
            held_events = replace(events, t=_hold(events.t, newest_ns))
            held_triggers = replace(triggers, t=_hold(triggers.t, newest_ns))
            held = rest.held + sum(
                int(np.count_nonzero(after.t != before.t))
                for after, before in ((held_events, events), (held_triggers, triggers))
            )
            events, triggers = held_events, held_triggers
            yield number, replace(rest, events=events, triggers=triggers, held=held)
            if i == len(rest.events) and j == len(rest.triggers):
                break
            rest = replace(
                rest, events=rest.events[i:], triggers=rest.triggers[j:], frames=(), lost=0, held=0
            )
            number, newest_ns = number + 1, _NEVER_NS
        newest_ns = int(np.concatenate((events.t, triggers.t)).max(initial=newest_ns))


def _find_restart(times: NDArray[np.int64], newest_ns: int) -> int:
    """Return the index of the first time that is too far back; the length if there is none."""
    back = np.flatnonzero(times < _hold(times, newest_ns) - MAX_BACK_NS)
    return int(back[0]) if len(back) else len(times)


def _hold(times: NDArray[np.int64], newest_ns: int) -> NDArray[np.int64]:
    return np.maximum.accumulate(np.maximum(times, newest_ns))
