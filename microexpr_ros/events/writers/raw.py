"""Writing Prophesee's .raw files."""

from __future__ import annotations

from pathlib import Path

from microexpr_ros.events import codecs
from microexpr_ros.events.codecs.evt3 import EVT3_TRIGGER_CHANNELS
from microexpr_ros.events.events import Events, Triggers
from microexpr_ros.events.writers.writer import EventWriter


class RawWriter(EventWriter):
    """Writes EVT3, whose times are modulo 16.777 s."""

    trigger_channels = EVT3_TRIGGER_CHANNELS

    def __init__(self, path: Path, height: int, width: int, epoch_ns: int = 0) -> None:
        super().__init__(path, height, width, epoch_ns)
        self._encoder = codecs.encoder('evt3', height, width)
        self._file = path.open('wb')
        header = (
            f'% evt 3.0\n% format EVT3;height={height};width={width}\n'
            f'% geometry {width}x{height}\n% end\n'
        )
        self._file.write(header.encode('ascii'))

    def _write(self, events: Events, triggers: Triggers) -> None:
        self._file.write(self._encoder.encode(events, triggers)[1])

    def _finish(self) -> None:
        self._file.close()

    def _release(self) -> None:
        self._file.close()
