"""What a bag or a recording holds, measured by reading all of it."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from microexpr_ros import bags
from microexpr_ros.bags.event_packet import SequenceGaps
from microexpr_ros.bags.serialization import read_sequence_number
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.files import Recording, find_topics, open_recording
from microexpr_ros.events.files.packet_decoder import find_first
from microexpr_ros.events.files.packets import UNENDED

_NS: Final = 1_000_000_000
_MOST_GAPS: Final = 5
_CLOCK_PARTS: Final = 100
"""Parts of a recording, in each of which the packet that came fastest counts: others are late."""

_LEAST_DRIFT_NS: Final = _NS
"""Shortest span over which a drift of clocks is measured."""


@dataclass(frozen=True, slots=True)
class TopicReport:
    """Messages of a topic.

    Attributes:
        name: its name.
        type: ROS type, or that of a foreign encoding.
        encoding: cdr, or the foreign encoding.
        messages: messages that were read.
        rate_hz: messages per second, from the first to the last one.
        longest_pause_s: longest time from one message to the next, by receive times.
        out_of_order: messages received before the one before them.
        seq_gaps: gaps in the numbers of event packets.
        seq_missing: packets missing in these gaps.
        largest_gaps: the largest gaps: s since the bag's start, and packets missing.
    """

    name: str
    type: str
    encoding: str
    messages: int
    rate_hz: float
    longest_pause_s: float
    out_of_order: int = 0
    seq_gaps: int = 0
    seq_missing: int = 0
    largest_gaps: tuple[tuple[float, int], ...] = ()


@dataclass(frozen=True, slots=True)
class ClockReport:
    """Stamps of packets against the sensor's time.

    Attributes:
        offset_s: stamp minus sensor time at the start.
        drift_ppm: how much faster the host's clock runs; None for less than a second.
        late_p50_ms: median delay of the stamps, against the fastest ones.
        late_p99_ms: 99th percentile of it.
    """

    offset_s: float
    drift_ppm: float | None
    late_p50_ms: float
    late_p99_ms: float


@dataclass(frozen=True, slots=True)
class EventsReport:
    """Events of a topic or a recording.

    Attributes:
        topic: topic in a bag; empty elsewhere.
        kind: format and encoding.
        sensor: columns and rows.
        events: events that were read.
        triggers: triggers that were read.
        duration_s: sensor time from the first to the last event.
        events_hz: events per second.
        clock: stamps against sensor time; None without stamps.
        left_out: number of items left out, by reason.
        times_held: events and triggers out of order, whose times were raised.
        error: why the events cannot be read; empty if they can.
    """

    topic: str
    kind: str = ''
    sensor: tuple[int, int] = (0, 0)
    events: int = 0
    triggers: int = 0
    duration_s: float = 0.0
    events_hz: float = 0.0
    clock: ClockReport | None = None
    left_out: dict[str, int] = field(default_factory=dict)
    times_held: int = 0
    error: str = ''


@dataclass(frozen=True, slots=True)
class FramesReport:
    """Frames, by their stamps, against the events.

    Attributes:
        topic: topic in a bag; empty elsewhere.
        frames: number of frames.
        rate_hz: frames per second.
        longest_pause_s: longest time from one frame to the next.
        first_s: time of the first frame minus that of the first event; None without events.
        last_s: time of the last frame minus that of the last event; None without events.
    """

    topic: str
    frames: int
    rate_hz: float
    longest_pause_s: float
    first_s: float | None
    last_s: float | None


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a bag or a recording holds.

    Attributes:
        path: what was read.
        complete: whether the recorder has ended it and every file is there.
        start_ns: receive time of a bag's first message; 0 in other recordings.
        duration_s: from a bag's first to its last message.
        topics: topics of a bag.
        events: events of each topic of packets, or of the recording.
        frames: frames of each topic of images, or of the recording.
        damage: damaged places, one line each.
        messages_damaged: messages lost in them, as far as their number is known.
        files_not_in_metadata: files of the folder that are not read.
    """

    path: str
    complete: bool
    start_ns: int
    duration_s: float
    topics: tuple[TopicReport, ...]
    events: tuple[EventsReport, ...]
    frames: tuple[FramesReport, ...]
    damage: tuple[str, ...] = ()
    messages_damaged: int = 0
    files_not_in_metadata: tuple[str, ...] = ()


