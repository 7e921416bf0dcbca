"""Prophesee's .raw files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Final

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.codecs.codec import Decoder
from microexpr_ros.events.codecs.evt2 import Evt2Decoder
from microexpr_ros.events.codecs.evt3 import Evt3Decoder
from microexpr_ros.events.events import Events, Triggers
from microexpr_ros.events.files.recording import (
    Recording,
    agree_on_sensor,
    explain_read_errors,
    losses_of,
)

_BLOCK_BYTES: Final = 1 << 19
_HEADER_LINE_BYTES: Final = 4096
_DECODERS: Final[Mapping[str, type[Decoder]]] = {'EVT2': Evt2Decoder, 'EVT3': Evt3Decoder}


class RawRecording(Recording):
    """A Prophesee .raw file: header lines that start with a percent sign, then encoded words."""

    def __init__(self, path: Path, sensor: tuple[int, int] | None = None) -> None:
        with explain_read_errors(path), path.open('rb') as file:
            header, self._start = _read_header(file)
        if not header:
            raise MicroexprError(
                f'{path} does not begin with the header of a Prophesee .raw file: '
                'give the recording as the camera wrote it'
            )
        encoding = _encoding_of(header)
        if encoding not in _DECODERS:
            raise MicroexprError(
                f'{path} is encoded as {encoding or "an unknown encoding"}, '
                f'not {" or ".join(_DECODERS)}: export it as EVT3 first'
            )
        self._decoder_type = _DECODERS[encoding]
        stored = sensor_of(header)
        self._is_sensor_stored = stored is not None
        width, height = agree_on_sensor(path, stored, sensor)
        super().__init__(path, f'Prophesee {encoding}', height, width)

    def _read(self) -> Iterator[tuple[Events, Triggers]]:
        decoder = self._decoder_type(self.height, self.width)
        size = max(1, self.path.stat().st_size - self._start)
        done = 0
        with ExitStack() as stack:
            with explain_read_errors(self.path):
                file = stack.enter_context(self.path.open('rb'))
                file.seek(self._start)
            while True:
                with explain_read_errors(self.path):
                    block = file.read(_BLOCK_BYTES)
                if not block:
                    return
                chunk = decoder.decode(block)
                if decoder.dropped and not self._is_sensor_stored:
                    raise MicroexprError(
                        f'{self.path} has events outside a sensor of {self.width} x '
                        f'{self.height} pixels: give the right sensor size'
                    )
                done += len(block)
                self.losses.update(losses_of(decoder))
                self.fraction = done / size
                yield chunk


def sensor_of(header: Mapping[str, str]) -> tuple[int, int] | None:
    """Return the columns and rows in Prophesee's key-value pairs, None if they have none."""
    options = dict(
        option.split('=', 1) for option in header.get('format', '').split(';') if '=' in option
    )
    geometry = re.fullmatch(r'(\d+)x(\d+)', header.get('geometry', ''))
    for width, height in (
        (options.get('width'), options.get('height')),
        geometry.groups() if geometry else (None, None),
        (header.get('width'), header.get('height')),
    ):
        if width is not None and height is not None and width.isdigit() and height.isdigit():
            return int(width), int(height)
    return None


def _read_header(file: IO[bytes]) -> tuple[dict[str, str], int]:
    """Return the keys and values of a .raw file's header, and where its words start."""
    header: dict[str, str] = {}
    while True:
        start = file.tell()
        line = file.readline(_HEADER_LINE_BYTES)
        # Words may start with a percent sign by chance, but not with a whole line of text.
        if not (line.startswith(b'%') and line.endswith(b'\n') and line.isascii()):
            return header, start
        key, _, value = line[1:].decode('ascii').strip().partition(' ')
        if key == 'end':
            return header, file.tell()
        header[key.lower()] = value.strip()


def _encoding_of(header: Mapping[str, str]) -> str:
    if 'format' in header:
        return header['format'].split(';')[0].upper()
    return {'3.0': 'EVT3', '2.0': 'EVT2', '2.1': 'EVT21'}.get(header.get('evt', ''), '')
