"""Node `recorder`: writes topics to a rosbag2, without decoding their messages."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

from microexpr_ros.atomic import explain_write_errors
from microexpr_ros.bags.folder import BagFolder
from microexpr_ros.bags.recorder import BagRecorder
from microexpr_ros.errors import MicroexprError
from microexpr_ros.redaction import NAMED, is_kept
from microexpr_ros.ros.conversions import SECOND_NS
from microexpr_ros.ros.diagnostics import OK, WARN, Diagnosis, Silence
from microexpr_ros.ros.lifecycle import MicroexprNode
from microexpr_ros.ros.process import run_node
from microexpr_ros.ros.recording import RecorderParameters, TopicRecorder
from microexpr_ros.ros.topics import RECORDED, REDACTED

DISCOVERY_PERIOD_S = 0.25
"""How often to look for new topics; a new topic's messages are missed for so long at most."""

SILENT_AFTER_NS = 3 * SECOND_NS
"""Silence on all topics after which it is reported: cameras and results send all the time."""


class RecorderNode(MicroexprNode[RecorderParameters]):
    """Write serialized messages to a bag."""

    name = 'recorder'
    Parameters = RecorderParameters
    finds_topics = True
    recording: BagRecorder | None = None
    """The current or last recording; None until the first one begins."""

    # As rclpy's node takes them, which gives them no types.
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._written: set[Path] = set()

    def configure(self) -> None:
        """Check the names of the topics."""
        given = self.parameters
        names = given.topics
        if given.all and names != RECORDED:
            raise MicroexprError(
                f'all records every topic, topics names {", ".join(names)}: give one of them'
            )
        if given.redact and names == RECORDED:
            names = REDACTED
        self._topics = [self._resolve(name) for name in names]
        if given.redact:
            self._refuse_pictures(self._topics)

    def _refuse_pictures(self, topics: Sequence[str]) -> None:
        refused = [topic for topic in topics if not is_kept(topic)]
        if refused:
            raise MicroexprError(
                f'redact keeps {", ".join(NAMED)}, not {", ".join(refused)}: leave them out'
            )

    def _resolve(self, topic: str) -> str:
        try:
            return str(self.resolve_topic_name(topic))
        except (RuntimeError, ValueError) as error:
            reason, _, _ = str(error).partition(', at ')
            raise MicroexprError(f'{topic!r} cannot be recorded: {reason}') from error

    def activate(self) -> None:
        """Begin a bag and look for topics."""
        given = self.parameters
        path = self._choose_path()
        with explain_write_errors(path):
            bag = BagFolder(
                path,
                given.storage,
                None if given.storage == 'sqlite3' else given.compression,
                given.max_bag_size,
                round(given.max_bag_duration_s * SECOND_NS),
            )
        self._written.add(path)
        self.recording = recording = BagRecorder(bag, given.max_cache_size)
        self._recorder = TopicRecorder(
            self, recording, None if given.all else self._topics, given.redact
        )
        self._logged_lost, self._silence = 0, Silence(SILENT_AFTER_NS)
        self._began_s = time.monotonic()
        self.on_teardown(lambda: self._end(recording))
        self.get_logger().info(f'recording to {path}')
        self._recorder.discover()
        self.every(DISCOVERY_PERIOD_S, lambda: self._check(recording))

    def _choose_path(self) -> Path:
        """Return the folder of the next bag, another one than those of earlier activations."""
        path = Path(self.parameters.output or f'{datetime.now():rosbag2_%Y_%m_%d-%H_%M_%S}')
        if path not in self._written:
            return path
        numbered = (path.with_name(f'{path.name}_{number}') for number in count(1))
        return next(free for free in numbered if not free.exists())

    def _check(self, recording: BagRecorder) -> None:
        """Look for new topics, log losses, and end when the time is over."""
        self._recorder.discover()
        lost = recording.progress().lost
        if lost > self._logged_lost:
            self._logged_lost = lost
            self.get_logger().warning(f'{lost} messages are lost', throttle_duration_sec=5.0)
        duration_s = self.parameters.duration_s
        is_over = 0 < duration_s < time.monotonic() - self._began_s
        if recording.error is not None or is_over:
            if self.parameters.shutdown_at_end:
                self.context.try_shutdown()
            else:
                self.trigger_deactivate()  # type: ignore[no-untyped-call]  # rclpy's

    def _end(self, recording: BagRecorder) -> None:
        recording.close()
        if recording.error is not None:
            self.fail(recording.error)
        progress = recording.progress()
        messages = sum(progress.messages.values())
        # After an interrupt there is no context to log through.
        if self.context.ok():
            self.get_logger().info(
                f'{recording.path}: {messages} messages, {progress.bytes} bytes, '
                f'{progress.lost} lost'
            )
            if not messages:
                self.get_logger().warning('nothing was recorded: nobody published these topics')

    def diagnose(self) -> Diagnosis:
        """Return how much is recorded, and what is lost."""
        assert self.recording is not None, 'an active node has a recording'
        progress = self.recording.progress()
        messages_hz, now_ns = self._recorder.received.hz(), time.monotonic_ns()
        if messages_hz:
            self._silence.end(now_ns)
        else:
            self._silence.has_begun(now_ns)
        if progress.lost:
            level, message = WARN, 'messages are lost'
        elif self._silence.is_silent or not sum(progress.messages.values()):
            publishers = 'the publishers are silent' if self._recorder.topics else 'there are none'
            level, message = WARN, f'nothing arrives on the topics to record: {publishers}'
        else:
            level, message = OK, 'recording'
        return Diagnosis(
            level=level,
            message=message,
            values={
                'bag': str(self.recording.path),
                'messages_hz': round(messages_hz, 1),
                'messages': sum(progress.messages.values()),
                'megabytes': round(progress.bytes / 1e6, 1),
                'files': progress.files,
                'cached_megabytes': round(progress.cached_bytes / 1e6, 1),
                'overrun_messages': sum(progress.overrun.values()),
                'lost_packets': sum(progress.lost_packets.values()),
                'topics': ', '.join(self._recorder.topics),
            },
        )


def main() -> None:
    """Run the node."""
    run_node(RecorderNode)


if __name__ == '__main__':
    main()