def inspect(
    path: Path,
    *,
    time_unit: str | None = None,
    sensor: tuple[int, int] | None = None,
    on_progress: Callable[[float], object] = lambda _: None,
) -> Inspection:
    """Read a bag or a recording and return what it holds.

    Args:
        path: As of `open_recording`.
        time_unit: As of `open_recording`.
        sensor: As of `open_recording`.
        on_progress: Called with the fraction of the events that has been read.

    Raises:
        MicroexprError: Nothing of it can be read.
    """
    if path.exists() and bags.is_bag(path):
        return _inspect_bag(path, sensor, on_progress)
    span = _Span()
    frames = _Times()
    damage = bags.Damage()
    events = []
    complete = True
    topics: list[str | None] = [*find_topics(path)]
    for topic in topics or [None]:
        recording = open_recording(path, time_unit=time_unit, sensor=sensor, topic=topic)
        events.append(_inspect_events(recording.topic, recording, span, on_progress))
        for frame in recording.frames():
            frames.add(recording.epoch_ns + frame.t)
        for place in recording.damage:
            damage.add(place)
        complete &= not recording.losses.get(UNENDED)
    return Inspection(
        str(path),
        complete,
        0,
        max(report.duration_s for report in events),
        (),
        tuple(events),
        (_report_frames('', frames, span),) if frames.count else (),
        tuple(map(str, damage)),
        damage.messages,
    )


def _inspect_bag(
    path: Path, sensor: tuple[int, int] | None, on_progress: Callable[[float], object]
) -> Inspection:
    bag = bags.read_contents(path)
    damage = bags.Damage()
    received = {(topic.name, topic.type): _Times() for topic in bag.topics}
    stamps = {topic.name: _Times() for topic in bag.topics if topic.type == bags.IMAGE}
    numbers = {topic.name: _Numbers() for topic in bag.topics if topic.type == bags.EVENT_PACKET}
    for message in bags.read_messages(path, damage=damage):
        received[message.topic, message.type].add(message.time_ns)
        if message.type == bags.IMAGE:
            stamps[message.topic].add(_read_stamp(message.cdr))
        elif message.type == bags.EVENT_PACKET:
            numbers[message.topic].add(message.cdr, message.time_ns - bag.start_ns)
    topics = []
    for (name, kind), times in received.items():
        topics.append(_report_topic(name, kind, 'cdr', times, numbers.get(name)))
    foreign = {(topic.name, topic.type, topic.encoding): _Times() for topic in bag.foreign}
    for other in bags.read_foreign(path, damage):
        topic = other.topic
        foreign[topic.name, topic.type, topic.encoding].add(other.time_ns)
    topics += [_report_topic(*key, times) for key, times in foreign.items()]
    span = _Span()
    events = tuple(
        _inspect_topic(path, name, sensor, span, on_progress) for name in sorted(numbers)
    )
    frames = tuple(
        _report_frames(name, times, span) for name, times in sorted(stamps.items()) if times.count
    )
    return Inspection(
        str(path),
        bag.complete,
        bag.start_ns,
        (bag.end_ns - bag.start_ns) / _NS,
        tuple(topics),
        events,
        frames,
        tuple(map(str, damage)),
        damage.messages,
        bag.unlisted,
    )


def _inspect_topic(
    path: Path,
    topic: str,
    sensor: tuple[int, int] | None,
    span: _Span,
    on_progress: Callable[[float], object],
) -> EventsReport:
    try:
        recording = open_recording(path, sensor=sensor, topic=topic)
        return _inspect_events(topic, recording, span, on_progress)
    except MicroexprError as error:
        return EventsReport(topic, error=str(error))


def _inspect_events(
    topic: str, recording: Recording, span: _Span, on_progress: Callable[[float], object]
) -> EventsReport:
    count = triggers_count = 0
    sensor_times, offsets = array('q'), array('q')
    times = _Times()
    for events, triggers in recording.chunks():
        count += len(events)
        triggers_count += len(triggers)
        first_ns = find_first(events, triggers)
        if first_ns is not None:
            sensor_times.append(first_ns)
            offsets.append(recording.epoch_ns)
        if len(events):
            for time_ns in (int(events.t[0]), int(events.t[-1])):
                times.add(time_ns)
                span.add(recording.epoch_ns + time_ns)
        on_progress(recording.fraction)
    duration_s = times.duration_ns / _NS
    return EventsReport(
        topic,
        recording.kind,
        (recording.width, recording.height),
        count,
        triggers_count,
        duration_s,
        count / duration_s if duration_s else 0.0,
        _measure_clock(sensor_times, offsets) if any(offsets) else None,
        {reason: number for reason, number in recording.losses.items() if number},
        recording.held,
    )


