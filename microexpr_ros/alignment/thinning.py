"""Overload: which share of the events is decoded when packets are processed too late."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from microexpr_ros.events.codecs import Decoder
from microexpr_ros.events.events import Events, Triggers

if TYPE_CHECKING:
    from typing_extensions import Buffer

LEAST_SHARE: Final = 1 / 64
"""Of the events of a packet, so that each packet has some, which carry the time."""

FULL_BYTES: Final = 32768
"""Smaller packets are decoded in full: their events are about 0.1 ms of work, so that what makes
them late is something else, and fewer events would hardly help."""


@dataclass(frozen=True, slots=True)
class ThinningOptions:
    """When events are thinned.

    Attributes:
        limit_ns: packets that are processed so late have the least share of events; from half of
            it on events are thinned. 0: never thin.
        patience_ns: how long packets must be late before thinning begins: a burst, or a moment in
            which another process has the core, is caught up with instead.
        rest_ns: thinning ends when no packet was late for so long.
    """

    limit_ns: int = 80_000_000
    patience_ns: int = 100_000_000
    rest_ns: int = 500_000_000


class Thinning:
    """Decode packets, with fewer events of each the later they are.

    The share of events that is kept falls from 1, where packets are late by half of the limit, to
    `LEAST_SHARE` at the limit. So the lateness settles where the events that are kept are as many
    as the machine can process, and every slice loses the same share.

    Attributes:
        is_active: whether events are thinned, or have been within `ThinningOptions.rest_ns`.
        kept: events that were decoded so far.
        thinned: events that were left out so far.
    """

    def __init__(self, options: ThinningOptions | None = None) -> None:
        self._options = options or ThinningOptions()
        self.is_active = False
        self.kept = self.thinned = 0
        # When the last packet was in time, and when the last one was late.
        self._in_time_ns: int | None = None
        self._late_ns = 0

    def decode(
        self, decoder: Decoder, payload: Buffer, time_base: int, late_ns: int, now_ns: int
    ) -> tuple[Events, Triggers]:
        """Decode one packet, or a share of its events and all of its triggers.

        Args:
            decoder: of the stream.
            payload: as of `Decoder.decode`.
            time_base: as of `Decoder.decode`.
            late_ns: how much longer the packet has waited than packets do at best.
            now_ns: steady time.
        """
        share = self._choose_share(late_ns, now_ns)
        if share == 1 or memoryview(payload).nbytes < FULL_BYTES:
            events, triggers = decoder.decode(payload, time_base)
        else:
            events, triggers, thinned = decoder.decode_thinly(payload, time_base, share)
            self.thinned += thinned
        self.kept += len(events)
        return events, triggers

    def _choose_share(self, late_ns: int, now_ns: int) -> float:
        half_ns = self._options.limit_ns / 2
        if late_ns > half_ns > 0:
            self._late_ns = now_ns
            if self._in_time_ns is None:
                self._in_time_ns = now_ns
            self.is_active |= now_ns - self._in_time_ns > self._options.patience_ns
            if self.is_active:
                return max(2 - late_ns / half_ns, LEAST_SHARE)
        else:
            self._in_time_ns = now_ns
            self.is_active &= now_ns - self._late_ns <= self._options.rest_ns
        return 1.0
