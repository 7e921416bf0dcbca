"""What is odd about stamps, in words that name the cause and the remedy."""

from __future__ import annotations

from collections import deque
from typing import Final

from microexpr_ros.alignment.clock import JUMP_NS, StampFault
from microexpr_ros.alignment.slices import MAX_GAP_NS
from microexpr_ros.alignment.synchronizer import Synchronizer

_DAY_S: Final = 86_400
_FAULTS: Final = {
    StampFault.ZERO: (
        'stamps of {events} are 0: let the driver stamp its packets; until then slices are '
        "stamped by the sensor's clock, from 0"
    ),
    StampFault.STILL: (
        'stamps of {events} stand still: let the driver stamp each packet (with use_sim_time, '
        "does /clock run?); until then slices are stamped by the sensor's clock"
    ),
    StampFault.BACKWARDS: (
        "stamps of {events} run backwards: check the driver's clock; until then slices are "
        "stamped by the sensor's clock"
    ),
    StampFault.JUMPING: (
        'stamps of {events} jump again and again: is there one publisher only, and does one '
        "service alone set this machine's clock (chrony)? until then slices are stamped by the "
        "sensor's clock"
    ),
    StampFault.RATE: (
        'stamps of {events} run at {rate:.3g} times the rate of the sensor: a recording is played '
        'at {speed:.3g} times its speed, and slices are stamped as it is; set the rate to 1 for '
        'times that are those of the scene'
    ),
}


class HostOffset:
    """Measure how far the stamps of a stream are from this machine's clock.

    The nearest of the last few measurements counts: packets and this process may be late.
    """

    def __init__(self) -> None:
        self._recent: deque[int] = deque(maxlen=5)

    def add(self, stamp_ns: int, now_ns: int) -> None:
        """Take in a stamp, and the ROS time at which it was received."""
        self._recent.append(stamp_ns - now_ns)

    @property
    def away_ns(self) -> int:
        """How far the stamps are ahead, negative if behind; 0 until it is known."""
        if len(self._recent) < 3:
            return 0
        return min(self._recent, key=abs)


def find_problems(
    synchronizer: Synchronizer, away_ns: int, events: str, frames: str
) -> dict[str, str]:
    """Return what is odd about the stamps now: a line for people, by kind.

    Args:
        synchronizer: what has measured them.
        away_ns: how far stamps of packets are ahead of this machine's clock.
        events: topic of the packets.
        frames: topic of the frames.
    """
    problems = {}
    clock, fault = synchronizer.clock, synchronizer.clock.fault
    if fault is not None:
        problems[fault.name] = _FAULTS[fault].format(
            events=events, rate=clock.rate, speed=1 / clock.rate
        )
    if clock.usable:
        if abs(away_ns) > JUMP_NS:
            problems['OFFSET'] = (
                f"stamps of {events} are {format_away(away_ns)} this machine's clock: synchronise "
                'the clocks (chrony), or, if a recording is played, set use_sim_time'
            )
        if synchronizer.line.behind_ns < -MAX_GAP_NS:
            problems['SET_BACK'] = (
                f'stamps of {events} were set back, so that slices are stamped '
                f'{format_away(-synchronizer.line.behind_ns)} them: stamps of slices never go '
                'back; deactivate and activate the synchronizer to follow'
            )
    frame_stamps = synchronizer.frames.stamps
    if frame_stamps.is_refusing:
        remedy = (
            f'or set frame_offset to {frame_stamps.distance_ns / 1e9:.3f} or auto'
            if frame_stamps.is_constant
            else 'and let the driver stamp them by it; their distance changes'
        )
        problems['FRAMES'] = (
            f'stamps of {frames} are {format_away(frame_stamps.distance_ns)} the events: frames '
            f'are left out; synchronise the clocks (chrony), {remedy}'
        )
    return problems


def format_away(away_ns: float) -> str:
    """Return a distance between clocks for people.

    Example:
        >>> format_away(-3e9), format_away(400_000_000), format_away(-1.7e18)
        ('3.0 s behind', '0.4 s ahead of', '19676 days behind')
    """
    side = 'behind' if away_ns < 0 else 'ahead of'
    seconds = abs(away_ns) / 1e9
    amount = f'{seconds:.1f} s' if seconds < _DAY_S else f'{seconds / _DAY_S:.0f} days'
    return f'{amount} {side}'