def _measure_clock(sensor_times: array[int], offsets: array[int]) -> ClockReport:
    """Compare the clocks: stamps are late at random, never early."""
    times = np.array(sensor_times, np.int64)
    first_ns = int(offsets[0])
    # Differences, since a float has not enough digits for ns since 1970.
    late = np.array(offsets, np.int64) - first_ns
    drift = 0.0
    is_long = int(times[-1] - times[0]) >= _LEAST_DRIFT_NS
    if is_long:
        edges = np.linspace(times[0], times[-1], min(_CLOCK_PARTS, len(times) // 2 + 1) + 1)
        parts = np.searchsorted(edges[1:-1], times, 'right')
        fastest = [
            part[np.argmin(late[part])]
            for number in range(len(edges) - 1)
            if len(part := np.flatnonzero(parts == number))
        ]
        if len(fastest) > 1:
            drift = float(np.polyfit((times[fastest] - times[0]) / _NS, late[fastest], 1)[0]) / _NS
    late = late - drift * (times - times[0])
    base = float(late.min())
    half, most = np.percentile(late - base, (50, 99)) / 1e6
    return ClockReport(
        (first_ns + base) / _NS, drift * 1e6 if is_long else None, float(half), float(most)
    )


class _Times:
    """Number of times, and the pauses between them."""

    def __init__(self) -> None:
        self.count = self.out_of_order = self.longest_ns = 0
        self.first_ns = self.last_ns = self._newest_ns = 0

    @property
    def duration_ns(self) -> int:
        return self.last_ns - self.first_ns

    @property
    def rate_hz(self) -> float:
        return (self.count - 1) * _NS / self.duration_ns if self.duration_ns else 0.0

    def add(self, time_ns: int) -> None:
        if not self.count:
            self.first_ns = self.last_ns = self._newest_ns = time_ns
        self.count += 1
        self.out_of_order += time_ns < self._newest_ns
        self.longest_ns = max(self.longest_ns, time_ns - self._newest_ns)
        self.first_ns, self.last_ns = min(self.first_ns, time_ns), max(self.last_ns, time_ns)
        self._newest_ns = time_ns


class _Span:
    """Host times of the first and the last event of all topics."""

    def __init__(self) -> None:
        self.first_ns: int | None = None
        self.last_ns = 0

    def add(self, time_ns: int) -> None:
        self.first_ns = time_ns if self.first_ns is None else min(self.first_ns, time_ns)
        self.last_ns = max(self.last_ns, time_ns)


class _Numbers:
    """Gaps in the numbers of packets, and the largest of them."""

    def __init__(self) -> None:
        self.gaps = 0
        self.largest: list[tuple[float, int]] = []
        self.sequence = SequenceGaps()

    def add(self, cdr: bytes, time_ns: int) -> None:
        try:
            missing = self.sequence.add(read_sequence_number(cdr))
        except MicroexprError:
            # Too short for a packet: counted as damaged where the events are read.
            return
        if missing:
            self.gaps += 1
            self.largest.append((time_ns / _NS, missing))
            self.largest.sort(key=lambda gap: -gap[1])
            del self.largest[_MOST_GAPS:]


def _report_topic(
    name: str, kind: str, encoding: str, times: _Times, numbers: _Numbers | None = None
) -> TopicReport:
    numbers = numbers or _Numbers()
    return TopicReport(
        name,
        kind,
        encoding,
        times.count,
        times.rate_hz,
        times.longest_ns / _NS,
        times.out_of_order,
        numbers.gaps,
        numbers.sequence.total,
        tuple(numbers.largest),
    )


def _report_frames(topic: str, times: _Times, span: _Span) -> FramesReport:
    has_events = span.first_ns is not None
    return FramesReport(
        topic,
        times.count,
        times.rate_hz,
        times.longest_ns / _NS,
        (times.first_ns - (span.first_ns or 0)) / _NS if has_events else None,
        (times.last_ns - span.last_ns) / _NS if has_events else None,
    )


def _read_stamp(cdr: bytes) -> int:
    """Return the stamp of a serialized message that begins with a header; 0 if it is cut."""
    order = '<' if cdr[1:2] == b'\1' else '>'
    try:
        seconds, nanoseconds = struct.unpack_from(f'{order}iI', cdr, 4)
    except struct.error:
        return 0
    return int(seconds) * _NS + int(nanoseconds)
