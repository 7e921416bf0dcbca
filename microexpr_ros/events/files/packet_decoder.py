"""Decoding the packets of a recording onto one clock, across restarts of the camera."""

from __future__ import annotations

from typing import Final

from microexpr_ros.bags.event_packet import EventPacket
from microexpr_ros.events import codecs
from microexpr_ros.events.events import Events, Triggers
from microexpr_ros.events.files.recording import losses_of

RESTARTS: Final = 'restarts_of_the_clock'

_TOLERANCE_NS: Final = 1_000_000_000
"""Far longer than packets are late, far shorter than the loop of a sensor's clock."""

_GAP_NS: Final = 1_000_000
_LONGEST_GAP_NS: Final = 86_400_000_000_000


class PacketDecoder:
    """Decodes packets; after a restart of the camera, time goes on from where it was.

    By events alone, a restart cannot be distinguished from a loop of the sensor's clock: it is
    recognized by the stamps that the host gave the packets on arrival. The gap at a restart is
    as long as that of the stamps.
    """

    def __init__(self, encoding: str, height: int, width: int) -> None:
        self._shape = encoding, height, width
        self._decoder = codecs.decoder(*self._shape)
        self._past = dict.fromkeys(losses_of(self._decoder), 0)
        self._past_held = 0
        self._restarts = 0
        self._is_joining = False
        self._offset_ns = 0
        self._first_ns: int | None = None
        self._newest_ns = 0
        self._stamp_ns = 0

    @property
    def losses(self) -> dict[str, int]:
        """Number of items left out so far, by reason, and of restarts of the clock."""
        now = losses_of(self._decoder)
        summed = {reason: self._past[reason] + now[reason] for reason in now}
        return {**summed, RESTARTS: self._restarts}

    @property
    def held(self) -> int:
        """Events and triggers so far whose times were raised to the newest before them."""
        return self._past_held + self._decoder.held

    def decode(self, packet: EventPacket) -> tuple[Events, Triggers]:
        """Decode the next packet."""
        losses, held = self.losses, self.held
        events, triggers = self._decoder.decode(packet.events, packet.time_base)
        first_ns = find_first(events, triggers)
        if first_ns is not None and self._has_restarted(first_ns, packet.stamp_ns):
            self._begin_anew(losses, held)
            events, triggers = self._decoder.decode(packet.events, packet.time_base)
            first_ns = find_first(events, triggers)
        if first_ns is None:
            return events, triggers
        if self._is_joining:
            passed_ns = packet.stamp_ns - self._stamp_ns
            # Stamps that go back, or to another year, do not tell how much time passed.
            if not _GAP_NS <= passed_ns <= _LONGEST_GAP_NS:
                passed_ns = _GAP_NS
            self._offset_ns = self._newest_ns + passed_ns - first_ns
            self._is_joining = False
        self._first_ns, self._stamp_ns = first_ns, packet.stamp_ns
        events = events.shifted(self._offset_ns)
        triggers = triggers.shifted(self._offset_ns)
        self._newest_ns = max(int(part.t[-1]) for part in (events, triggers) if len(part))
        return events, triggers

    def _has_restarted(self, first_ns: int, stamp_ns: int) -> bool:
        if self._first_ns is None:
            return False
        advanced_ns, passed_ns = first_ns - self._first_ns, stamp_ns - self._stamp_ns
        # A recording without stamps has the same one in all packets.
        has_jumped = passed_ns != 0 and abs(advanced_ns - passed_ns) > _TOLERANCE_NS
        return has_jumped or advanced_ns < -_TOLERANCE_NS

    def _begin_anew(self, losses: dict[str, int], held: int) -> None:
        self._restarts += 1
        self._is_joining = True
        # This packet is decoded again, so what is counted in it must not count twice.
        self._past = {reason: losses[reason] for reason in self._past}
        self._past_held = held
        self._decoder = codecs.decoder(*self._shape)


def find_first(events: Events, triggers: Triggers) -> int | None:
    """Return the time of the first event or trigger; None if there is none."""
    return min((int(part.t[0]) for part in (events, triggers) if len(part)), default=None)
